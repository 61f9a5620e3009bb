"""aiortc's traps and their cures, all in one place; aiortc is pinned to 1.16 and each cure has its test.

Enters: offers. Leaves: peer connections that send as this project needs. Importing this module applies the
global cures once. Does not know signers, sessions or HTTP.

1.  An answerer's track and codec preferences count only before `setRemoteDescription`: `answering` does so.
2.  aiortc's sender encodes per peer and ignores PLI for packets: `answering` puts in our `FrameSender`.
3.  The default ICE server is a public STUN: `connection` passes what is configured, by default none.
4.  DTLS offers ECDSA only, and GStreamer's RSA certificate fails: ECDHE-RSA suites are added.
5.  Loopback addresses are skipped: `use_loopback`, and whenever there is no other address.
6.  No playout-delay or abs-capture-time extension: added to what is negotiated; `rtp` fills them in.
7.  A video receiver holds each frame until the next arrives: `release_on_marker` (for tests and tools).
8.  mDNS candidates cost up to a second to resolve: left out; such peers are learnt from their own checks.
9.  `channel.send` raises at close: `send_on`.
10. Each packet passes four coroutines on its way out: `RtpSink`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import aioice.ice
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.codecs import HEADER_EXTENSIONS
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.exceptions import InternalError, InvalidStateError, OperationError
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsTransport, State
from aiortc.rtcrtpparameters import RTCRtpCodecCapability, RTCRtpHeaderExtensionParameters
from aiortc.rtp import RtpPacket
from aiortc.sdp import SessionDescription

if TYPE_CHECKING:
    from stream.sender import FrameSender

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"

CIPHERS = b":".join(
    b"ECDHE-%s-%s" % (key, suite)
    for suite in (b"AES128-GCM-SHA256", b"CHACHA20-POLY1305", b"AES128-SHA", b"AES256-SHA")
    for key in (b"ECDSA", b"RSA")
)
MALFORMED = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    AssertionError,
    InternalError,
    InvalidStateError,
    OperationError,
)
"""What aiortc raises on descriptions it cannot use: its parser trusts its input."""


def _extend_headers() -> None:
    known = {extension.uri for extension in HEADER_EXTENSIONS["video"]}
    for number, uri in ((11, PLAYOUT_DELAY), (12, ABS_CAPTURE_TIME)):
        if uri not in known:
            HEADER_EXTENSIONS["video"].append(RTCRtpHeaderExtensionParameters(id=number, uri=uri))


def _extend_ciphers() -> None:
    original = RTCCertificate._create_ssl_context

    def create_ssl_context(self: RTCCertificate, srtp_profiles: Any) -> Any:
        context = original(self, srtp_profiles)
        context.set_cipher_list(CIPHERS)
        return context

    RTCCertificate._create_ssl_context = create_ssl_context  # type: ignore[method-assign]


_stock_addresses = aioice.ice.get_host_addresses
_loopback = False


def _host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    addresses = [a for a in _stock_addresses(use_ipv4, use_ipv6) if not a.lower().startswith("fe80")]
    # Offline machines have nothing else, and a browser on the same machine still deserves its picture.
    if use_ipv4 and (_loopback or not addresses):
        addresses.append("127.0.0.1")
    return addresses


def use_loopback(wanted: bool) -> None:
    """Offer 127.0.0.1 as a candidate too, for peers of this machine."""
    global _loopback
    _loopback = wanted


_extend_headers()
_extend_ciphers()
aioice.ice.get_host_addresses = _host_addresses


def packetise(codec: str, data: bytes, picture_id: int) -> list[bytes]:
    """Cut one compressed frame into RTP payloads (RFC 6184, RFC 7741) of at most 1300 bytes."""
    if codec == "H264":
        return H264Encoder._packetize(H264Encoder._split_bitstream(data))
    return Vp8Encoder._packetize(data, picture_id)


def connection(ice_servers: Iterable[RTCIceServer] = ()) -> RTCPeerConnection:
    """A peer connection that asks only the STUN and TURN servers it is told to."""
    return RTCPeerConnection(RTCConfiguration(iceServers=list(ice_servers)))


def preferences(codecs: Sequence[str]) -> list[RTCRtpCodecCapability]:
    """Capabilities of the codecs we encode, in our order; of H.264, constrained baseline (42e01f) first."""
    found: list[RTCRtpCodecCapability] = []
    capabilities = RTCRtpSender.getCapabilities("video").codecs
    for name in codecs:
        same = [c for c in capabilities if c.mimeType.lower() == f"video/{name}".lower()]
        found += sorted(same, key=lambda c: c.parameters.get("profile-level-id") != "42e01f")
    return found + [c for c in capabilities if c.mimeType.lower() == "video/rtx"]


async def answering(
    pc: RTCPeerConnection, sender: FrameSender, offer: str, codecs: Sequence[str]
) -> RTCSessionDescription:
    """Answer a viewer's offer with `sender` as the one video track. Raises one of `MALFORMED`.

    An offer of data channels alone is answered without video; ValueError where there is neither. Every media
    section but the first video is declined.
    """
    offer = without_mdns(offer)
    kinds = check_offer(offer)
    transceiver = None
    if "video" in kinds or "application" not in kinds:
        transceiver = _sending(pc, sender, codecs)
    await pc.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
    if transceiver and (
        transceiver.mid is None or transceiver._offerDirection not in ("sendonly", "sendrecv")
    ):
        raise ValueError("the offer has no video section that receives")
    for other in pc.getTransceivers():
        if other is not transceiver:
            other.direction = "inactive"
    await pc.setLocalDescription(await pc.createAnswer())
    return pc.localDescription


def _sending(pc: RTCPeerConnection, sender: FrameSender, codecs: Sequence[str]) -> RTCRtpTransceiver:
    """A transceiver that sends what `sender` sends."""
    transceiver = pc.addTransceiver("video", direction="sendonly")
    stock = transceiver.sender
    sender.adopt(stock.transport, stock._stream_id)
    transceiver._RTCRtpTransceiver__sender = sender  # type: ignore[attr-defined]
    transceiver.receiver._set_rtcp_ssrc(sender._ssrc)
    transceiver.setCodecPreferences(preferences(codecs))
    return transceiver


async def offering(pc: RTCPeerConnection, sender: FrameSender, codecs: Sequence[str]) -> str:
    """An offer (with all its candidates) to send `sender`'s video. `codecs`: in order of preference."""
    _sending(pc, sender, codecs)
    await pc.setLocalDescription(await pc.createOffer())
    return pc.localDescription.sdp


def check_offer(sdp: str) -> set[str]:
    """Raise ValueError for what aiortc would stumble over later, in a task of its own where nobody looks.

    Returns the kinds of its media sections.
    """
    try:
        description = SessionDescription.parse(sdp)
    except StopIteration as error:
        raise ValueError("it describes a codec that it does not list") from error
    sections = {media.rtp.muxId for media in description.media}
    for group in description.group:
        if group.semantic == "BUNDLE" and not set(group.items) <= sections:
            raise ValueError("its BUNDLE group names media sections that are not there")
    if len(sections) != len(description.media):
        raise ValueError("two of its media sections have the same mid, or none")
    for media in description.media:
        if media.kind not in ("audio", "video", "application"):
            raise ValueError(f"it has a section of unknown kind {media.kind[:20]!r}")
        if media.dtls is None or not media.dtls.fingerprints:
            raise ValueError("it has no DTLS fingerprint")
    return {media.kind for media in description.media}


def without_mdns(sdp: str) -> str:
    """The description without `.local` candidates; then more must be expected, so neither is its end line."""
    lines = sdp.replace("\r\n", "\n").split("\n")
    kept = [x for x in lines if not (x.startswith("a=candidate:") and ".local " in x)]
    if len(kept) != len(lines):
        kept = [x for x in kept if not x.startswith("a=end-of-candidates")]
    return "\r\n".join(kept)


def send_on(channel: RTCDataChannel, data: str | bytes, limit_bytes: int) -> bool:
    """Send unless the channel is closing, `limit_bytes` already wait in it, or the peer takes no messages of
    that length. True if it was sent.
    """
    if channel.readyState != "open" or channel.bufferedAmount > limit_bytes:
        return False
    try:
        channel.send(data)
    except (InvalidStateError, ConnectionError, ValueError):  # ValueError: longer than the peer's limit
        return False
    return True


class RtpSink:
    """Encrypts and sends one peer's packets. aiortc's own way takes four coroutines for each."""

    def __init__(self, transport: RTCDtlsTransport) -> None:
        self._dtls = transport
        self._pairs = transport.transport._connection._nominated  # changes when the viewer's network does
        self._protect = transport._tx_srtp.protect

    def send(self, packet: bytes) -> None:
        """Raises ConnectionError once the connection is gone."""
        pair = self._pairs.get(1)
        if pair is None or self._dtls._state is not State.CONNECTED:
            raise ConnectionError("the peer's connection is gone")
        pair.protocol.transport.sendto(self._protect(packet), pair.remote_addr)

    def unsent_bytes(self) -> int:
        """Bytes the kernel has not taken yet: only a TCP relay (or a full socket) ever lets them grow."""
        pair = self._pairs.get(1)
        if pair is None:
            return 0
        transport = pair.protocol.transport
        relay = getattr(transport, "_TurnTransport__inner_protocol", None)
        if relay is not None:
            transport = relay.transport
        measure = getattr(transport, "get_write_buffer_size", None)
        return int(measure()) if measure else 0


class _PromptJitterBuffer(JitterBuffer):
    """Gives a frame up as soon as its marked last packet is there, not when the next frame begins."""

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        frame = super()._remove_frame(sequence_number)
        return frame or self._marked() or (self._marked() if self._skip_to_keyframe() else None)

    def _skip_to_keyframe(self) -> bool:
        """Forget all that waits for lost packets, if a keyframe has come since, whole (as browsers do)."""
        assert self._origin is not None
        start = None
        for count in range(self.capacity):
            packet = self._packets[(self._origin + count) % self.capacity]
            if packet is None:
                start = None
                continue
            data = packet._data  # type: ignore[attr-defined]
            if start is None and count and _opens_keyframe(data):
                start, timestamp = count, packet.timestamp
            if start is not None and packet.timestamp != timestamp:
                start = None
            elif start is not None and packet.marker:
                self.remove(start)
                return True
        return False

    def _marked(self) -> JitterFrame | None:
        packets: list[RtpPacket] = []
        assert self._origin is not None
        for count in range(self.capacity):
            packet = self._packets[(self._origin + count) % self.capacity]
            if packet is None or (packets and packet.timestamp != packets[0].timestamp):
                return None
            packets.append(packet)
            if packet.marker:
                self.remove(len(packets))
                data = b"".join(p._data for p in packets)  # type: ignore[attr-defined]
                return JitterFrame(data=data, timestamp=packet.timestamp)
        return None


def _opens_keyframe(data: bytes) -> bool:
    """Whether a depacketised payload begins a keyframe: H.264 parameter sets, or VP8's inverted key bit."""
    if data.startswith(b"\0\0\0\1"):
        return len(data) > 4 and data[4] & 0x1F == 7
    return len(data) > 6 and not data[0] & 1 and data[3:6] == b"\x9d\x01\x2a"


class _RawTimestamps:
    def map(self, timestamp: int) -> int:
        return timestamp


def release_on_marker(receiver: RTCRtpReceiver) -> None:
    """Let a receiver decode a frame when it is complete; its frames' `pts` are then raw RTP timestamps."""
    receiver._RTCRtpReceiver__jitter_buffer = _PromptJitterBuffer(capacity=512, is_video=True)  # type: ignore[attr-defined]
    receiver._RTCRtpReceiver__timestamp_mapper = _RawTimestamps()  # type: ignore[attr-defined]
