"""One signer on air: its settings, its audience, and what the audience is told.

Enters: text (to be signed), motion frames and encoded frames (on the event loop). Leaves: events and motion
to every peer. Does not know threads, HTTP or WebRTC; the performer behind `say` is handed in.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from engine.pacing_unit import Fate
from engine.signals import IDLE, Caption, MotionFrame, Unseen
from engine.signer import BacklogFull, Said, TextTooLong
from stream import events, wire
from stream.broadcast import Broadcast
from stream.caption_log import CaptionLog
from stream.captions.live_text import LiveText
from stream.config import Config, SignerSettings
from stream.delay_log import DelayLog
from stream.encoder import EncodedFrame, rtp_ticks
from stream.errors import Refusal
from stream.lag import LagLog
from stream.logs import follow
from stream.peers import Peer, PeerHooks

if TYPE_CHECKING:
    from stream.access import Bearer
    from stream.metrics import Meter
    from stream.performer import SaidLike
    from stream.pipeline import Performer

log = logging.getLogger(__name__)

REMEMBERED_LIVE = 512
"""Captions whose origin is known: more than ever wait to be signed."""

_NOTHING = "there is nothing to sign in this text; send letters, words or digits"


class Channel:
    """See the module. Lives on the event loop."""

    def __init__(
        self, config: Config, settings: SignerSettings, performer: Performer, meter: Meter | None = None
    ) -> None:
        self.settings = settings
        self.performer = performer
        self.broadcast = Broadcast(config.fps, config.bit_rate, self._frame_encoded)
        self.peers: set[Peer] = set()
        self.hooks = PeerHooks(
            opened=self._opened, message=self._message, closed=self._closed, sent=self._frame_sent
        )
        self.listeners: list[Callable[[events.Message], None]] = []
        """Others on the loop who hear what viewers are told (kiosks)."""
        self.owner: Bearer | None = None
        self.motion_frames = 0
        self._config = config
        self._captions = CaptionLog(config.max_text_chars, settings.name)
        self._meter = meter
        self._delays = DelayLog(meter.caption if meter else lambda _: None)
        self._followed = 0
        self._ends = False
        self.moved_s = time.monotonic()
        self._omitted = self._dropped_by_leavers = 0
        self._pause: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self._skipped: tuple[tuple[int, str], ...] = ()
        self._shown = IDLE
        self._begun = (IDLE, 0)
        self._resting = True
        self._lag = LagLog()
        self._live: OrderedDict[int, LiveText] = OrderedDict()
        self.left_out: Callable[[Fate, LiveText | None], None] = lambda fate, live: None
        """Told of every word that is not signed, with the live caption it comes from, if it does."""

    def describe(self) -> events.Message:
        """What GET /signers says of this signer."""
        return {
            **asdict(self.settings),
            "width": self._config.width,
            "height": self._config.height,
            "fps": self._config.fps,
            "viewers": len(self.peers),
            "whep": f"/whep/{self.settings.name}",
        }

    async def say(
        self, text: str, final: bool = True, language: str | None = None, live: LiveText | None = None
    ) -> events.Message:
        """Have text signed: {"caption", "glosses", "unspellable", "omitted"}, and a "note" when there was
        nothing to sign in it; "interrupted" when it was dropped before it was understood. Raises Refusal when
        it is too much.

        After `final=False` more is expected; without any for `Config.pause_s` the caption ends by itself.
        live: of a live caption, where it comes from and when it was said.
        """
        limit = self._config.max_text_chars
        if self._ends and text:
            raise Refusal(503, "the server is shutting down", "send it to another", retry_after_s=10)
        if len(text) > limit:
            raise Refusal(
                413, f"got {len(text)} characters, at most {limit} at once", "send it in pieces, in order"
            )
        if self.performer.pending > self._config.max_backlog_glosses:
            wait_s = max(1, round(self.performer.backlog_ms / 1000 / 2))
            raise Refusal(
                503,
                f"{self.performer.pending} signs are still waiting to be signed",
                "wait, or POST .../interrupt to drop them",
                retry_after_s=min(wait_s, 60),
            )
        text = text.encode("utf-8", "replace").decode("utf-8")  # JSON may smuggle in half characters
        self._expect_more(None)
        if not text.strip() and not self._captions.open:
            return self._answer(self._captions.seq, Said()) | {"note": _NOTHING}
        arrived_ns = time.monotonic_ns()
        seq = self._captions.add(text, final)
        caption_id = self._captions.id_of(seq)
        follow(caption_id, "arrived", characters=len(text), final=final)
        language = language or self.settings.language
        if not final:
            self._expect_more(language)
        caption = Caption(text=text, language=language, seq=seq, pts_ns=arrived_ns, final=final)
        if live is not None:
            caption = replace(caption, pts_ns=live.pts_ns, end_ns=live.end_ns, delay_ns=live.delay_ns)
            self._live[seq] = live
            if len(self._live) > REMEMBERED_LIVE:
                self._live.popitem(last=False)
        try:
            said = await self.performer.say(caption)
        except BacklogFull as full:
            self._captions.refused(seq, text)
            remedy = "wait, or POST .../interrupt to drop what waits"
            raise Refusal(503, str(full), remedy, retry_after_s=math.ceil(full.retry_after_s)) from full
        except TextTooLong as long:
            raise Refusal(413, str(long), "send it in pieces, in order") from long
        glossed_ns = time.monotonic_ns()
        took_ms = round((glossed_ns - arrived_ns) / 1e6, 2)
        follow(caption_id, "glossed", glosses=len(said.glosses), omitted=len(said.omitted), after_ms=took_ms)
        self._omitted += len(said.omitted)
        if said.glosses and not caption.delay_ns:  # a programme delay is none of ours
            self._delays.promised(seq, said.glosses[0][0], arrived_ns, glossed_ns, caption_id)
        told = self._captions.understood(seq, said)
        if told is not None:
            self.tell(told)
        answer = self._answer(seq, said)
        if getattr(said, "interrupted", False):
            return answer | {"interrupted": True}
        silent = final and told is not None and not (told["glosses"] or said.unspellable or said.omitted)
        return answer | {"note": _NOTHING} if silent else answer

    async def interrupt(self) -> None:
        """Stop signing now and return to rest."""
        self._expect_more(None)
        self._captions.end()
        self._delays.clear()
        await self.performer.interrupt()

    async def close(self) -> None:
        """No more text is expected, and every encoder ends."""
        self._expect_more(None)
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.wait([self._ending])
        await self.broadcast.close()
        if self._meter is not None:
            self._meter.close()

    async def finish(self) -> None:
        """Take no more text; what was heard is signed to its end."""
        self._ends = True
        open_caption, self._pause = self._pause, None
        if open_caption is not None:
            open_caption.cancel()
            await self._end_caption(self.settings.language)

    @property
    def signing(self) -> bool:
        """Whether something is being signed, or waits to be."""
        return bool(self.performer.pending) or not self._resting

    def _expect_more(self, language: str | None) -> None:
        """More of a caption in `language` should come soon, or, with None, no longer."""
        if self._pause is not None:
            self._pause.cancel()
        self._pause = None
        if language is not None:
            loop = asyncio.get_running_loop()
            self._pause = loop.call_later(self._config.pause_s, self._paused, language)

    def _paused(self, language: str) -> None:
        """Whoever wrote has stopped, perhaps for good: what was heard is signed to its end."""
        if self._ending is None or self._ending.done():
            self._ending = asyncio.create_task(self._end_caption(language), name="end of caption")

    async def _end_caption(self, language: str) -> None:
        try:
            await self.say("", True, language)
        except Refusal as refusal:
            log.info("the end of a caption of %s waits: %s", self.settings.name, refusal.error)
            if not self._ends:
                self._expect_more(language)

    def tell(self, message: events.Message) -> None:
        """Send one event to every viewer that listens."""
        text = json.dumps(message, ensure_ascii=False)
        for peer in self.peers:
            peer.send_event(text)
        for listener in self.listeners:
            listener(message)

    def motion(self, frame: MotionFrame | Unseen) -> None:
        """A frame was stepped: tell what is signed now, and pass the motion to those who want it."""
        self.motion_frames += 1
        self.moved_s = time.monotonic()
        if frame.gloss != IDLE and frame.gloss != self._shown:
            self._began(frame)
        elif frame.gloss == IDLE and not self._resting and not self.performer.pending:
            self._resting, self._shown = True, IDLE
            self._lag.idle()
            self.tell(events.idle(frame.pts_ns, self.rtp(frame.pts_ns)))
        if (skipped := self.performer.signer.skipped) != self._skipped:
            for index, reason in skipped:
                if (index, reason) not in self._skipped:
                    self.tell(events.skipped(index, self._captions.gloss(index), reason))
            self._skipped = skipped
        for fate in self.performer.signer.take_fates():
            self._settled(fate)
        if isinstance(frame, MotionFrame):
            self._send_motion(frame)

    def _settled(self, fate: Fate) -> None:
        """It is certain what became of a word."""
        if fate.kind in ("signed", "skipped"):  # what was skipped is told sign by sign, where it is noticed
            return
        self._omitted += fate.kind == "omitted"
        self._captions.left_out(fate)
        self.tell(events.left_out(fate))
        self.left_out(fate, self._live.get(fate.caption_seq))

    def _began(self, frame: MotionFrame | Unseen) -> None:
        """A sign has begun with this frame, or with one before, when a late loop did not know it yet."""
        if self._begun[0] != frame.gloss:
            self._begun = (frame.gloss, frame.pts_ns)
        if not self.broadcast.watched:
            self._delays.unseen(frame.gloss)
        gloss = self._captions.gloss(frame.gloss)
        if gloss is not None:
            self._shown, self._resting = frame.gloss, False
            pts_ns = self._begun[1]
            if gloss.caption_seq > self._followed:
                self._followed = gloss.caption_seq
                follow(self._captions.id_of(gloss.caption_seq), "stepped", seq=frame.seq, gloss=frame.gloss)
            lag_ms = self._lag.began(pts_ns - gloss.pts_ns)
            recorded = self.performer.signer.recorded(gloss)
            self.tell(events.gloss(frame.gloss, gloss, pts_ns, self.rtp(pts_ns), lag_ms, recorded))

    def _send_motion(self, frame: MotionFrame) -> None:
        wanted = {peer.motion_precision for peer in self.peers} - {None}
        for precision in wanted:
            assert precision is not None
            data = wire.encode(frame, precision)
            for peer in self.peers:
                if peer.motion_precision == precision:
                    peer.send_motion(data)

    def rtp(self, pts_ns: int) -> int:
        """The RTP timestamp of the picture presented at `pts_ns`, the same for every peer of this signer."""
        return (self.broadcast.rtp_origin + rtp_ticks(pts_ns)) & 0xFFFFFFFF

    def stats(self) -> events.Message:
        """Figures of this signer for GET /stats."""
        outputs = {}
        for codec, output in self.broadcast.outputs.items():
            recent = sorted(output.encode_ms)
            outputs[codec] = {
                "viewers": len(output.queues),
                "frames": output.frames,
                "keyframes": output.keyframes,
                "failures": output.failures,
                "encode_ms_p50": round(recent[len(recent) // 2], 2) if recent else None,
                "encode_ms_p99": round(recent[int(len(recent) * 0.99)], 2) if recent else None,
            }
        return {
            "viewers": len(self.peers),
            "motion_frames": self.motion_frames,
            "pending_glosses": self.performer.pending,
            "backlog_ms": round(self.performer.backlog_ms),
            "lag_ms": self._lag.stats(),
            "tempo": round(self.performer.signer.tempo, 3),
            "omitted": self._omitted,
            "dropped_before_encoder": self.broadcast.dropped,
            "encode_failures": self.broadcast.failures,
            "keyframes": self.broadcast.keyframes,
            "peers_dropped": self._dropped_by_leavers,
            "outputs": outputs,
            "peers": [peer.stats() for peer in self.peers],
        }

    def _frame_encoded(self, frame: EncodedFrame) -> None:
        self._delays.encoded(frame)
        if self._meter is not None:
            self._meter.encoded(frame)

    def _frame_sent(self, frame: EncodedFrame) -> None:
        if self._meter is not None:
            self._meter.sent(frame, time.monotonic_ns())
        for message in self._delays.sent(frame):
            self.tell(message)

    def _answer(self, seq: int, said: SaidLike) -> events.Message:
        return {
            "caption": seq,
            "id": self._captions.id_of(seq),
            "glosses": [events.gloss_entry(index, gloss) for index, gloss in said.glosses],
            "unspellable": [events.remark(item) for item in said.unspellable],
            "omitted": [events.remark(item) for item in said.omitted],
        }

    def _opened(self, peer: Peer) -> None:
        for message in (events.hello(self.describe(), peer.session), self._captions.last):
            if message is not None:
                peer.send_event(json.dumps(message, ensure_ascii=False))

    def _message(self, peer: Peer, message: events.Message) -> None:
        if message["type"] != "say":
            return  # a newer viewer may know more than we do
        text, final = message.get("text"), message.get("final", True)
        if not isinstance(text, str) or not isinstance(final, bool):
            wrong = events.error("say: expected text, and final true or false", "see PROTOCOL.md")
            peer.send_event(json.dumps(wrong))
            return
        peer.start(self._say_for(peer, text, final))

    async def _say_for(self, peer: Peer, text: str, final: bool) -> None:
        try:
            if peer.owner is not None:
                peer.owner.request()
                peer.owner.characters(len(text))
            await self.say(text, final)
        except Refusal as refusal:
            peer.send_event(json.dumps(events.error(refusal.error, refusal.remedy)))

    def _closed(self, peer: Peer, reason: str) -> None:
        self.peers.discard(peer)
        self._dropped_by_leavers += peer.dropped_frames
        if self._meter is not None:
            self._meter.lost("events", peer.dropped_events)
            self._meter.lost("motion", peer.dropped_motion)
        log.info("a viewer of %s leaves (%s); %d watch", self.settings.name, reason, len(self.peers))
