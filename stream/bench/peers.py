"""Real peers that read the stamps of pictures: aiortc in this process, and Chromium.

Enters: an address. Leaves: a `Sample` for each picture that was shown. Does not know what is asked of them.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from stream.bench import stamp
from stream.bench.viewer import Viewer

SCRIPT = Path(__file__).parent / "chromium_peer.js"
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture at a peer; moments on this machine's monotonic clock.

    received_ns: its last packet was there. shown_ns: decoded (aiortc), or handed to the screen (Chromium).
    """

    stamp: stamp.Stamp
    received_ns: int
    shown_ns: int

    @property
    def age_ms(self) -> float:
        """From drawn to shown."""
        return (self.shown_ns - self.stamp.drawn_ns) / 1e6


class AiortcPeer:
    """`await open()`, look at `samples` and `viewer.events`, `await close()`. unread: damaged stamps."""

    def __init__(self, url: str, codec: str = "H264") -> None:
        self.viewer = Viewer(url, codecs=(codec,), on_frame=self._frame)
        self.samples: list[Sample] = []
        self.unread = 0

    async def open(self) -> AiortcPeer:
        await self.viewer.connect()
        return self

    async def first_showing(self, gloss: int, timeout_s: float = 60.0) -> Sample:
        """The first picture of that sign, or of a later one. Raises TimeoutError."""
        return await _first_showing(self, gloss, timeout_s)

    def take(self) -> list[Sample]:
        taken, self.samples = self.samples, []
        return taken

    async def look(self) -> None:
        """Nothing to fetch: samples come by themselves."""

    async def close(self) -> None:
        await self.viewer.close()

    def _frame(self, frame: av.VideoFrame, received_ns: int) -> None:
        now_ns = time.monotonic_ns()
        plane = frame.planes[0]
        luma = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
            : frame.height, : frame.width
        ]
        read = stamp.read(luma, now_ns)
        if read is None:
            self.unread += 1
        else:
            self.samples.append(Sample(read, received_ns or now_ns, now_ns))


class ChromiumPeer:
    """As AiortcPeer, in a browser; needs playwright and Chromium. Raises RuntimeError, saying what is
    missing.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.samples: list[Sample] = []
        self.unread = 0
        self._offset_ns = 0

    async def open(self) -> ChromiumPeer:
        try:
            from playwright.async_api import async_playwright
        except ImportError as error:
            raise RuntimeError(
                "the Chromium peer needs playwright: pip install 'handstream[bench]'"
            ) from error
        found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        if found is None:
            raise RuntimeError("no Chromium on the path; apt-get install chromium, or choose --peer aiortc")
        self._playwright = await async_playwright().start()
        self._browser = await self._playwright.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        self._page: Any = await self._browser.new_page()
        await self._page.goto(f"{self._url}healthz")  # any page of the server: its origin is welcome
        await self._page.evaluate(SCRIPT.read_text())
        await self._page.evaluate("(path) => watch(path)", "/whep/main")
        self._offset_ns = await self._clock_offset_ns()
        return self

    async def first_showing(self, gloss: int, timeout_s: float = 60.0) -> Sample:
        return await _first_showing(self, gloss, timeout_s)

    def take(self) -> list[Sample]:
        taken, self.samples = self.samples, []
        return taken

    async def look(self) -> None:
        """Fetch what the page has seen."""
        for bits, received_ms, shown_ms in await self._page.evaluate("() => taken()"):
            received_ns, shown_ns = (round(ms * 1e6) + self._offset_ns for ms in (received_ms, shown_ms))
            read = stamp.parse(int(bits, 2), shown_ns)
            if read is None:
                self.unread += 1
            else:
                self.samples.append(Sample(read, received_ns, shown_ns))

    async def close(self) -> None:
        await self._page.evaluate("() => leave()")
        await self._browser.close()
        await self._playwright.stop()

    async def _clock_offset_ns(self) -> int:
        """What to add to the page's clock: of many questions, the one that was answered soonest."""
        best: tuple[int, int] | None = None
        for _ in range(40):
            asked_ns = time.monotonic_ns()
            page_ms: float = await self._page.evaluate("() => performance.now()")
            took_ns = time.monotonic_ns() - asked_ns
            if best is None or took_ns < best[0]:
                best = (took_ns, asked_ns + took_ns // 2 - round(page_ms * 1e6))
        assert best is not None
        self.clock_error_ms = best[0] / 2e6
        return best[1]


async def _first_showing(peer: AiortcPeer | ChromiumPeer, gloss: int, timeout_s: float) -> Sample:
    async with asyncio.timeout(timeout_s):
        while True:
            await peer.look()
            for sample in peer.samples:
                if sample.stamp.gloss >= gloss:
                    return sample
            await asyncio.sleep(0.02)
