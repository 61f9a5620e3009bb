"""The inference thread: steady pace, nothing lost, nobody harmed by a neighbour, nothing left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from engine.clock import ManualClock, frame_pts_ns
from engine.scheduler import Scheduler, SchedulerBusy, SchedulerConfig
from engine.signals import IDLE, Caption, Motion, MotionFrame, Unseen
from engine.signer import BacklogFull, Signer, SignerConfig
from tests.engine.signing import HandMadeLexicon, PlainWords


def make(lexicon: HandMadeLexicon | None = None, **settings: object) -> Signer:
    return Signer(lexicon or HandMadeLexicon(), PlainWords(), language="ase", **settings)  # type: ignore[arg-type]


def caption(text: str, seq: int = 0, final: bool = True) -> Caption:
    return Caption(text, "ase", seq=seq, final=final)


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    """Without a thread: the test ticks."""
    made = Scheduler(clock=ManualClock(1_000))
    yield made
    made.close()


@pytest.fixture
def running() -> Iterator[Scheduler]:
    with Scheduler(50.0) as made:
        yield made


def until(condition: object, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def test_ticks_lie_on_the_grid_and_never_drift(scheduler: Scheduler) -> None:
    frames: list[MotionFrame] = []
    scheduler.add("a", make(), frames.append)
    scheduler.run(100)
    assert [f.pts_ns for f in frames] == [frame_pts_ns(1_000, i, 25.0) for i in range(100)]
    assert [f.seq for f in frames] == list(range(100))
    assert scheduler.stats()["skipped_ticks"] == 0


def test_who_rests_unseen_dozes_and_wakes_with_the_first_word(scheduler: Scheduler) -> None:
    seen = {"awake": True, "dozing": False}
    frames: dict[str, list[MotionFrame]] = {name: [] for name in seen}
    for name in seen:
        scheduler.add(name, make(), frames[name].append, lambda name=name: seen[name])  # type: ignore[misc]
    scheduler.run(200)
    assert len(frames["awake"]) == 200
    assert 2 <= len(frames["dozing"]) <= 10
    assert [f.seq for f in frames["dozing"]] == list(range(len(frames["dozing"]))), "its life goes on, slowly"
    scheduler.say("dozing", caption("HAUS")).result(20)
    until(lambda: scheduler.stats()["commands_waiting"])
    dozed = len(frames["dozing"])
    scheduler.run(5)
    assert len(frames["dozing"]) == dozed + 5, "with text it is awake at once"
    assert frames["dozing"][dozed].gloss != IDLE
    scheduler.run(500)
    assert frames["dozing"][-1].gloss == IDLE
    assert len(frames["dozing"]) < dozed + 250, "it dozes again"
    seen["dozing"] = True
    before = len(frames["dozing"])
    scheduler.run(10)
    assert len(frames["dozing"]) == before + 10, "somebody looks"


def test_who_is_not_watched_gives_frames_without_motion_and_is_seen_at_once(scheduler: Scheduler) -> None:
    looks = False
    frames: list[MotionFrame] = []
    unseen: list[Unseen] = []
    scheduler.add("a", make(seed=3), frames.append, lambda: looks, unseen.append)
    scheduler.say("a", caption("HI TWO")).result(20)
    until(lambda: scheduler.stats()["commands_waiting"] == 3)  # each clip was cold, so each came by itself
    scheduler.run(30)
    assert not frames
    looks = True
    scheduler.run(30)
    alone = make(seed=3)
    alone.say(caption("HI TWO"))
    expected = [alone.step(0) for _ in range(60)]
    assert [f.gloss for f in unseen] == [f.gloss for f in expected[:30]]
    np.testing.assert_array_equal([f.smplx for f in frames], [f.smplx for f in expected[30:]])


def test_a_long_tick_lets_other_threads_on_between_signers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses on its own thread only: whoever ticks by hand is not kept waiting."""
    stepped: list[str] = []
    pauses: list[tuple[str, int]] = []

    class Time:
        perf_counter_ns = staticmethod(time.perf_counter_ns)

        @staticmethod
        def sleep(seconds: float) -> None:
            assert 0 < seconds < 0.001
            pauses.append((threading.current_thread().name, len(stepped)))

    monkeypatch.setattr("engine.scheduler.time", Time)
    monkeypatch.setattr("engine.scheduler.BREATH_NS", 0)
    held = Scheduler(50.0, clock=ManualClock())
    for name in "ab":
        held.add(name, make(fps=50.0), lambda _, name=name: stepped.append(name))  # type: ignore[misc]
    held.run(3)
    assert (len(stepped), pauses) == (6, [])
    held.close()
    stepped.clear()
    with Scheduler(50.0) as running:
        for name in "ab":
            running.add(name, make(fps=50.0), lambda _, name=name: stepped.append(name))  # type: ignore[misc]
        until(lambda: len(stepped) > 10)
    assert {name for name, _ in pauses} == {"inference"}
    assert [count for _, count in pauses][: len(stepped)] == list(range(1, len(stepped) + 1))


def test_late_ticks_are_skipped_not_made_up_for() -> None:
    clock = ManualClock()
    scheduler = Scheduler(clock=clock)
    frames: list[MotionFrame] = []

    def slow(frame: MotionFrame) -> None:
        frames.append(frame)
        if frame.seq == 3:
            clock.advance(130_000_000)  # three periods and a bit

    scheduler.add("a", make(), slow)
    scheduler.run(10)
    scheduler.close()
    assert [f.pts_ns // 40_000_000 for f in frames] == [0, 1, 2, 3, 6, 7, 8, 9]
    assert [f.seq for f in frames] == list(range(8))
    assert scheduler.skipped_ticks == 2
    assert scheduler.late_ticks >= 1


def test_frames_are_those_of_the_signer_alone(scheduler: Scheduler) -> None:
    alone = make(seed=3)
    alone.say(caption("HI TWO"))
    frames: list[MotionFrame] = []
    signer = make(seed=3)
    scheduler.add("a", signer, frames.append)
    scheduler.add("b", make(seed=5), lambda _: None)
    scheduler.say("a", caption("HI TWO")).result(20)
    until(lambda: scheduler.stats()["commands_waiting"] == 3)  # each clip was cold, so each came by itself
    scheduler.run(60)
    expected = [alone.step(0) for _ in range(60)]
    np.testing.assert_array_equal([f.smplx for f in frames], [f.smplx for f in expected])


def test_a_failing_signer_harms_nobody_and_recovers(scheduler: Scheduler) -> None:
    frames: dict[str, list[MotionFrame]] = {"bad": [], "good": []}
    bad = make()
    scheduler.add("bad", bad, frames["bad"].append)
    scheduler.add("good", make(), frames["good"].append)
    scheduler.run(3)
    bad.choreography.step, step = None, bad.choreography.step  # type: ignore[method-assign, assignment]
    scheduler.run(4)
    bad.choreography.step = step  # type: ignore[method-assign]
    scheduler.run(3)
    assert (len(frames["bad"]), len(frames["good"])) == (6, 10)
    assert scheduler.stats()["signer_failures"] == 4


def test_a_failing_sink_is_counted(scheduler: Scheduler) -> None:
    def fail(_: MotionFrame) -> None:
        raise RuntimeError("no more room")

    frames: list[MotionFrame] = []
    scheduler.add("a", make(), fail)
    scheduler.add("b", make(), frames.append)
    scheduler.run(5)
    assert len(frames) == 5
    assert scheduler.stats()["sink_failures"] == 5


def test_slow_clips_never_delay_a_tick() -> None:
    gate = threading.Event()

    class Slow(HandMadeLexicon):
        def motion(self, clip: str) -> Motion:
            assert threading.current_thread().name.startswith("warming")
            if clip == "B":
                gate.wait(20)
            return super().motion(clip)

    frames: list[MotionFrame] = []
    with Scheduler(50.0) as scheduler:
        scheduler.add("a", make(Slow(), fps=50.0), frames.append)
        said = scheduler.say("a", caption("ABC")).result(20)
        assert [g.label for _, g in said.glosses] == ["A", "B", "C"]
        until(lambda: any(f.gloss == 0 for f in frames))  # A is signed while B still loads
        before = len(frames)
        until(lambda: len(frames) > before + 20)
        assert max(f.gloss for f in frames) == 0
        gate.set()
        until(lambda: frames[-1].gloss == 2)
    order = list(dict.fromkeys(f.gloss for f in frames if f.gloss != IDLE))
    assert order == [0, 1, 2]


def test_a_clip_that_fails_is_skipped_and_reported(running: Scheduler) -> None:
    frames: list[MotionFrame] = []
    signer = make(fps=50.0)
    running.add("a", signer, frames.append)
    running.say("a", caption("A BAD! B")).result(20)
    until(lambda: signer.pending == 0 and any(f.gloss == 2 for f in frames))
    assert [index for index, _ in signer.skipped] == [1]
    assert 1 not in {f.gloss for f in frames}


def test_interruption_also_stops_what_is_not_yet_warm(running: Scheduler) -> None:
    gate = threading.Event()

    class Slow(HandMadeLexicon):
        def motion(self, clip: str) -> Motion:
            gate.wait(20)
            return super().motion(clip)

    frames: list[MotionFrame] = []
    signer = make(Slow(), fps=50.0)
    running.add("a", signer, frames.append)
    running.say("a", caption("ABC")).result(20)
    late = running.say("a", caption("DEF", 1))
    running.interrupt("a").result(20)
    gate.set()
    assert late.result(20).glosses == ()
    said = running.say("a", caption("G", 2)).result(20)
    until(lambda: any(f.gloss == said.glosses[0][0] for f in frames))
    until(lambda: signer.pending == 0)
    assert {f.gloss for f in frames} - {IDLE} == {said.glosses[0][0]}  # it may begin before a tick at rest


def test_nobody_waits_to_be_understood_while_clips_load(running: Scheduler) -> None:
    loaded: list[str] = []

    class Slow(HandMadeLexicon):
        def motion(self, clip: str) -> Motion:
            loaded.append(clip)
            time.sleep(0.05)
            return super().motion(clip)

    signers = [make(Slow(), fps=50.0) for _ in range(2)]
    for name, signer in zip("ab", signers, strict=True):
        running.add(name, signer, lambda frame: None)
    running.say("a", caption("ABCDEFGHIJ")).result(20)
    running.say("a", caption("K", 1)).result(20)
    running.say("b", caption("L")).result(20)
    assert len(loaded) <= 3  # of eleven
    running.interrupt("a").result(20)
    until(lambda: "L" in loaded and signers[1].pending == 0)
    assert len(loaded) <= 6  # what was interrupted is not loaded any more
    assert signers[0].pending == 0


def test_errors_reach_who_spoke(running: Scheduler) -> None:
    running.add("a", make(fps=50.0, config=SignerConfig(max_text_chars=5)), lambda _: None)
    with pytest.raises(BacklogFull):
        running.say("a", caption("ABCDEFG")).result(20)
    with pytest.raises(ValueError, match="xxx"):
        running.say("a", Caption("A", "xxx")).result(20)
    with pytest.raises(KeyError, match="nobody"):
        running.say("nobody", caption("A"))
    with pytest.raises(ZeroDivisionError):
        running.call(lambda: 1 // 0).result(20)


def test_the_mailbox_is_bounded() -> None:
    scheduler = Scheduler(clock=ManualClock(), config=SchedulerConfig(mailbox=3))
    waiting = [scheduler.call(lambda: 1) for _ in range(3)]
    with pytest.raises(SchedulerBusy, match="3"):
        scheduler.call(lambda: 1)
    scheduler.tick(0)
    assert [w.result(0) for w in waiting] == [1, 1, 1]
    scheduler.close()


class _HeldClock(ManualClock):
    """Goes back an hour once it was asked for the start: the first tick is an hour away."""

    def now_ns(self) -> int:
        now_ns, self._now_ns = self._now_ns, 0
        return now_ns


def test_commands_are_obeyed_between_ticks_in_order() -> None:
    told: list[int] = []
    frames: list[MotionFrame] = []
    with Scheduler(50.0, clock=_HeldClock(3600 * 10**9)) as held:
        held.add("a", make(fps=50.0), frames.append)
        answers = [held.call(lambda n=n: told.append(n)) for n in range(100)]  # type: ignore[misc]
        for answer in answers:
            answer.result(30)
        assert told == list(range(100))
        assert held.say("a", caption("HI")).result(30).glosses
        until(lambda: held.stats()["commands_waiting"] == 0)
    assert held.ticks == 0, "the end does not wait for the next tick either"
    assert not frames


def test_names_and_rates_are_checked(scheduler: Scheduler) -> None:
    scheduler.add("a", make(), lambda _: None)
    with pytest.raises(ValueError, match="already"):
        scheduler.add("a", make(), lambda _: None)
    with pytest.raises(ValueError, match="fps"):
        scheduler.add("b", make(fps=30.0), lambda _: None)
    scheduler.remove("a")
    scheduler.remove("a")
    scheduler.add("a", make(), lambda _: None)


def test_removed_signers_are_never_heard_again(running: Scheduler) -> None:
    frames: list[MotionFrame] = []
    running.add("a", make(fps=50.0), frames.append)
    until(lambda: len(frames) > 3)
    running.remove("a")
    count = len(frames)
    time.sleep(0.1)
    assert len(frames) == count


def test_close_leaves_nothing_behind() -> None:
    before = set(threading.enumerate())
    scheduler = Scheduler(50.0).open()
    scheduler.add("a", make(fps=50.0), lambda _: None)
    scheduler.say("a", caption("HELLO WORLD"))
    scheduler.close()
    scheduler.close()
    assert set(threading.enumerate()) <= before
    with pytest.raises(SchedulerBusy):
        scheduler.call(lambda: 1)


def test_real_time_pace_is_kept(running: Scheduler) -> None:
    frames: list[MotionFrame] = []
    running.add("a", make(fps=50.0), frames.append)
    until(lambda: len(frames) >= 25)
    pts = np.array([f.pts_ns for f in frames])
    assert np.all(
        (np.diff(pts) + 5) // 10 % 2_000_000 == 0
    )  # whole periods of 20 ms, also where one was skipped
