"""Packets that get lost and viewers that stall: what is queued is bounded, and the picture is live again.

The policy is tested here; how long it takes is `handstream bench loss`.
"""

import asyncio
import time

import pytest

from stream.encoder import EncodedFrame
from stream.frame_queue import PATIENCE_S, FrameQueue
from stream.keyframes import BURST, GAP_S, JOIN_GAP_S, REFILL_S, KeyframeBudget
from stream.rtp import RESEND_S, Numbers, RtpWriter
from stream.sender import PULSE_COUNT, Pulse
from tests.stream.lossy import BadNetwork
from tests.stream.stand_ins import read_bars
from tests.stream.test_handoff import frame
from tests.stream.viewer import Viewer


def number(viewer: Viewer) -> int:
    return read_bars(viewer.pictures[-1][1][:64])


# -- a viewer that stalls


async def test_a_taker_that_stalls_finds_at_most_two_frames_and_then_a_keyframe():
    """Five seconds at 25 frames: at most two wait; nobody is asked for a keyframe until it is back."""
    now_s, asked = [100.0], []
    queue = FrameQueue(lambda: asked.append(now_s[0]), clock=lambda: now_s[0])
    queue.put(frame(0, keyframe=True))
    await queue.get()
    most = 0
    for i in range(1, 126):
        queue.put(frame(i, keyframe=i == 50))  # one that somebody else wanted
        most = max(most, len(queue))
        now_s[0] += 0.04
    assert most <= 2
    assert not asked
    assert queue.dropped >= 120
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert asked == [now_s[0]], "asked for once, when it helps"
    queue.put(frame(126))
    queue.put(frame(127, keyframe=True))
    queue.put(frame(128))
    assert (await waiting).shot.seq == 127
    assert (await queue.get()).shot.seq == 128


async def test_a_late_event_loop_is_no_stall():
    """Frames delivered late and together, to a taker that waits for them, all go out."""
    now_s = [0.0]
    queue = FrameQueue(lambda: pytest.fail("nobody stalled"), clock=lambda: now_s[0])
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    for i in range(4):
        queue.put(frame(i, keyframe=i == 0))
        now_s[0] += PATIENCE_S
    got = [(await waiting).shot.seq, *[(await queue.get()).shot.seq for _ in range(3)]]
    assert got == [0, 1, 2, 3]
    assert queue.dropped == 0


async def test_a_viewer_whose_relay_stalls_is_live_again_and_others_never_notice(server):
    """A TCP relay takes nothing for a while: at most two frames wait, and the next picture is a new one."""
    stalled, other = [await Viewer(server.address, keep_pictures=True).connect() for _ in range(2)]
    try:
        for viewer in (stalled, other):
            await viewer.until(lambda v=viewer: v.frames >= 5, 30)
        peers = server.stage.channels["main"].peers
        peer = next(p for p in peers if p.session in stalled.session)
        measure, queued = peer._sender._sink.unsent_bytes, []
        peer._sender._sink.unsent_bytes = lambda: 1 << 20
        begun = other.frames
        while other.frames < begun + 40:
            queued.append(peer.stats()["queued"])
            await asyncio.sleep(0.02)
        assert max(queued) <= 2
        before, seen = number(stalled), len(stalled.pictures)
        peer._sender._sink.unsent_bytes = measure
        await stalled.until(lambda: len(stalled.pictures) >= seen + 5, 30)
        shown = [read_bars(p[:64]) for _, p in stalled.pictures[seen:]]
        assert shown[-1] > before + 30, "live, not where it was left"
        assert len([n for n in shown if n < before + 25]) <= 3, "of what waited hardly anything is shown"
        seen = [read_bars(p[:64]) for _, p in other.pictures]
        assert seen == sorted(seen)
    finally:
        for viewer in (stalled, other):
            await viewer.close()


@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_after_a_pulled_cable_the_picture_is_live_again(server, codec):
    viewer = await Viewer(server.address, codecs=(codec,), keep_pictures=True).connect()
    try:
        await viewer.until(lambda: viewer.frames >= 10, 30)
        network = BadNetwork(viewer.pc)
        network.loss = 1.0
        output = server.stage.channels["main"].broadcast.outputs[codec]
        last, sent = number(viewer), output.frames
        await viewer.until(lambda: output.frames >= sent + 50, 60)
        keyframes = output.keyframes
        network.loss = 0.0
        await viewer.until(lambda: number(viewer) >= last + 50, 30)
        (peer,) = server.stage.channels["main"].peers
        assert output.keyframes > keyframes
        assert peer.stats()["given_up"] + peer.stats()["keyframe_requests"] >= 1
        seen = [read_bars(p[:64]) for _, p in viewer.pictures]
        assert len([n for n in seen if last < n < last + 40]) <= 5, "what was missed is not shown late"
    finally:
        await viewer.close()


def test_a_pulse_is_missed_only_after_much_longer_than_ever():
    for usual_s, patient_s, gone_s in ((1.0, 1.7, 1.8), (1.6, 1.8, 1.9), (5.0, 14.0, 16.0)):
        pulse, now_s = Pulse(), 10.0
        assert not pulse.silent(now_s + 100), "one that never reported cannot fall silent"
        for _ in range(6):
            pulse.heard(now_s)
            now_s += usual_s
        last_s = now_s - usual_s
        assert not pulse.silent(last_s + patient_s)
        assert pulse.silent(last_s + gone_s)
        pulse.heard(last_s + gone_s)
        assert not pulse.silent(last_s + gone_s + 1), "and it is back"


async def test_a_viewer_that_stands_still_is_sent_nothing_until_it_stirs(server):
    """Nothing comes from it: what would pile up in its sockets is not sent; then it is live at once."""
    viewer = await Viewer(server.address, keep_pictures=True).connect()
    try:
        (peer,) = server.stage.channels["main"].peers
        await viewer.until(lambda: peer._sender._pulse._count >= PULSE_COUNT and viewer.frames > 5, 60)
        network = BadNetwork(viewer.pc)
        network.deaf = True
        await viewer.until(lambda: peer.stats()["pauses"] == 1, 60)
        sent, last = peer.stats()["frames"], number(viewer)
        output = server.stage.channels["main"].broadcast.outputs["H264"]
        encoded = output.frames
        await viewer.until(lambda: output.frames >= encoded + 10, 60)
        assert peer.stats()["frames"] <= sent + 1
        network.deaf = False
        await viewer.until(lambda: number(viewer) > last + 10, 60)
        assert peer.stats()["queued"] <= 2
    finally:
        await viewer.close()


# -- packets that get lost


@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_at_five_per_cent_loss_the_picture_goes_on_and_is_true(server, codec):
    """Both ways: what is asked for again may be lost again, and so may the asking."""
    viewer = await Viewer(server.address, codecs=(codec,), keep_pictures=True).connect()
    try:
        await viewer.until(lambda: viewer.frames >= 5, 30)
        network = BadNetwork(viewer.pc, seed=5)
        network.loss = 0.05
        first = number(viewer)
        await viewer.until(lambda: number(viewer) >= first + 80, 60)
        (peer,) = server.stage.channels["main"].peers
        await viewer.until(lambda: network.dropped >= 3 and peer.stats()["retransmitted"] >= 1, 60)
    finally:
        await viewer.close()
    seen = [read_bars(p[:64]) for _, p in viewer.pictures]
    assert seen == sorted(seen), "each picture is one that was drawn, and none is older than the one before"
    assert len(set(seen)) > 25


def written(count: int, keyframe_at: int = 0) -> tuple[RtpWriter, list[int]]:
    """A writer that has written so many one-packet frames, and their numbers."""
    writer = RtpWriter(Numbers(97, 98), 1, 2, 0)
    found: list[EncodedFrame] = [frame(i, keyframe=i == keyframe_at) for i in range(count)]
    return writer, [int.from_bytes(writer.packets(f)[0][2:4], "big") for f in found]


def test_only_young_packets_are_sent_again():
    writer, sequence = written(10)
    now_s = time.monotonic()
    assert writer.again(sequence[5], now_s) is not None
    assert writer.again(sequence[5], now_s + RESEND_S + 1) is None


def test_what_a_keyframe_has_healed_is_not_asked_for_again():
    writer, sequence = written(10, keyframe_at=6)
    assert [writer.healed(n) for n in sequence] == [True] * 6 + [False] * 4
    assert not written(3, keyframe_at=99)[0].healed(0)


# -- keyframes for those who ask


def test_one_in_need_gets_a_keyframe_soon_and_a_crowd_one_a_second():
    budget, now_s, made = KeyframeBudget(), 1000.0, []
    budget.made(now_s)
    for _ in range(500):  # somebody asks every 20 ms, for ten seconds
        now_s += 0.02
        if now_s >= budget.requested(now_s):
            budget.made(now_s)
            made.append(now_s - 1000)
    assert made[0] <= GAP_S + 0.02, "a lost picture is mended well within half a second"
    assert len(made) <= 10 / REFILL_S + BURST
    assert min(b - a for a, b in zip([0.0, *made], made, strict=False)) >= GAP_S - 1e-9


def test_new_viewers_share_a_keyframe():
    budget = KeyframeBudget()
    budget.made(50.0)
    assert budget.joined(50.01) == 50.0 + JOIN_GAP_S
    assert budget.joined(60.0) == 60.0


async def test_a_storm_of_requests_costs_the_others_little(server):
    viewer = await Viewer(server.address).connect()
    try:
        await viewer.until(lambda: viewer.frames >= 5, 30)
        (peer,) = server.stage.channels["main"].peers
        output = server.stage.channels["main"].broadcast.outputs["H264"]
        begun_s, before, frames = time.monotonic(), output.keyframes, output.frames
        while output.frames < frames + 75:
            peer._sender._on_keyframe()
            await asyncio.sleep(0.01)
        assert output.keyframes - before <= BURST + 2 + (time.monotonic() - begun_s) / REFILL_S
    finally:
        await viewer.close()
