"""Encode once, fan out: one encoder thread per codec that somebody watches, and every queue fed from it.

Enters: `Shot`s (from the GL thread, latest wins). Leaves: the same `EncodedFrame` in each subscriber's queue,
on the event loop. Does not know RTP, sessions or signers. Nobody watches: no thread runs, nothing is encoded.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable

from stream.encoder import Codec, EncodedFrame, VideoEncoder
from stream.frame_queue import FrameQueue
from stream.handoff import Latest, Ordered
from stream.keyframes import KeyframeBudget
from stream.shot import Shot

log = logging.getLogger(__name__)

REMEMBERED = 256


class Output:
    """One encoder on its own thread, and the queues it feeds. All methods but the thread run on the loop."""

    def __init__(
        self, codec: Codec, fps: float, bit_rate: int | None, on_frame: Callable[[EncodedFrame], None]
    ) -> None:
        self.codec = codec
        self.queues: set[FrameQueue] = set()
        self.frames = 0
        self.keyframes = 0
        self.failures = 0
        self.encode_ms: deque[float] = deque(maxlen=REMEMBERED)
        self._on_frame = on_frame
        self._encoder = VideoEncoder(codec, fps, bit_rate)
        self._shots: Latest[None, Shot] = Latest()
        self._encoded = Ordered(asyncio.get_running_loop(), self._fan_out, size=4)
        self._wanted_at_s: float | None = None
        self._budget = KeyframeBudget()
        self._thread = threading.Thread(target=self._run, name=f"encode-{codec}", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        return self._shots.dropped

    def offer(self, shot: Shot) -> None:
        """Give a picture to the encoder; an older one still waiting is dropped. Any thread."""
        self._shots.put(None, shot)

    def want_keyframe(self, joined: bool = False) -> None:
        """Ask for a keyframe, for a receiver that lost its picture, or that has `joined`."""
        now_s = time.monotonic()
        at_s = self._budget.joined(now_s) if joined else self._budget.requested(now_s)
        already_s = self._wanted_at_s
        # If the thread takes the old request just now, its keyframe comes after this call: it serves both.
        self._wanted_at_s = at_s if already_s is None else min(at_s, already_s)

    def close(self) -> threading.Thread:
        """Ask the thread to end; it does within a frame."""
        self._encoded.close()
        self._shots.close()
        return self._thread

    def _run(self) -> None:
        while (items := self._shots.take()) is not None:
            for _, shot in items:
                wanted_at_s = self._wanted_at_s
                now_s = time.monotonic()
                keyframe = wanted_at_s is not None and now_s >= wanted_at_s
                if keyframe:
                    self._wanted_at_s = None
                try:
                    encoded = self._encoder.encode(shot, keyframe)
                except Exception:  # the codec's boundary: whatever libavcodec throws must not end the stream
                    self.failures += 1
                    log.exception("%s encoder failed; it is rebuilt with the next picture", self.codec)
                    self._encoder.close()
                    continue
                if encoded is not None:
                    if encoded.keyframe:
                        self._budget.made(now_s)
                    self._encoded.put(encoded)
        self._encoder.close()

    def _fan_out(self, frame: EncodedFrame) -> None:
        self.frames += 1
        self.keyframes += frame.keyframe
        self.encode_ms.append(frame.encode_ms)
        for queue in self.queues:
            queue.put(frame)
        self._on_frame(frame)


class Broadcast:
    """All outputs of one signer. `on_frame` sees every encoded frame on the loop, for latency figures."""

    def __init__(
        self,
        fps: float,
        bit_rate: int | None = None,
        on_frame: Callable[[EncodedFrame], None] = lambda _: None,
    ) -> None:
        self.rtp_origin = random.getrandbits(32)
        """Added to this signer's RTP times; the same for every peer, so that events can name frames."""
        self.outputs: dict[Codec, Output] = {}
        self.taps: list[Callable[[Shot], None]] = []
        """Who else takes every picture, before it is encoded (recorders). Any thread; must not wait."""
        self._fps = fps
        self._bit_rate = bit_rate
        self._on_frame = on_frame
        self._ending: list[threading.Thread] = []
        self._retired_dropped = 0
        self._retired_failures = 0
        self._retired_keyframes = 0

    @property
    def watched(self) -> bool:
        """Whether anybody would see a picture. Any thread."""
        return bool(self.outputs or self.taps)

    @property
    def dropped(self) -> int:
        """Pictures that an encoder was too late for."""
        return self._retired_dropped + sum(o.dropped for o in list(self.outputs.values()))

    @property
    def failures(self) -> int:
        """Pictures that an encoder failed at."""
        return self._retired_failures + sum(o.failures for o in list(self.outputs.values()))

    @property
    def keyframes(self) -> int:
        return self._retired_keyframes + sum(o.keyframes for o in list(self.outputs.values()))

    def offer(self, shot: Shot) -> None:
        """Give a picture to every encoder that runs. Any thread."""
        for output in list(self.outputs.values()):
            output.offer(shot)
        for tap in list(self.taps):
            tap(shot)

    def subscribe(self, codec: Codec, queue: FrameQueue) -> None:
        """Feed `queue` from now on, beginning with a keyframe that is made for it at once."""
        output = self.outputs.get(codec)
        if output is None:
            output = self.outputs[codec] = Output(codec, self._fps, self._bit_rate, self._on_frame)
        output.queues.add(queue)
        output.want_keyframe(joined=True)

    def unsubscribe(self, queue: FrameQueue) -> None:
        """Stop feeding `queue`; the last one to leave ends its encoder."""
        for codec, output in list(self.outputs.items()):
            output.queues.discard(queue)
            if not output.queues:
                del self.outputs[codec]
                self._retired_dropped += output.dropped
                self._retired_failures += output.failures
                self._retired_keyframes += output.keyframes
                self._ending = [t for t in self._ending if t.is_alive()] + [output.close()]

    def request_keyframe(self, queue: FrameQueue) -> None:
        """A receiver lost its picture: one keyframe for its whole output, as `stream.keyframes` allows."""
        for output in self.outputs.values():
            if queue in output.queues:
                output.want_keyframe()

    async def close(self) -> None:
        """End every encoder and wait for the threads."""
        for codec in list(self.outputs):
            self._ending.append(self.outputs.pop(codec).close())
        ending, self._ending = self._ending, []
        for thread in ending:
            await asyncio.to_thread(thread.join, 5.0)
