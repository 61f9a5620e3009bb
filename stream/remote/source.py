"""A signer elsewhere as a signer of this server: its motion drives the pipeline, its events reach viewers.

Enters: the address of a signer. Leaves: a `Cast` whose scheduler plays out what arrives, and the `Beside`
that keeps the connection. Does not know drawing or viewers. While nothing arrives the last pose is held,
frame by frame, so nobody's stream stalls; text is refused here, since signing is done elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from aiohttp import web

from engine.lexicon.languages import language_info
from engine.signals import IDLE, MotionFrame
from renderer.avatar import SIGNERS, AvatarConfig
from renderer.base import PREFERRED, VIDEO, Renderer
from stream.config import Config, SignerSettings
from stream.errors import Refusal
from stream.label import Labelled
from stream.performer import Cast
from stream.remote.link import Link
from stream.remote.playout import MS, Playout
from stream.renderers import Make, choose_drawing

if TYPE_CHECKING:
    from stream.channel import Channel
    from stream.stage import Stage

log = logging.getLogger(__name__)

RELAYED = ("caption", "gloss", "idle", "skipped", "omitted", "changed", "lag")
"""Events that viewers here are told as viewers there are; `hello`, `settings` and the like are our own."""
MAX_PROMISED = 1024
Sink = Callable[[MotionFrame], None]


@dataclass
class RemoteSigner:
    """What the pipeline asks of a signer, of one that signs elsewhere."""

    rate: float = 1.0
    left_handed: bool = False
    language: str = "ase"
    pending: int = 0
    backlog_ms: float = 0.0
    tempo: float = 1.0
    skipped: tuple[tuple[int, str], ...] = ()

    def take_fates(self) -> list[Any]:
        return []

    def recorded(self, gloss: object) -> bool:
        """Events of signs are relayed as they come, and say it themselves."""
        return False


class RemoteScheduler:
    """Plays out what arrives, on a thread of its own, in the place of the inference thread."""

    def __init__(self, playout: Playout, fps: float, url: str) -> None:
        self._playout = playout
        self._period_s = 1.0 / fps
        self._url = url
        self._sinks: dict[str, Sink] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._last: MotionFrame | None = None
        self.held = self.sink_failures = 0
        self.on_frame: Sink = lambda frame: None
        self.more: Callable[[], dict[str, object]] = dict
        self._thread = threading.Thread(target=self._run, name="playout", daemon=True)
        self._thread.start()

    def arrived(self, frame: MotionFrame, now_ns: int) -> None:
        """A frame has come; any thread."""
        with self._changed:
            self._playout.put(frame, now_ns)
            self._changed.notify_all()

    def restart(self) -> None:
        """The connection is a new one, and perhaps the signer too."""
        with self._changed:
            self._playout.restart()

    def local_ns(self, pts_ns: int) -> int | None:
        with self._changed:
            return self._playout.local_ns(pts_ns)

    # -- what the pipeline asks of a scheduler

    def add(
        self, name: str, signer: object, sink: Sink, watched: object = None, unseen: object = None
    ) -> None:
        with self._changed:
            self._sinks[name] = sink

    def remove(self, name: str) -> None:
        with self._changed:
            self._sinks.pop(name, None)

    def say(self, name: str, caption: object) -> Future[Any]:
        refused: Future[Any] = Future()
        where = self._url.replace("/whep/", "/signers/") + "/text"
        refused.set_exception(
            Refusal(409, "this signer is drawn here and signs elsewhere", f"POST it to {where}")
        )
        return refused

    def interrupt(self, name: str) -> Future[None]:
        return self.say(name, None)

    def call(self, action: Callable[[], None]) -> Future[None]:
        done: Future[None] = Future()
        action()
        done.set_result(None)
        return done

    def stats(self) -> dict[str, object]:
        with self._changed:
            waited = sorted(self._playout.waited_ms)
            found = asdict(self._playout.stats)
        share = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
        return {
            **self.more(),
            "held": self.held,
            "sink_failures": self.sink_failures,
            **found,
            **{f"buffered_ms_{k}": round(waited[int(len(waited) * v)], 2) if waited else None
               for k, v in share.items()},
        }  # fmt: skip

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(5.0)

    # -- the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                now_ns = time.monotonic_ns()
                frame = self._playout.take(now_ns)
                if frame is None:
                    frame = self._hold(now_ns)
                if frame is None:
                    self._changed.wait(self._wait_s(now_ns))
                    continue
                if self._last is not None and frame.pts_ns <= self._last.pts_ns:
                    frame = replace(frame, pts_ns=self._last.pts_ns + MS)
                self._last = frame
                sinks = list(self._sinks.values())
            for sink in (*sinks, self.on_frame):
                try:
                    sink(frame)
                except Exception:  # as the engine's scheduler: one sink's failure is not the others'
                    self.sink_failures += 1
                    log.exception("a sink of %s failed", self._url)

    def _wait_s(self, now_ns: int) -> float:
        due_ns = self._playout.due_ns()
        until_s = (due_ns - now_ns) / 1e9 if due_ns is not None else 60.0
        if self._last is not None:
            until_s = min(until_s, (self._last.pts_ns - now_ns) / 1e9 + 2 * self._period_s)
        return max(0.0005, until_s)

    def _hold(self, now_ns: int) -> MotionFrame | None:
        """Nothing came in time: the last pose once more, under its own number, a period later."""
        last = self._last
        if last is None or now_ns - last.pts_ns < 2 * self._period_s * 1e9:
            return None
        self.held += 1
        pts_ns = max(last.pts_ns + round(self._period_s * 1e9), now_ns - round(self._period_s * 1e9))
        return replace(last, pts_ns=pts_ns)


class RemoteSource:
    """See the module. `cast` for the server, and itself beside it (`stream.server.Beside`)."""

    def __init__(
        self,
        config: Config,
        url: str,
        token: str | None = None,
        delay_ms: float = 50.0,
        labelled: bool = False,
    ) -> None:
        """labelled: the picture leaves for where no page says what it is, so it says so itself."""
        self._labelled = labelled
        self.scheduler: RemoteScheduler | None = None
        self._config, self._delay_ms = config, delay_ms
        self.link = Link(url, self._arrived, self._heard, token, config.rtc_ice_servers())
        self.link.on_connected = self._connected
        self._task: asyncio.Task[None] | None = None
        self._channel: Channel | None = None
        self._promised: dict[int, dict[str, Any]] = {}
        self._shown = IDLE
        self._loop: asyncio.AbstractEventLoop | None = None

    def cast(self) -> Cast:
        """A cast of one remote signer, drawn by our avatars or our video renderer."""
        drawing = choose_drawing(self._config.video, live=True)
        below = drawing.below
        languages = {s.language: language_info(s.language) for s in self._config.signers}
        return Cast(
            languages=languages,
            avatars={name: info.description for name, info in SIGNERS.items()},
            scheduler=self._scheduler,
            signer=lambda settings: RemoteSigner(language=settings.language),
            renderer=self._renderer(drawing.first),
            fallback=self._renderer(below) if below is not None else None,
            preferred=VIDEO if below is not None else PREFERRED,
        )

    def _scheduler(self) -> RemoteScheduler:
        self.scheduler = RemoteScheduler(Playout(self._delay_ms), self._config.fps, self.link.url)
        self.scheduler.on_frame = self._played
        self.scheduler.more = self.link.stats
        return self.scheduler

    def _renderer(self, make: Make) -> Callable[[SignerSettings], Renderer]:
        def renderer(settings: SignerSettings) -> Renderer:
            c = self._config
            made = make(AvatarConfig(settings.avatar, c.width, c.height, settings.background))
            return Labelled(made) if self._labelled else made

        return renderer

    # -- beside the server

    @property
    def routes(self) -> Sequence[web.AbstractRouteDef]:
        return []

    async def start(self, stage: Stage) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel = next(iter(stage.channels.values()))
        self._task = asyncio.create_task(self.link.run(), name="link")

    def trouble(self) -> list[str]:
        return self.link.trouble()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # -- from the link, on the loop

    def _connected(self) -> None:
        self._promised.clear()
        if self.scheduler is not None:
            self.scheduler.restart()

    def _arrived(self, frame: MotionFrame, now_ns: int) -> None:
        if self.scheduler is not None:
            self.scheduler.arrived(frame, now_ns)

    def _heard(self, message: dict[str, Any]) -> None:
        """An event of the signer: a sign is told when its first frame is played out, the rest at once."""
        if message["type"] not in RELAYED or self._channel is None or self.scheduler is None:
            return
        index = message.get("index")
        if message["type"] == "gloss" and isinstance(index, int) and index != self._shown:
            self._promised[index] = message
            while len(self._promised) > MAX_PROMISED:
                del self._promised[next(iter(self._promised))]
            return
        pts_ns = message.get("pts_ns")
        local_ns = self.scheduler.local_ns(pts_ns) if isinstance(pts_ns, int) else None
        self._tell(message, local_ns)

    def _tell(self, message: dict[str, Any], local_ns: int | None) -> None:
        if self._channel is not None:
            timed = {} if local_ns is None else {"pts_ns": local_ns, "rtp": self._channel.rtp(local_ns)}
            self._channel.tell(message | timed)

    def _played(self, frame: MotionFrame) -> None:
        """On the playout thread: the loop hears of it only when another sign begins."""
        if frame.gloss == self._shown or self._loop is None:
            return
        self._shown = frame.gloss
        try:
            self._loop.call_soon_threadsafe(self._began, frame.gloss, frame.pts_ns)
        except RuntimeError:  # the loop has closed
            self._loop = None

    def _began(self, index: int, local_ns: int) -> None:
        message = self._promised.pop(index, None)
        if message is not None:
            self._tell(message, local_ns)
