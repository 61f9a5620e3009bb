"""The inference thread: it owns every signer and steps them all at one steady pace.

Enters: signers with their sinks, captions, interruptions and other commands, from any thread. Leaves: each
signer's `MotionFrame` to its sink, on the inference thread, once a tick; of a signer that nobody watches its
`Unseen` frame, at an eighth of the cost. Does not know pictures or networks.

Policies. Pace: ticks lie on start + n / fps of a monotonic clock, so nothing drifts; a tick that comes more
than one period late is not made up for: the missed ticks are skipped and counted, signing goes on from
where it was. Commands: a bounded mailbox; what comes between two ticks is carried out at once, the rest at
the tick, all in order; when full, `call` refuses (SchedulerBusy).
Sinks: called in order, and waited for; one that must not hold up the others has to drop (latest wins) by
itself. The interpreter: a tick of many signers pauses between them, so that other threads come to their turn.
A signer that fails is counted, logged and reset; the others never notice.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from engine.clock import NS_PER_S, Clock, MonotonicClock, frame_pts_ns
from engine.signals import Caption, MotionFrame, Unseen
from engine.signer import Said, Signer
from engine.warming import TextLine, Warmers

log = logging.getLogger(__name__)

Sink = Callable[[MotionFrame], None]
UnseenSink = Callable[[Unseen], None]
T = TypeVar("T")


DOZE_S = 2.0
"""Who rests unseen is stepped so often: it stays alive, and costs a fiftieth."""


BREATH_NS, BREATH_S = 500_000, 0.0001
"""After so much work on a tick other threads are let on for a moment. They do not get there by themselves:
each call of numpy that gives up the interpreter's lock for an instant starts their waiting anew, whatever the
switch interval, so that an event loop that wakes up during a tick would wait for its end."""


class SchedulerBusy(RuntimeError):
    """The mailbox is full, or the scheduler is closed; try again later."""


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """mailbox: commands that may wait for a tick. max_signers: signers on this thread. warmers: threads that
    understand text and load clips. captions: captions of one signer that may wait to be understood."""

    mailbox: int = 1024
    max_signers: int = 64
    warmers: int = 1
    captions: int = 256

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if getattr(self, name) < 1:
                raise ValueError(f"SchedulerConfig.{name}: got {getattr(self, name)}, expected at least 1")


@dataclass(slots=True)
class _Member:
    signer: Signer
    sink: Sink
    text: TextLine
    watched: Callable[[], bool] | None = None
    unseen: UnseenSink | None = None
    phase: int = 0
    failures: int = 0
    sink_failures: int = 0

    def step(self, pts_ns: int) -> Callable[[], None]:
        """Step the signer; returns what hands its frame on."""
        if self.unseen is not None and self.watched is not None and not self.watched():
            return partial(self.unseen, self.signer.step_unseen(pts_ns))
        return partial(self.sink, self.signer.step(pts_ns))


class Scheduler:
    """See the module. `open` starts the thread; without it, whoever calls `tick` is the inference thread."""

    def __init__(
        self, fps: float = 25.0, *, clock: Clock | None = None, config: SchedulerConfig = SchedulerConfig()
    ) -> None:
        if not 1 <= fps <= 120:
            raise ValueError(f"scheduler: got {fps} frames a second, expected 1 to 120 (25 is usual)")
        self.fps, self._clock, self._config = float(fps), clock or MonotonicClock(), config
        self._mailbox: queue.Queue[Callable[[], None]] = queue.Queue(config.mailbox)
        self._members: dict[str, _Member] = {}
        self._warmers = Warmers(config.warmers)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._took_ns: deque[int] = deque(maxlen=1024)
        self._start_ns = 0
        self.ticks = self.late_ticks = self.skipped_ticks = self._apart = 0

    # -- life ----------------------------------------------------------------------------------

    def open(self) -> Scheduler:
        """Start the inference thread."""
        if self._thread is not None or self._stop.is_set():
            raise RuntimeError("scheduler: already opened; make a new one")
        self._start_ns = self._clock.now_ns()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop and join the thread; commands that still wait are cancelled. Safe to call twice."""
        self._stop.set()
        with contextlib.suppress(queue.Full):
            self._mailbox.put_nowait(lambda: None)  # it need not wait for its next tick
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        for member in self._members.values():
            member.text.drop()
        self._warmers.close()
        self._drain()

    def __enter__(self) -> Scheduler:
        return self.open() if self._thread is None else self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- commands, from any thread ---------------------------------------------------------------

    def call(self, action: Callable[[], T]) -> Future[T]:
        """Carry `action` out on the inference thread, between two ticks. Raises SchedulerBusy."""
        done: Future[T] = Future()

        def carry_out() -> None:
            if self._stop.is_set():
                done.cancel()
            elif done.set_running_or_notify_cancel():
                try:
                    done.set_result(action())
                except BaseException as error:  # whatever it is belongs to the caller
                    done.set_exception(error)

        if self._stop.is_set():
            raise SchedulerBusy("scheduler: it is closed; make a new one")
        try:
            self._mailbox.put_nowait(carry_out)
        except queue.Full:
            raise SchedulerBusy(
                f"scheduler: {self._config.mailbox} commands wait already; the thread is overloaded, "
                "try again later or use fewer signers"
            ) from None
        return done

    def add(
        self, name: str, signer: Signer, sink: Sink, watched: Callable[[], bool] | None = None,
        unseen: UnseenSink | None = None,
    ) -> None:  # fmt: skip
        """Step `signer` from the next tick on and give its frames to `sink`. Not from the inference thread.

        watched: whether anybody wants its frames just now; asked on the inference thread. While nobody does
        and it rests, it dozes: it is stepped every `DOZE_S` only. With text it is awake at once.
        unseen: gets the frames meanwhile, without their motion; without it `sink` gets them all.

        Raises ValueError for a name in use or another frame rate, SchedulerBusy beyond `max_signers`.
        """
        if signer.fps != self.fps:
            raise ValueError(f"scheduler: signer {name} has {signer.fps} fps, expected {self.fps}")
        self._wait(self.call(lambda: self._add(name, signer, sink, watched, unseen)))

    def remove(self, name: str) -> None:
        """Stop stepping a signer; when this returns its sink is not called again. Unknown names are fine."""
        member = self._wait(self.call(lambda: self._members.pop(name, None)))
        if member is not None:
            member.text.drop()

    def say(self, name: str, caption: Caption) -> Future[Said]:
        """Sign a caption: understood and warmed off the tick, in order, appended as its clips become ready.

        The future holds what `Signer.say` would return or raise (BacklogFull, ValueError), as soon as the
        text is understood. Raises KeyError for an unknown signer, BacklogFull when too many captions wait.
        """
        return self._text(name).say(caption)

    def flush(self, name: str) -> Future[Said]:
        """End of text, in order with what was said."""
        return self._text(name).flush()

    def interrupt(self, name: str) -> Future[None]:
        """Stop now; also what was said and is not yet understood or warmed."""
        text = self._text(name)
        text.forget()
        return self.call(text.signer.halt)

    def stats(self) -> dict[str, object]:
        """Counts since the start, and how long recent ticks took."""
        took = np.array(self._took_ns, dtype=np.float64) / 1e6 if self._took_ns else np.zeros(1)
        members = dict(self._members)
        return {
            "signers": len(members),
            "ticks": self.ticks,
            "late_ticks": self.late_ticks,
            "skipped_ticks": self.skipped_ticks,
            "commands_waiting": self._mailbox.qsize(),
            "tick_ms_p50": round(float(np.percentile(took, 50)), 3),
            "tick_ms_p99": round(float(np.percentile(took, 99)), 3),
            "signer_failures": sum(m.failures for m in members.values()),
            "sink_failures": sum(m.sink_failures for m in members.values()),
        }

    # -- the inference thread ----------------------------------------------------------------------

    def tick(self, pts_ns: int) -> None:
        """Carry out waiting commands, then step every signer once."""
        began_ns = time.perf_counter_ns()
        self._drain()
        awake = {name: member for name, member in self._members.items() if not self._dozes(member)}
        self._prepare([member.signer for member in awake.values()])
        since_ns = began_ns
        for name, member in awake.items():
            self._step(name, member, pts_ns)
            since_ns = self._breathe(since_ns)
        self._took_ns.append(time.perf_counter_ns() - began_ns)
        self.ticks += 1

    def run(self, ticks: int) -> None:
        """`ticks` ticks at pace on the calling thread, from now (tests and offline use, with a manual
        clock).
        """
        self._start_ns = self._clock.now_ns()
        number = 0
        while number < ticks:
            number = self._pace(number) + 1

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number = self._pace(number) + 1

    def _pace(self, number: int) -> int:
        """Wait for tick `number` and do it, or, when that is too late, the one that is due; returns which."""
        due_ns = frame_pts_ns(self._start_ns, number, self.fps)
        if self._thread is threading.current_thread():
            self._obey_until(due_ns)
            if self._stop.is_set():
                return number
        self._clock.sleep_until(due_ns)
        period_ns = NS_PER_S / self.fps
        late_ns = self._clock.now_ns() - due_ns
        missed = int(late_ns // period_ns)
        self.late_ticks += late_ns > period_ns / 4
        self.skipped_ticks += missed
        number += missed
        self.tick(frame_pts_ns(self._start_ns, number, self.fps))
        return number

    def _obey_until(self, due_ns: int) -> None:
        """Carry out commands as they come, until a tick is due: who gave one need not wait for the tick, and
        the tick has less to do.
        """
        while not self._stop.is_set() and (left_ns := due_ns - self._clock.now_ns()) > 0:
            try:
                self._mailbox.get(timeout=left_ns / NS_PER_S)()
            except queue.Empty:
                return

    def _breathe(self, since_ns: int) -> int:
        """Between two signers: let other threads on, unless that was a moment ago; returns when it was."""
        now_ns = time.perf_counter_ns()
        if now_ns - since_ns < BREATH_NS or self._thread is not threading.current_thread():
            return since_ns
        time.sleep(BREATH_S)
        return time.perf_counter_ns()

    def _dozes(self, member: _Member) -> bool:
        if member.watched is None or not member.signer.resting or member.watched():
            return False
        return (self.ticks + member.phase) % max(1, round(DOZE_S * self.fps)) != 0

    def _prepare(self, signers: list[Signer]) -> None:
        try:
            Signer.together(signers)
        except Exception:
            self._apart += 1
            if _worth_telling(self._apart):
                log.exception("signers are stepped one by one (%d times so far)", self._apart)

    def _step(self, name: str, member: _Member, pts_ns: int) -> None:
        try:
            hand_on = member.step(pts_ns)
        except Exception:
            member.failures += 1
            if _worth_telling(member.failures):
                log.exception("signer %s failed (%d times so far) and is reset", name, member.failures)
            member.text.forget()
            member.signer.recover()
            return
        try:
            hand_on()
        except Exception:
            member.sink_failures += 1
            if _worth_telling(member.sink_failures):
                log.exception("the sink of signer %s failed (%d times)", name, member.sink_failures)

    def _drain(self) -> None:
        for _ in range(self._mailbox.qsize()):
            try:
                self._mailbox.get_nowait()()
            except queue.Empty:
                return

    def _add(
        self, name: str, signer: Signer, sink: Sink, watched: Callable[[], bool] | None,
        unseen: UnseenSink | None,
    ) -> None:  # fmt: skip
        if name in self._members:
            raise ValueError(f"scheduler: there is a signer {name} already; remove it first")
        if len(self._members) >= self._config.max_signers:
            raise SchedulerBusy(
                f"scheduler: {len(self._members)} signers, no more fit; remove one or raise max_signers"
            )
        text = TextLine(signer, self._warmers, self.call, self._config.captions)
        self._members[name] = _Member(signer, sink, text, watched, unseen, len(self._members))

    def _text(self, name: str) -> TextLine:
        member = self._members.get(name)
        if member is None:
            raise KeyError(f"scheduler: no signer {name}; it was removed or never added")
        return member.text

    def _wait(self, done: Future[T]) -> T:
        if self._thread is None:
            self._drain()
        elif threading.current_thread() is self._thread:
            raise RuntimeError("scheduler: add and remove wait for the inference thread; call them elsewhere")
        return done.result()


def _worth_telling(times: int) -> bool:
    """Of what may happen every tick the log tells the first ones, then ever fewer."""
    return times in (1, 10, 100) or times % 1000 == 0
