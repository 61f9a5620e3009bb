"""Who is on air and who watches: creates signers, admits viewers, and keeps the limits.

Enters: settings and offers. Leaves: channels and sessions. Does not know HTTP; says no with `Refusal`.
Every signer, session and thread that exists is reachable from here, and ends in `close`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from stream import events
from stream.access import Bearer
from stream.captioning import Captioning
from stream.channel import Channel
from stream.config import Config, SignerSettings
from stream.errors import Refusal
from stream.metrics import Metrics
from stream.peers import Peer
from stream.performer import Cast
from stream.pipeline import Pipeline
from stream.rendering import RendererFactory
from stream.rtc import MALFORMED

log = logging.getLogger(__name__)

RETRY_AFTER_S = 10
STILL_S = 2.0
"""A signer that has not moved for so long stands still, even at rest: it breathes."""


class Stage:
    """See the module. Lives on the event loop."""

    def __init__(self, config: Config, cast: Cast) -> None:
        self.config = config
        self.cast = cast
        self.channels: dict[str, Channel] = {}
        self.captioning: dict[str, Captioning] = {}
        self.pipeline = Pipeline(cast.scheduler(), config.fps, cast.preferred)
        self.refused = 0
        self.others: list[Callable[[], list[str]]] = []
        """Who else may be in trouble: what runs beside the signers."""
        self.metrics = Metrics(self.stats)
        self.draining = False
        self.put_on_air = False
        """Whether the signers of the configuration were on air once; later they may be taken off."""
        self._started_s = time.monotonic()
        self._ice_servers = config.rtc_ice_servers()
        self._closing = False
        self._changing = asyncio.Lock()
        self._departing: set[asyncio.Task[None]] = set()

    def channel(self, name: str) -> Channel:
        """The signer of that name. Refusal 404, listing who is on air."""
        channel = self.channels.get(name)
        if channel is None:
            raise Refusal(
                404, f"there is no signer {name[:40]!r}", f"on air: {', '.join(self.channels) or 'nobody'}"
            )
        return channel

    def checked(self, settings: SignerSettings) -> SignerSettings:
        """The settings with the default avatar filled in. Refusal 422 for what does not exist."""
        if not settings.avatar:
            settings = dataclasses.replace(settings, avatar=next(iter(self.cast.avatars)))
        for what, value, known in (
            ("language", settings.language, self.cast.languages),
            ("avatar", settings.avatar, self.cast.avatars),
        ):
            if value not in known:
                raise Refusal(422, f"there is no {what} {value[:40]!r}", f"choose one of: {', '.join(known)}")
        return settings

    async def create(self, settings: SignerSettings, owner: Bearer | None = None) -> Channel:
        """Put a signer on air. Refusal 409, 422, 429, 503, or 500 where its renderer cannot open."""
        settings = self.checked(settings)
        async with self._changing:
            if settings.name in self.channels:
                raise Refusal(
                    409, f"signer {settings.name!r} is on air already", "choose another name, or PATCH it"
                )
            if self._closing or self.draining:
                self._refuse("the server is shutting down")
            if len(self.channels) >= self.config.max_signers:
                self._refuse(f"{self.config.max_signers} signers are on air, which is the limit")
            if owner is not None:
                owner.admit("signers", sum(c.owner is owner for c in self.channels.values()))
            signer = await asyncio.to_thread(self.cast.signer, settings)
            self.cast.warm(settings.language)
            performer = self.pipeline.performer(settings.name, signer)
            channel = Channel(self.config, settings, performer, self.metrics.meter(settings.name))
            channel.owner = owner
            try:
                await self.pipeline.add(channel, *self._renderers(settings))
            except RuntimeError as error:
                await channel.close()
                raise _undrawable(settings, error) from error
            spoken = self.cast.languages[settings.language].spoken
            self.captioning[settings.name] = Captioning(channel, self.config, spoken)
            self.channels[settings.name] = channel
            if self.put_on_air:  # again: its feeds ended with it
                self.captioning[settings.name].reopen()
            return channel

    def _renderers(self, settings: SignerSettings) -> tuple[RendererFactory, RendererFactory | None]:
        fallback = self.cast.fallback
        below = None if fallback is None else lambda: fallback(settings)
        return lambda: self.cast.renderer(settings), below

    async def update(self, name: str, changes: Mapping[str, Any]) -> Channel:
        """Change how a signer signs or looks, and tell its viewers. Refusal 404 or 422."""
        async with self._changing:
            channel = self.channel(name)
            old = channel.settings
            try:
                settings = self.checked(dataclasses.replace(old, **changes))
            except ValueError as error:
                raise Refusal(422, str(error), "send a value in that range") from error
            if (settings.avatar, settings.background) != (old.avatar, old.background):
                try:
                    await self.pipeline.recast(channel, *self._renderers(settings))
                except RuntimeError as error:
                    raise _undrawable(settings, error) from error
            channel.settings = settings
            self.cast.warm(settings.language)
            await channel.performer.adjust(settings)
            channel.tell(events.settings(channel.describe()))
            return channel

    async def delete(self, name: str) -> None:
        """Take a signer off air; its viewers' sessions end."""
        async with self._changing:
            channel = self.channel(name)
            del self.channels[name]
            await self._end(channel, "the signer went off air")

    async def admit(self, channel: Channel, offer: str, owner: Bearer | None = None) -> tuple[Peer, str]:
        """A new viewer and the answer to its offer. Refusal 400 for the offer, 503 beyond the limits, 429
        beyond those of its owner's token.
        """
        config = self.config
        viewers = sum(len(c.peers) for c in self.channels.values())
        if self._closing or self.draining:
            self._refuse("the server is shutting down")
        if viewers >= config.max_viewers:
            self._refuse(f"{config.max_viewers} viewers are connected, which is the limit")
        if len(channel.peers) >= config.max_viewers_per_signer:
            self._refuse(f"{config.max_viewers_per_signer} viewers watch this signer, which is the limit")
        if owner is not None:
            owner.admit("viewers", sum(p.owner is owner for c in self.channels.values() for p in c.peers))
        peer = Peer(channel.broadcast, channel.hooks, config.codecs, self._ice_servers, config.handshake_s)
        peer.owner = owner
        channel.peers.add(peer)  # counted before the first await, or a flood would slip through together
        try:
            answer = await peer.answer(offer)
            log.info("a viewer of %s comes; %d watch", channel.settings.name, len(channel.peers))
            return peer, answer
        except MALFORMED as error:
            self._depart(peer, "its offer could not be used")
            raise Refusal(
                400,
                f"the offer could not be used: {error or type(error).__name__}",
                "send a complete SDP offer with a recvonly video section that takes H.264 (42e01f) or VP8",
            ) from error
        except BaseException:
            self._depart(peer, "its request was abandoned")
            raise

    async def dismiss(self, name: str, session: str) -> None:
        """End one session. Refusal 404 when there is none."""
        for peer in self.channel(name).peers:
            if peer.session == session:
                await asyncio.shield(self._depart(peer, "the viewer left"))
                return
        raise Refusal(404, "there is no such session", "it has ended already; POST a new offer")

    def captions_of(self, name: str) -> Captioning:
        """The caption feeds of a signer. Refusal 404."""
        return self.captioning[self.channel(name).settings.name]

    def trouble(self) -> list[str]:
        """What is wrong just now, in words; empty when all is well."""
        captions = [trouble for feeds in self.captioning.values() for trouble in feeds.trouble()]
        others = [trouble for tell in self.others for trouble in tell()]
        return self.pipeline.trouble() + captions + others

    def unready(self) -> list[str]:
        """Why no viewers should be sent here just now; empty when they are welcome."""
        why = ["the server is shutting down"] if self.draining or self._closing else []
        missing = [s.name for s in self.config.signers if s.name not in self.channels]
        if not self.put_on_air:
            why += [f"{name}: not on air yet" for name in missing]
        if self.cast.warming():
            why.append("letters are still being prepared")
        now_s = time.monotonic()
        for name, channel in self.channels.items():
            if now_s - channel.moved_s > STILL_S:
                why.append(f"{name}: no motion for {now_s - channel.moved_s:.0f} s")
        return why + self.pipeline.trouble()

    def stats(self) -> events.Message:
        """Figures for GET /stats."""
        return {
            "draining": self.draining,
            "trouble": len(self.trouble()),
            "uptime_s": round(time.monotonic() - self._started_s, 1),
            "viewers": sum(len(c.peers) for c in self.channels.values()),
            "refused": self.refused,
            "pipeline": self.pipeline.stats(),
            "signers": {
                name: channel.stats()
                | self.pipeline.stats_of(name)
                | {"captions": self.captioning[name].stats()}
                for name, channel in self.channels.items()
            },
        }

    async def drain(self, grace_s: float) -> int:
        """Take no more viewers and no more text, and finish what is being signed, within `grace_s`.

        Returns how many signs were left. Viewers are told at once.
        """
        self.draining = True
        until_s = time.monotonic() + grace_s
        for channel in self.channels.values():
            channel.tell(events.ending(grace_s * 1e3))
        await asyncio.gather(*(feeds.close() for feeds in self.captioning.values()))
        await asyncio.gather(*(channel.finish() for channel in self.channels.values()))
        while time.monotonic() < until_s and any(c.signing for c in self.channels.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # several threads end it, and none of them tells
        return sum(c.performer.pending for c in self.channels.values())

    async def close(self, grace_s: float) -> int:
        """Everybody leaves: peers within `grace_s`, then threads. Returns how many had to be cancelled."""
        self._closing = True
        leaving = [self._depart(p, "the server ends") for c in self.channels.values() for p in list(c.peers)]
        pending: set[asyncio.Task[None]] = set()
        if leaving or self._departing:
            _, pending = await asyncio.wait({*leaving, *self._departing}, timeout=grace_s)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending, timeout=1.0)
        async with self._changing:
            channels, self.channels = list(self.channels.values()), {}
            for channel in channels:
                await self._end(channel, "the server ends")
        await self.pipeline.close()
        return len(pending)

    async def _end(self, channel: Channel, reason: str) -> None:
        await self.captioning.pop(channel.settings.name).close()
        leaving = [self._depart(peer, reason) for peer in list(channel.peers)]
        if leaving:
            await asyncio.wait(leaving)
        await self.pipeline.remove(channel)
        await channel.close()

    def _depart(self, peer: Peer, reason: str) -> asyncio.Task[None]:
        task = peer.begin_close(reason)
        if not task.done():
            self._departing.add(task)
            task.add_done_callback(self._departing.discard)
        return task

    def _refuse(self, error: str) -> None:
        self.refused += 1
        raise Refusal(503, error, f"try again in {RETRY_AFTER_S} s", retry_after_s=RETRY_AFTER_S)


def _undrawable(settings: SignerSettings, error: RuntimeError) -> Refusal:
    return Refusal(
        500,
        f"the picture of {settings.name!r} cannot be drawn: {error}",
        "`handstream doctor` says what is missing (without a GPU, Mesa does: libegl1 libgl1-mesa-dri)",
    )


STAGE: web.AppKey[Stage] = web.AppKey("stage", Stage)
