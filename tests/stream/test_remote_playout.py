"""Motion over a bad network: what comes out is in order, in time, and as near to what went in as can be."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.rotations import slerp_rotvec
from engine.signals import MotionFrame
from stream.remote.playout import MAX_FILLED, MAX_WAITING, MS, Playout, between

PERIOD_NS = 40 * MS
BASE_NS = 7_000_000 * MS
"""The sender's clock is not ours."""


def frames(count: int) -> list[MotionFrame]:
    """A smooth movement: every joint turns steadily about an axis of its own."""
    rng = np.random.default_rng(0)
    axes = {shape: rng.standard_normal(shape).astype(np.float32) for shape in ((2, 16, 3), (55, 3), (60, 2))}
    made = []
    for seq in range(count):
        angle = np.float32(0.02 * seq)
        made.append(
            MotionFrame(
                seq,
                BASE_NS + seq * PERIOD_NS,
                axes[(60, 2)] * angle,
                axes[(2, 16, 3)] * angle,
                axes[(55, 3)] * angle,
                np.full(52, min(1.0, 0.005 * seq), np.float32),
                gloss=seq // 10,
            )
        )
    return made


def played(
    arrivals: list[tuple[int, MotionFrame]], delay_ms: float = 50.0
) -> tuple[list[tuple[int, MotionFrame]], Playout]:
    """What is shown, and when, on a clock that ticks every millisecond."""
    playout, shown = Playout(delay_ms), []
    waiting = sorted(arrivals, key=lambda a: a[0])
    for now_ns in range(0, waiting[-1][0] + 400 * MS, MS):
        while waiting and waiting[0][0] <= now_ns:
            at_ns, frame = waiting.pop(0)
            playout.put(frame, at_ns)
        if (frame := playout.take(now_ns)) is not None:
            shown.append((now_ns, frame))
    return shown, playout


def same(a: MotionFrame, b: MotionFrame) -> bool:
    names = ("pose", "hands", "smplx", "expression")
    return a.seq == b.seq and all((getattr(a, n) == getattr(b, n)).all() for n in names)


def test_without_loss_every_frame_comes_out_as_it_was_after_the_stated_delay():
    sent = frames(50)
    shown, playout = played([(100 * MS + i * PERIOD_NS, f) for i, f in enumerate(sent)])
    assert len(shown) == 50
    assert all(same(a, b) for a, (_, b) in zip(sent, shown, strict=True))
    assert {at - (100 * MS + i * PERIOD_NS) for i, (at, _) in enumerate(shown)} == {50 * MS}
    assert all(abs(frame.pts_ns - at) <= MS for at, frame in shown), "timed on our clock"
    assert playout.stats.filled == playout.stats.late == 0


def test_jitter_and_reordering_within_the_delay_go_unseen():
    rng, sent = random.Random(3), frames(100)
    shown, playout = played(
        [(100 * MS + i * PERIOD_NS + rng.randrange(45) * MS, f) for i, f in enumerate(sent)]
    )
    assert [f.seq for _, f in shown] == list(range(100))
    assert playout.stats.reordered > 0
    steps = {b[0] - a[0] for a, b in itertools.pairwise(shown[20:])}
    assert max(steps) - min(steps) <= 2 * MS, "evenly, once the quickest is known"


def test_a_lost_frame_is_filled_in_along_the_rotation():
    sent = frames(30)
    lost = {10, 20}
    shown, playout = played([(i * PERIOD_NS, f) for i, f in enumerate(sent) if f.seq not in lost])
    assert [f.seq for _, f in shown] == list(range(30))
    assert playout.stats.filled == 2
    for seq in lost:
        frame = shown[seq][1]
        for name in ("hands", "smplx", "pose", "expression"):
            error = np.abs(getattr(frame, name) - getattr(sent[seq], name)).max()
            assert error < 1e-4, f"a steady turn is met exactly: {name}"


def test_a_burst_of_losses_is_bridged_once_the_next_frame_is_there():
    sent = frames(40)
    shown, playout = played([(i * PERIOD_NS, f) for i, f in enumerate(sent) if not 10 <= f.seq < 14])
    seen = [f.seq for _, f in shown]
    assert seen == sorted(set(seen))
    assert seen[-1] == 39
    assert playout.stats.filled + playout.stats.skipped >= 1
    late_ms = max((at - f.seq * PERIOD_NS) / MS for at, f in shown[-20:])
    assert late_ms <= 51, "and it is in time again"


def test_over_a_long_gap_nothing_is_invented():
    sent = frames(60)
    shown, playout = played(
        [(i * PERIOD_NS, f) for i, f in enumerate(sent) if not 10 <= f.seq < 10 + MAX_FILLED + 5]
    )
    assert playout.stats.filled == 0
    assert [f.seq for _, f in shown] == [*range(10), *range(10 + MAX_FILLED + 5, 60)]


def test_duplicates_and_latecomers_are_dropped_and_counted():
    sent = frames(20)
    arrivals = [(i * PERIOD_NS, f) for i, f in enumerate(sent)]
    arrivals += [(i * PERIOD_NS + 5 * MS, f) for i, f in enumerate(sent[:5])]
    arrivals.append((19 * PERIOD_NS, sent[3]))
    shown, playout = played(arrivals)
    assert [f.seq for _, f in shown] == list(range(20))
    assert (playout.stats.duplicates, playout.stats.late) == (5, 1)


def test_a_sender_that_starts_again_is_followed():
    first, again = frames(20), frames(20)
    arrivals = [(i * PERIOD_NS, f) for i, f in enumerate(first)]
    later = [
        MotionFrame(f.seq, f.pts_ns - 6_000_000 * MS, f.pose, f.hands, f.smplx, f.expression) for f in again
    ]
    arrivals += [(2000 * MS + i * PERIOD_NS, f) for i, f in enumerate(later)]
    shown, playout = played(arrivals)
    assert playout.stats.restarts == 1
    assert [f.seq for _, f in shown] == [*range(20), *range(20)]


def test_a_clock_that_drifts_is_followed():
    """A sender's clock 200 parts in a million slow, for twenty seconds: the delay does not grow."""
    sent = frames(500)
    shown, _ = played([(round(i * PERIOD_NS * 1.0002), f) for i, f in enumerate(sent)])
    waits_ms = [(at - f.seq * PERIOD_NS * 1.0002) / MS for at, f in shown]
    assert waits_ms[0] == pytest.approx(50, abs=1)
    assert waits_ms[-1] == pytest.approx(50, abs=4)


def test_between_turns_along_the_shorter_arc():
    a, b = frames(2)
    middle = between(a, b, 0.5)
    assert np.allclose(middle.smplx, slerp_rotvec(a.smplx, b.smplx, 0.5), atol=1e-6)
    turned = MotionFrame(1, 1, a.pose, a.hands, a.smplx.copy(), a.expression)
    turned.smplx[0] = [0, 0, 3.0]
    back = MotionFrame(3, 3, a.pose, a.hands, a.smplx.copy(), a.expression)
    back.smplx[0] = [0, 0, -3.0]
    angle = np.linalg.norm(between(turned, back, 0.5).smplx[0])
    assert angle == pytest.approx(np.pi, abs=1e-3), "through the back, not through zero"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 9000)), min_size=1, max_size=200))
def test_whatever_arrives_the_order_holds_and_memory_is_bounded(arrivals):
    pool = frames(201)
    playout, now_ns, last = Playout(50.0), 0, None
    for number, wait_ms in arrivals:
        now_ns += wait_ms * MS
        playout.put(pool[number], now_ns)
        assert len(playout._waiting) <= MAX_WAITING
        restarts = playout.stats.restarts
        frame = playout.take(now_ns)
        if frame is not None:
            assert last is None or last[1] != restarts or frame.seq > last[0]
            last = frame.seq, restarts
