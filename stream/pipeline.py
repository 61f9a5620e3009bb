"""The threads of one server, and what passes between them.

    inference thread -> drawing threads -> encoder threads -> event loop -> peers
    engine.scheduler    rendering          broadcast          broadcast     sender

Enters: signers and their channels. Leaves: motion and pictures to each channel. Does not know what is
signed or who watches. Motion goes to the loop in order (waits); to the drawing threads latest wins (drops
counted), and only while somebody watches: signing goes on unseen, drawing does not.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from engine.signals import Caption, MotionFrame, Unseen
from renderer.base import PREFERRED, Policy
from stream.channel import Channel
from stream.config import SignerSettings
from stream.handoff import Ordered
from stream.performer import SaidLike, SchedulerLike, SignerLike
from stream.rendering import RendererFactory, RenderThreads
from stream.rest_budget import RestBudget

MOTION_FRAMES = 64
"""Frames that may wait for a late loop: two and a half seconds. Then signing waits for it too."""


class Performer:
    """One signer, reached from the event loop. pending: glosses to sign; backlog_ms: how long they take."""

    def __init__(self, name: str, scheduler: SchedulerLike, signer: SignerLike) -> None:
        self.signer = signer
        self._name = name
        self._scheduler = scheduler

    @property
    def pending(self) -> int:
        return self.signer.pending

    @property
    def backlog_ms(self) -> float:
        return self.signer.backlog_ms

    @property
    def resting(self) -> bool:
        """Nothing to sign, and the hands lie still. A signer that cannot tell never rests."""
        return bool(getattr(self.signer, "resting", False))

    async def say(self, caption: Caption) -> SaidLike:
        """Have a caption signed. Raises what the signer raises: BacklogFull, ValueError."""
        said: SaidLike = await asyncio.wrap_future(self._scheduler.say(self._name, caption))
        return said

    async def interrupt(self) -> None:
        """Stop signing now, and return to rest."""
        await asyncio.wrap_future(self._scheduler.interrupt(self._name))

    async def adjust(self, settings: SignerSettings) -> None:
        """Sign as `settings` say from the next frame on."""

        def change() -> None:
            self.signer.rate = settings.rate
            self.signer.left_handed = settings.left_handed
            self.signer.language = settings.language

        await asyncio.wrap_future(self._scheduler.call(change))


@dataclass(frozen=True)
class _Line:
    """One signer's way through the threads."""

    channel: Channel
    motion: Ordered[MotionFrame | Unseen]


class Pipeline:
    """See the module. Methods run on the event loop."""

    def __init__(self, scheduler: SchedulerLike, fps: float = 25.0, preferred: Policy = PREFERRED) -> None:
        self._scheduler = scheduler
        self._render = RenderThreads(fps, preferred=preferred)
        self._lines: dict[str, _Line] = {}
        self._rest = RestBudget(fps)

    def performer(self, name: str, signer: SignerLike) -> Performer:
        return Performer(name, self._scheduler, signer)

    async def add(
        self, channel: Channel, factory: RendererFactory, fallback: RendererFactory | None = None
    ) -> None:
        """Put a channel on air. Raises what its renderer's `open` raises (RuntimeError without a device)."""
        name = channel.settings.name
        await self._render.add(name, factory, channel.broadcast.offer, fallback)
        motion: Ordered[MotionFrame | Unseen] = Ordered(
            asyncio.get_running_loop(), channel.motion, MOTION_FRAMES
        )
        self._lines[name] = _Line(channel, motion)

        def on_frame(frame: MotionFrame) -> None:
            if not channel.broadcast.watched:
                self._rest.forget(name)
            elif self._rest.due(name, channel.performer.resting, frame.pts_ns):
                self._render.submit(name, frame)
            motion.put(frame)

        def on_unseen(frame: Unseen) -> None:
            self._rest.forget(name)
            motion.put(frame)

        def watched() -> bool:
            return bool(channel.peers) or channel.broadcast.watched

        signer = channel.performer.signer
        await asyncio.to_thread(self._scheduler.add, name, signer, on_frame, watched, on_unseen)

    async def recast(
        self, channel: Channel, factory: RendererFactory, fallback: RendererFactory | None = None
    ) -> None:
        """Draw the channel with another renderer."""
        await self._render.replace(channel.settings.name, factory, fallback)

    async def remove(self, channel: Channel) -> None:
        """Take a channel off air: no frame of it is stepped, drawn or delivered after this."""
        name = channel.settings.name
        line = self._lines.pop(name, None)
        if line is not None:
            line.motion.close()  # first, so that an inference thread that waits in it is let go
            await asyncio.to_thread(self._scheduler.remove, name)
            self._rest.forget(name)
            await self._render.remove(name)

    def stats(self) -> dict[str, object]:
        return {
            "dropped_before_drawing": self._render.dropped,
            "drawing_threads": self._render.threads(),
            "scheduler": self._scheduler.stats(),
        }

    def stats_of(self, name: str) -> dict[str, object]:
        return self._render.stats(name)

    def trouble(self) -> list[str]:
        """What is wrong just now, in words; empty when all is well."""
        return [
            f"{name}: the picture cannot be drawn and its last one is shown"
            for name in self._lines
            if self._render.failing(name)
        ]

    async def close(self) -> None:
        """End both threads."""
        for line in list(self._lines.values()):
            await self.remove(line.channel)
        await asyncio.to_thread(self._scheduler.close)
        await self._render.close()
