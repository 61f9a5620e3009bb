"""A viewer comes, sees real video, hears what is signed, and goes; nothing of it stays."""

import asyncio
import gc
import itertools
import threading
import time

import aiohttp
import psutil
import pytest
from aiortc import RTCPeerConnection

from engine.signals import Gloss
from stream import rtc, wire
from stream.config import SignerSettings
from stream.peers import Peer
from tests.stream.stand_ins import Said, motion_frame, read_bars
from tests.stream.viewer import Viewer
from tests.stream.waiting import until


@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_a_viewer_sees_the_pictures_that_were_drawn(server, codec):
    viewer = await Viewer(server.address, codecs=(codec,), keep_pictures=True).connect()
    try:
        await viewer.until(lambda: viewer.frames >= 30)
        assert viewer.first_frame_s - viewer.started_s < 20
    finally:
        await viewer.close()
    numbers = [read_bars(picture[:64]) for _, picture in viewer.pictures]
    # never back; the same once more only where drawing came late on a busy machine
    assert all(b >= a for a, b in itertools.pairwise(numbers)), numbers
    assert len(set(numbers)) > len(numbers) / 2, numbers
    timed = [(n, pts) for n, (pts, _) in zip(numbers, viewer.pictures, strict=True) if numbers.count(n) == 1]
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in itertools.pairwise(timed)]
    in_time = [abs(ticks - 3600 * count) <= 1 for count, ticks in steps]
    assert sum(in_time) > len(in_time) / 2, "25 pictures a second, each at its time"


async def test_events_name_the_picture_that_shows_the_sign(server):
    viewer = await Viewer(server.address, keep_pictures=True, channels=("events",)).connect()
    try:
        await viewer.until(lambda: viewer.frames >= 3 and viewer.of_type("hello"))
        async with aiohttp.ClientSession() as http:
            url = f"{server.address}signers/main/text"
            async with http.post(url, json={"text": "Hello big world"}) as response:
                assert response.status == 202
                said = await response.json()
        assert [g["label"] for g in said["glosses"]] == ["HELLO", "BIG", "WORLD"]
        await viewer.until(lambda: viewer.of_type("idle") and viewer.of_type("latency"))
    finally:
        await viewer.close()
    caption = viewer.of_type("caption")[0]
    assert (caption["text"], caption["glosses"]) == ("Hello big world", said["glosses"])
    told = viewer.of_type("gloss")
    assert [(g["index"], g["label"]) for g in told] == [(0, "HELLO"), (1, "BIG"), (2, "WORLD")]
    assert [caption["text"][g["start"] : g["end"]] for g in told] == ["Hello", "big", "world"]
    assert {g["rtp"] for g in told} <= {pts for pts, _ in viewer.pictures}
    latency = viewer.of_type("latency")[0]
    parts = [latency[f"{stage}_ms"] for stage in ("glossing", "choreography", "render", "encode")]
    assert all(part >= 0 for part in parts)
    assert latency["total_ms"] > 0


async def test_a_sign_from_a_recording_among_generated_ones_says_so(server):
    viewer = await Viewer(server.address).connect()
    try:
        await viewer.until(lambda: viewer.of_type("hello"))
        channel = server.stage.channels["main"]
        channel.performer.signer.unknown = frozenset({"RARE"})
        await channel.say("a rare word")
        await viewer.until(lambda: viewer.of_type("idle"))
    finally:
        await viewer.close()
    told = {g["label"]: g.get("recorded") for g in viewer.of_type("gloss")}
    assert told == {"A": None, "RARE": True, "WORD": None}


async def test_a_sign_that_cannot_be_performed_is_not_dropped_in_silence(server):
    viewer = await Viewer(server.address).connect()
    try:
        await viewer.until(lambda: viewer.of_type("hello"))
        channel = server.stage.channels["main"]
        await channel.say("lost")
        channel.performer.signer.skipped = ((0, "its recording is damaged"),)
        await viewer.until(lambda: viewer.of_type("skipped"))
        await asyncio.sleep(0.1)
    finally:
        await viewer.close()
    expected = {"type": "skipped", "index": 0, "label": "LOST", "reason": "its recording is damaged"}
    (told,) = viewer.of_type("skipped")
    assert expected.items() <= told.items()


async def test_two_codecs_at_once_show_the_same(server):
    viewers = [
        await Viewer(server.address, codecs=(c,), keep_pictures=True).connect() for c in ("H264", "VP8")
    ]
    try:
        for viewer in viewers:
            await viewer.until(lambda v=viewer: v.frames >= 25)
    finally:
        for viewer in viewers:
            await viewer.close()
    shown = [{pts: read_bars(picture[:64]) for pts, picture in v.pictures} for v in viewers]
    common = shown[0].keys() & shown[1].keys()
    assert len(common) >= 10
    assert all(shown[0][pts] == shown[1][pts] for pts in common)


async def test_a_viewer_may_speak_and_ping_over_its_channel(server):
    viewer = await Viewer(server.address).connect()
    try:
        await viewer.until(lambda: viewer.of_type("hello"))
        channel = viewer.data["events"]
        good, bad = ['{"type":"ping","t":17}', '{"type":"say","text":"Good"}'], ["no json", '{"type":"say"}']
        for text in [*good, *bad, '{"type":"unknown"}']:
            channel.send(text)
        await viewer.until(lambda: viewer.of_type("gloss") and len(viewer.of_type("error")) == 2)
        assert viewer.of_type("pong") == [{"type": "pong", "t": 17}]
    finally:
        await viewer.close()


async def test_motion_reaches_those_who_ask_for_it(server):
    asks = await Viewer(server.address, channels=("events", "motion")).connect()
    does_not = await Viewer(server.address).connect()
    try:
        await asks.until(lambda: len(asks.motion) >= 10)
        frames = [wire.decode(data) for data in asks.motion]
        assert all(b.seq > a.seq for a, b in itertools.pairwise(frames))
        assert not does_not.motion
    finally:
        await asks.close()
        await does_not.close()


async def test_delete_ends_the_session_and_only_once(server):
    viewer = await Viewer(server.address).connect()
    await viewer.until(lambda: viewer.frames >= 3)
    async with aiohttp.ClientSession() as http:
        url = server.address + viewer.session.lstrip("/")
        async with http.patch(url) as response:
            assert response.status == 405
            assert "trickle" in (await response.json())["error"]
        async with http.delete(url) as response:
            assert response.status == 200
        assert not server.stage.channels["main"].peers
        async with http.delete(url) as response:
            assert response.status == 404
    await viewer.close(delete=False)


async def test_nobody_watches_nothing_is_drawn_but_signing_goes_on(server):
    channel = server.stage.channels["main"]
    viewer = await Viewer(server.address).connect()
    await viewer.until(lambda: viewer.frames >= 3)
    await viewer.close()
    await until(lambda: not channel.broadcast.watched)
    await asyncio.sleep(0.1)  # a picture that was being drawn is finished
    drawn, stepped = server.stage.pipeline.stats_of("main")["rendered"], channel.motion_frames
    await channel.say("one two")
    await until(lambda: channel.motion_frames >= stepped + 8 and channel.performer.pending < 2)
    assert server.stage.pipeline.stats_of("main")["rendered"] <= drawn + 1


async def test_transparency_travels_as_alpha_below_the_colour(launch):
    settings = SignerSettings("main", background="transparent")
    server = await launch(signers=(settings,))
    viewer = await Viewer(server.address, keep_pictures=True).connect()
    try:
        await viewer.until(lambda: viewer.frames >= 3)
    finally:
        await viewer.close()
    luma = viewer.pictures[-1][1][:128]
    assert luma.shape == (128, 128)
    assert luma[70:].mean() > 225, "opaque below"


async def test_settings_change_live_and_are_told(server):
    viewer = await Viewer(server.address, keep_pictures=True).connect()
    try:
        await viewer.until(lambda: viewer.frames >= 3)
        async with aiohttp.ClientSession() as http:
            url = f"{server.address}signers/main"
            async with http.patch(url, json={"background": "transparent", "rate": 1.5}) as response:
                assert (await response.json())["rate"] == 1.5
        assert server.stage.channels["main"].performer.signer.rate == 1.5
        await viewer.until(lambda: viewer.of_type("settings"))
        await viewer.until(lambda: viewer.pictures[-1][1].shape[0] == 192)
    finally:
        await viewer.close()


async def test_one_encoder_serves_everybody_and_late_viewers_start_at_once(server):
    first = await Viewer(server.address).connect()
    await first.until(lambda: first.frames >= 10)
    others = [await Viewer(server.address).connect() for _ in range(3)]
    try:
        for viewer in others:
            await viewer.until(lambda v=viewer: v.frames >= 5)
            assert viewer.first_frame_s - viewer.started_s < 8  # long before the next keyframe by itself
        outputs = server.stage.channels["main"].broadcast.outputs
        assert list(outputs) == ["H264"]
        assert [t.name for t in threading.enumerate()].count("encode-H264") == 1
    finally:
        for viewer in (first, *others):
            await viewer.close()
    await until(lambda: not outputs)
    await until(lambda: not [t for t in threading.enumerate() if t.name.startswith("encode")])


async def test_signers_are_independent(launch):
    """One whose drawing is slow does not hold up another's encoder, session or settings."""
    server = await launch(signers=(SignerSettings("anna"), SignerSettings("ben", language="gsg")))
    anna, ben = [await Viewer(server.address, signer=name).connect() for name in ("anna", "ben")]
    try:
        await anna.until(lambda: anna.frames >= 3 and ben.frames >= 3)
        await server.stage.channels["anna"].say("only anna")
        await anna.until(lambda: anna.of_type("gloss"))
        await server.stage.delete("anna")
        frames = ben.frames
        await ben.until(lambda: ben.frames >= frames + 10)
        assert not ben.of_type("gloss")
    finally:
        await anna.close(delete=False)
        await ben.close()


async def test_a_peer_that_stalls_slows_nobody(server):
    """One peer's transport stops taking bytes: its queue overflows, is counted, and heals; others see all."""
    fine = await Viewer(server.address).connect()
    stalled = await Viewer(server.address).connect()
    try:
        await fine.until(lambda: fine.frames >= 5 and stalled.frames >= 5)
        by_frames = sorted(server.stage.channels["main"].peers, key=lambda p: p.opened_s)
        peer: Peer = by_frames[1]
        sink = peer._sender._sink
        sink.unsent_bytes = lambda: 1 << 30
        frames = fine.frames
        await fine.until(lambda: fine.frames >= frames + 25)
        assert peer.stats()["dropped_frames"] > 0
        assert len(peer._queue) <= 8
        assert by_frames[0].stats()["dropped_frames"] == 0
        del sink.unsent_bytes
        frames = stalled.frames
        await stalled.until(lambda: stalled.frames >= frames + 10)
    finally:
        await fine.close()
        await stalled.close()


async def test_a_peer_that_vanishes_mid_handshake_is_reaped(launch):
    server = await launch(handshake_s=2.0)
    async with aiohttp.ClientSession() as http:
        for _ in range(3):
            offer = await an_offer()
            async with http.post(f"{server.address}whep/main", data=offer, headers=SDP) as response:
                assert response.status == 201
    assert len(server.stage.channels["main"].peers) == 3
    await until(lambda: not server.stage.channels["main"].peers)
    await until(lambda: not [t for t in asyncio.all_tasks() if "close" in t.get_name()])


async def test_nothing_leaks(server):
    """Tasks, threads, sockets and peers are as many after thirty viewers as after three."""

    async def come_and_go(count: int) -> None:
        async with aiohttp.ClientSession() as http:
            for i in range(count):
                if i % 3 == 2:  # an offer, and never seen again
                    async with http.post(
                        f"{server.address}whep/main", data=await an_offer(), headers=SDP
                    ) as response:
                        session = response.headers["Location"]
                    async with http.delete(server.address + session.lstrip("/")):
                        continue
                viewer = await Viewer(server.address, http=http, decode=False).connect()
                await viewer.until(lambda v=viewer: v.frames >= 2)
                await viewer.close(delete=i % 3 == 0)  # otherwise: the connection just ends
        await until(lambda: not server.stage.channels["main"].peers)

    def counts() -> dict[str, int]:
        gc.collect()
        return {
            "tasks": len(asyncio.all_tasks()),
            "threads": threading.active_count(),
            "files": psutil.Process().num_fds(),
            "connections": sum(isinstance(o, RTCPeerConnection) for o in gc.get_objects()),
            "peers": len(server.stage.channels["main"].peers),
        }

    await come_and_go(3)
    await asyncio.sleep(0.5)
    before = counts()
    await come_and_go(27)
    deadline = time.monotonic() + 30  # what ends, ends in its own time
    while (after := counts()) and any(after[what] > before[what] + 2 for what in before):
        assert time.monotonic() < deadline, (before, after)
        await asyncio.sleep(0.5)


@pytest.mark.parametrize("limits", [{"max_viewers": 2}, {"max_viewers_per_signer": 2}])
async def test_a_flood_is_answered_503_and_those_inside_go_on(launch, limits):
    server = await launch(**limits)
    inside = [await Viewer(server.address).connect() for _ in range(2)]
    try:
        offer = await an_offer()
        async with aiohttp.ClientSession() as http:

            async def knock() -> tuple[int, str | None]:
                async with http.post(f"{server.address}whep/main", data=offer, headers=SDP) as response:
                    return response.status, response.headers.get("Retry-After")

            answers = await asyncio.gather(*(knock() for _ in range(50)))
        assert set(answers) == {(503, "10")}
        frames = [v.frames for v in inside]
        for viewer, seen in zip(inside, frames, strict=True):
            await viewer.until(lambda v=viewer, s=seen: v.frames >= s + 10)
    finally:
        for viewer in inside:
            await viewer.close()
    again = await Viewer(server.address).connect()  # whoever left made room
    await again.close()


async def test_a_slow_shutdown_is_cut_after_the_grace(launch):
    server = await launch(grace_s=0.2)
    viewer = await Viewer(server.address).connect()
    await viewer.until(lambda: viewer.frames >= 2)
    peer = next(iter(server.stage.channels["main"].peers))

    async def never() -> None:
        await asyncio.sleep(60)

    original, peer._pc.close = peer._pc.close, never
    started = time.monotonic()
    assert await server.close() == 1
    assert time.monotonic() - started < 45  # it would have been 60
    await original()
    await viewer.close(delete=False)


SDP = {"Content-Type": "application/sdp"}


async def an_offer() -> str:
    """A real offer whose connection is then closed: its peer has vanished."""
    pc = rtc.connection()
    pc.addTransceiver("video", direction="recvonly")
    pc.createDataChannel("events")
    await pc.setLocalDescription(await pc.createOffer())
    offer = pc.localDescription.sdp
    await pc.close()
    return offer


async def test_a_sign_that_begins_before_its_caption_is_known_is_still_told(server):
    """A late loop may see the frame first: the event comes then with the next frame, and names the first."""
    viewer = await Viewer(server.address).connect()
    try:
        await viewer.until(lambda: viewer.of_type("hello"))
        channel = server.stage.channels["main"]
        gloss = Gloss("LATE", "late", "ase")
        channel.motion(motion_frame(1, 40_000_000, gloss=77))
        channel._captions.understood(0, Said([(77, gloss)], []))
        channel.motion(motion_frame(2, 80_000_000, gloss=77))
        channel.motion(motion_frame(3, 120_000_000, gloss=77))
        await viewer.until(lambda: viewer.of_type("gloss"))
    finally:
        await viewer.close()
    told = [(g["label"], g["pts_ns"]) for g in viewer.of_type("gloss")]
    assert told == [("LATE", 40_000_000)]


async def test_a_viewer_that_is_cut_off_is_noticed(server, monkeypatch):
    """No goodbye, no packets: ICE consent runs out (30 s in earnest, less here) and the session ends."""
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", 0.2)
    monkeypatch.setattr("aioice.ice.CONSENT_FAILURES", 2)
    viewer = await Viewer(server.address).connect()
    await viewer.until(lambda: viewer.frames >= 3)
    for protocol in viewer.pc.getTransceivers()[0].receiver.transport.transport._connection._protocols:
        protocol.datagram_received = lambda data, addr: None  # the cable is pulled: nothing is heard,
        protocol.transport.sendto = lambda data, addr=None: None  # and nothing is said
    await until(lambda: not server.stage.channels["main"].peers)
    assert not server.stage.channels["main"].broadcast.watched
    await viewer.close(delete=False)
