"""Light stand-ins for the engine and the renderer, so that tests of the wire cost nothing but the wire.

A `CountingSigner` signs each word for a fixed number of frames; a `BarRenderer` draws the frame number as
bars, which survive compression, so that a decoded picture can be read back. A `PlainScheduler` steps them.
The real ones are tested with the same server in test_real_signing.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.pacing_unit import Fate
from engine.signals import (
    EXPRESSION_SHAPE,
    HANDS_SHAPE,
    IDLE,
    POSE_SHAPE,
    SMPLX_SHAPE,
    Caption,
    Gloss,
    MotionFrame,
)
from renderer.base import Bytes, Picture
from stream.performer import Cast

BITS = 16


@dataclass
class Said:
    glosses: list[tuple[int, Gloss]]
    unspellable: list[str]
    omitted: list[str] = field(default_factory=list)


@dataclass
class CountingSigner:
    rate: float = 1.0
    left_handed: bool = False
    language: str = "ase"
    frames_per_gloss: int = 5
    skipped: tuple[tuple[int, str], ...] = ()
    tempo: float = 1.0
    fates: list[Fate] = field(default_factory=list)
    unknown: frozenset[str] = frozenset()
    """Labels that a generating signer would take from recordings."""
    _waiting: list[int] = field(default_factory=list)
    _left: int = 0
    _index: int = -1
    _seq: int = 0

    @property
    def pending(self) -> int:
        return len(self._waiting)

    @property
    def backlog_ms(self) -> float:
        return 40.0 * self.frames_per_gloss * len(self._waiting)

    def say(self, caption: Caption) -> Said:
        glosses, at = [], 0
        for word in caption.text.split():
            start = caption.text.index(word, at)
            at = start + len(word)
            self._index += 1
            gloss = Gloss(
                word.upper(),
                word,
                caption.language,
                caption_seq=caption.seq,
                start=start,
                end=at,
                pts_ns=caption.pts_ns,
            )
            glosses.append((self._index, gloss))
            self._waiting.append(self._index)
        return Said(glosses, [])

    def recorded(self, gloss: Gloss) -> bool:
        return gloss.label in self.unknown

    def take_fates(self) -> list[Fate]:
        taken, self.fates = self.fates, []
        return taken

    def step(self, pts_ns: int) -> MotionFrame:
        self._seq += 1
        if self._left:
            self._left -= 1
            if self._left == 0:
                self._waiting.pop(0)
        if not self._left and self._waiting:
            self._left = self.frames_per_gloss
        return motion_frame(self._seq, pts_ns, self._waiting[0] if self._left else IDLE)

    def interrupt(self) -> None:
        self._waiting, self._left = [], 0


def motion_frame(seq: int, pts_ns: int, gloss: int = IDLE) -> MotionFrame:
    rng = np.random.default_rng(seq)

    def draw(shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
        return rng.standard_normal(shape).astype(np.float32)

    expression = rng.random(EXPRESSION_SHAPE).astype(np.float32)
    return MotionFrame(seq, pts_ns, draw(POSE_SHAPE), draw(HANDS_SHAPE), draw(SMPLX_SHAPE), expression, gloss)


@dataclass
class BarRenderer:
    """Sixteen bars, bright for the ones of `seq` in binary. `fail_at`: raise once at that many frames."""

    width: int = 128
    height: int = 64
    transparent: bool = False
    fail_at: int = -1
    drawn: int = 0
    opened_on: int = 0

    def open(self) -> None:
        self.opened_on = threading.get_ident()

    def render(self, motion: MotionFrame) -> Picture:
        assert threading.get_ident() == self.opened_on, "a renderer lives on one thread"
        self.drawn += 1
        if self.drawn == self.fail_at:
            raise RuntimeError("context lost")
        i420 = np.full((self.height * 3 // 2, self.width), 128, np.uint8)
        for bit in range(BITS):
            bar = slice(bit * self.width // BITS, (bit + 1) * self.width // BITS)
            i420[: self.height, bar] = 220 if motion.seq >> bit & 1 else 40
        alpha = np.full((self.height, self.width), 255, np.uint8) if self.transparent else None
        return Picture(motion.seq, motion.pts_ns, self.width, self.height, i420, alpha, motion.gloss)

    def rgba(self, motion: MotionFrame) -> Bytes:
        raise NotImplementedError("no test asks for stills")

    def close(self) -> None:
        pass


def read_bars(luma: Bytes) -> int:
    """The number that `BarRenderer` drew, from a decoded picture's luma [H, W]."""
    height, width = luma.shape
    edges = [bit * width // BITS for bit in range(BITS + 1)]
    return sum(
        int(luma[height // 4 : height // 2, a + 1 : b - 1].mean() > 128) << i
        for i, (a, b) in enumerate(itertools.pairwise(edges))
    )


class PlainScheduler:
    """Steps every signer each 1/fps seconds on one thread."""

    def __init__(self, fps: float = 25.0) -> None:
        self._fps = fps
        self._signers: dict[str, tuple[Any, Callable[[MotionFrame], None]]] = {}
        self._actions: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def add(
        self,
        name: str,
        signer: Any,
        on_frame: Callable[[MotionFrame], None],
        watched: object = None,
        unseen: object = None,
    ) -> None:
        self.call(lambda: self._signers.update({name: (signer, on_frame)})).result(5)

    def remove(self, name: str) -> None:
        self.call(lambda: self._signers.pop(name, None)).result(5)

    def say(self, name: str, caption: Caption) -> concurrent.futures.Future[Any]:
        return self.call(lambda: self._signers[name][0].say(caption))

    def interrupt(self, name: str) -> concurrent.futures.Future[Any]:
        return self.call(lambda: self._signers[name][0].interrupt())

    def call(self, action: Callable[[], Any]) -> concurrent.futures.Future[Any]:
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def carry_out() -> None:
            if not done.set_running_or_notify_cancel():
                return  # as the real one: whoever asked has gone
            try:
                done.set_result(action())
            except Exception as error:
                done.set_exception(error)

        self._actions.put(carry_out)
        return done

    def stats(self) -> dict[str, object]:
        return {}

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            due += 1 / self._fps
            while (left := due - time.monotonic()) > 0:
                try:
                    self._actions.get(timeout=left)()
                except queue.Empty:
                    break
            for signer, on_frame in list(self._signers.values()):
                on_frame(signer.step(round(due * 1e9)))


@dataclass(frozen=True)
class Language:
    code: str
    name: str
    spoken: str


def light_cast(fps: float = 25.0, width: int = 128, height: int = 64, fail_at: int = -1) -> Cast:
    return Cast(
        languages={
            "ase": Language("ase", "American Sign Language", "en"),
            "gsg": Language("gsg", "DGS", "de"),
        },
        avatars={"bars": "sixteen bars", "more": "more of them"},
        scheduler=lambda: PlainScheduler(fps),
        signer=lambda settings: CountingSigner(settings.rate, settings.left_handed, settings.language),
        renderer=lambda settings: BarRenderer(
            width, height, transparent=settings.background == "transparent", fail_at=fail_at
        ),
    )
