"""Each cure of an aiortc trap, tested by what a receiver sees."""

import asyncio
import struct
import time

import aioice.ice
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription, clock
from aiortc.rtcdtlstransport import SRTP_PROFILES, RTCCertificate
from aiortc.rtp import RtcpSrPacket, RtpPacket, unpack_header_extensions
from OpenSSL import SSL

from stream import rtc
from tests.stream.viewer import Viewer


def extension_ids(sdp: str) -> dict[str, int]:
    lines = [x.split(":", 1)[1].split(" ") for x in sdp.splitlines() if x.startswith("a=extmap:")]
    return {uri: int(number) for number, uri in lines}


def test_aiortc_is_the_pinned_one():
    import aiortc

    assert aiortc.__version__.startswith("1.16."), "every cure is for 1.16: look at each again"


@pytest.mark.parametrize(("codecs", "first"), [(("H264", "VP8"), "H264"), (("VP8", "H264"), "VP8")])
async def test_the_answer_prefers_our_codecs_whatever_the_offer_prefers(launch, codecs, first):
    server = await launch(codecs=codecs)
    viewer = await Viewer(server.address, codecs=codecs[::-1]).connect()
    try:
        video = viewer.answer[viewer.answer.index("m=video") :]
        payload_types = video.splitlines()[0].split()[3:]
        assert f"a=rtpmap:{payload_types[0]} {first}/90000" in video
        assert "a=sendonly" in video
        if first == "H264":
            assert "profile-level-id=42e01f" in video
    finally:
        await viewer.close()


async def test_no_stun_server_is_asked_unless_configured():
    for servers, expected in (
        ([], None),
        ([rtc.RTCIceServer("stun:stun.example:3478")], ("stun.example", 3478)),
    ):
        pc = rtc.connection(servers)
        transceiver = pc.addTransceiver("video")
        assert transceiver.receiver.transport.transport._connection.stun_server == expected
        await pc.close()


def test_rsa_certificates_are_accepted():
    context = RTCCertificate.generateCertificate()._create_ssl_context(SRTP_PROFILES)
    ciphers = SSL.Connection(context).get_cipher_list()
    assert any("ECDHE-RSA" in name for name in ciphers)
    assert any("ECDHE-ECDSA" in name for name in ciphers)


def test_loopback_is_offered_when_wanted_and_when_there_is_nothing_else(monkeypatch):
    monkeypatch.setattr(rtc, "_stock_addresses", lambda v4, v6: ["192.0.2.7", "fe80::1"])
    monkeypatch.setattr(rtc, "_loopback", False)
    assert aioice.ice.get_host_addresses(True, True) == ["192.0.2.7"]
    rtc.use_loopback(True)
    assert aioice.ice.get_host_addresses(True, True) == ["192.0.2.7", "127.0.0.1"]
    rtc.use_loopback(False)
    monkeypatch.setattr(rtc, "_stock_addresses", lambda v4, v6: [])
    assert aioice.ice.get_host_addresses(True, True) == ["127.0.0.1"]


async def test_frames_carry_playout_delay_zero_and_their_capture_time(server):
    """And sender reports name the same moment for the same RTP time."""
    viewer = Viewer(server.address)
    raw: list[bytes] = []
    reports: list[RtcpSrPacket] = []
    await viewer.connect()
    receiver = viewer.pc.getTransceivers()[0].receiver
    transport = receiver.transport
    handle_rtp, handle_rtcp = transport._handle_rtp_data, receiver._handle_rtcp_packet

    async def keep(data: bytes, arrival_time_ms: int) -> None:
        raw.append(data)
        await handle_rtp(data, arrival_time_ms=arrival_time_ms)

    async def keep_report(packet: object) -> None:
        if isinstance(packet, RtcpSrPacket):
            reports.append(packet)
        await handle_rtcp(packet)

    transport._handle_rtp_data, receiver._handle_rtcp_packet = keep, keep_report
    try:
        await viewer.until(lambda: len(reports) >= 2 and len(raw) >= 20)
    finally:
        await viewer.close()
    ids = extension_ids(viewer.answer)
    captured: dict[int, int] = {}
    for data in raw:
        profile, words = struct.unpack_from("!HH", data, 12)
        found = dict(unpack_header_extensions(profile, data[16 : 16 + 4 * words]))
        if ids[rtc.ABS_CAPTURE_TIME] in found:
            assert found[ids[rtc.PLAYOUT_DELAY]] == b"\0\0\0"
            timestamp = RtpPacket.parse(data).timestamp
            captured[timestamp] = int.from_bytes(found[ids[rtc.ABS_CAPTURE_TIME]], "big")
        assert len(found[ids[rtc.ABS_SEND_TIME]]) == 3
    assert len(captured) >= 15
    now = clock.current_ntp_time()
    assert all(0 <= (now - ntp) / 2**32 < 10 for ntp in captured.values())
    info = reports[-1].sender_info
    for timestamp, ntp in captured.items():
        ticks = (timestamp - info.rtp_timestamp + 2**31) % 2**32 - 2**31
        assert (ntp - info.ntp_timestamp) / 2**32 == pytest.approx(ticks / 90_000, abs=0.1)


async def test_picture_loss_reaches_the_shared_encoder_within_its_budget(server):
    one, other = [await Viewer(server.address).connect() for _ in range(2)]
    try:
        await one.until(lambda: one.frames >= 5 and other.frames >= 5)
        await asyncio.sleep(1.0)
        output = server.stage.channels["main"].broadcast.outputs["H264"]
        before = output.keyframes
        receiver = one.pc.getTransceivers()[0].receiver
        ssrc = int(
            next(x for x in one.answer.splitlines() if x.startswith("a=ssrc:")).split(":")[1].split()[0]
        )
        begun = time.monotonic()
        for _ in range(30):
            await receiver._send_rtcp_pli(ssrc)
            await asyncio.sleep(0.03)
        peers = server.stage.channels["main"].peers
        await one.until(lambda: sorted(p.stats()["keyframe_requests"] for p in peers) == [0, 30])
        await one.until(lambda: output.keyframes > before)
        seconds = time.monotonic() - begun
        assert output.keyframes - before <= 4 + seconds, "a burst of three, then one keyframe a second"
    finally:
        await one.close()
        await other.close()


async def test_lost_packets_are_sent_again(server):
    """A receiver that loses every seventh packet still shows every picture."""
    viewer = await Viewer(server.address).connect()
    handle, seen = viewer._handle_rtp, [0]

    async def lossy(packet: RtpPacket, arrival_time_ms: int) -> None:
        seen[0] += 1
        if packet.payload_type in first_types and seen[0] % 7 == 0:
            return
        await handle(packet, arrival_time_ms=arrival_time_ms)

    first_types = {int(viewer.answer[viewer.answer.index("m=video") :].splitlines()[0].split()[3])}
    viewer._handle_rtp = lossy
    try:
        await viewer.until(lambda: viewer.frames >= 40)
        peer = next(iter(server.stage.channels["main"].peers))
        assert peer.stats()["retransmitted"] >= 3
        assert server.stage.channels["main"].broadcast.outputs["H264"].keyframes <= 3
    finally:
        await viewer.close()


async def test_a_receivers_bandwidth_estimate_is_visible(server):
    viewer = await Viewer(server.address).connect()
    try:
        peer = next(iter(server.stage.channels["main"].peers))
        await viewer.until(lambda: viewer.frames > 5)
        from aiortc.rtp import RTCP_PSFB_APP, RtcpPsfbPacket, pack_remb_fci

        ssrc = peer._sender._ssrc
        packet = RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=pack_remb_fci(777_000, [ssrc]))
        await viewer.pc.getTransceivers()[0].receiver._send_rtcp(packet)
        await viewer.until(lambda: 770_000 <= (peer.stats()["remb_bps"] or 0) <= 780_000)
    finally:
        await viewer.close()


def test_mdns_candidates_are_left_out_and_more_are_then_expected():
    host = "a=candidate:1 1 udp 1 {} 9 typ host"
    sdp = "\r\n".join(["v=0", host.format("x.local"), host.format("192.0.2.1"), "a=end-of-candidates", ""])
    cured = rtc.without_mdns(sdp)
    assert ".local" not in cured
    assert "192.0.2.1" in cured
    assert "end-of-candidates" not in cured
    assert rtc.without_mdns(cured) == cured


async def test_sending_on_a_closed_channel_is_quiet():
    pc = RTCPeerConnection()
    channel = pc.createDataChannel("x")
    assert rtc.send_on(channel, "a", 1000) is False
    await pc.close()
    assert rtc.send_on(channel, "a", 1000) is False


def test_a_marked_packet_releases_its_frame():
    buffer = rtc._PromptJitterBuffer(capacity=16, is_video=True)

    def packet(sequence: int, timestamp: int, marker: int, data: bytes) -> RtpPacket:
        made = RtpPacket(sequence_number=sequence, timestamp=timestamp, marker=marker, payload=data)
        made._data = data
        return made

    assert buffer.add(packet(1, 10, 0, b"a"))[1] is None
    frame = buffer.add(packet(2, 10, 1, b"b"))[1]
    assert (frame.data, frame.timestamp) == (b"ab", 10)
    assert buffer.add(packet(4, 20, 1, b"d"))[1] is None
    assert buffer.add(packet(3, 20, 0, b"c"))[1].data == b"cd"


async def test_a_second_section_is_declined(server):
    """A viewer that also offers audio, both ways, gets video only."""
    import aiohttp

    pc = rtc.connection()
    pc.addTransceiver("audio", direction="sendrecv")
    pc.addTransceiver("video", direction="recvonly")
    await pc.setLocalDescription(await pc.createOffer())
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{server.address}whep/main",
            data=pc.localDescription.sdp,
            headers={"Content-Type": "application/sdp"},
        ) as response,
    ):
        assert response.status == 201
        answer = await response.text()
    audio, video = (
        answer[answer.index("m=audio") : answer.index("m=video")],
        answer[answer.index("m=video") :],
    )
    assert "a=inactive" in audio
    assert "a=sendonly" in video
    await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    track = next(t for t in pc.getReceivers() if t.track and t.track.kind == "video").track
    assert (await asyncio.wait_for(track.recv(), 60)).width == 128
    await pc.close()
