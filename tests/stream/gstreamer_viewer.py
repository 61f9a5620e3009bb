"""A GStreamer WHEP viewer, run by the system's Python: decodes video and prints one JSON line about it.

    python3 gstreamer_viewer.py URL CODEC FRAMES

It builds webrtcbin by hand, posts its offer when gathering is complete, and ends when FRAMES pictures were
decoded, or after 30 s.
"""

import json
import sys
import time
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

DEPAY = {"H264": "rtph264depay ! avdec_h264", "VP8": "rtpvp8depay ! vp8dec"}
CAPS = {
    "H264": "application/x-rtp,media=video,encoding-name=H264,payload=97,clock-rate=90000,"
    "packetization-mode=(string)1,profile-level-id=(string)42e01f",
    "VP8": "application/x-rtp,media=video,encoding-name=VP8,payload=98,clock-rate=90000",
}


class Viewer:
    def __init__(self, url: str, codec: str, wanted: int) -> None:
        self.url, self.codec, self.wanted = url, codec, wanted
        self.frames, self.size, self.error, self.location = 0, [0, 0], "", ""
        self.started = time.monotonic()
        self.first_s = 0.0
        self.kept: list[object] = []
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.Pipeline.new("viewer")
        self.bin = Gst.ElementFactory.make("webrtcbin", "peer")
        self.bin.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.pipeline.add(self.bin)
        self.bin.connect("on-negotiation-needed", self.negotiate)
        self.bin.connect("notify::ice-gathering-state", self.gathered)
        self.bin.connect("pad-added", self.pad_added)
        direction = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
        self.bin.emit("add-transceiver", direction, Gst.Caps.from_string(CAPS[codec]))

    def run(self) -> dict[str, object]:
        GLib.timeout_add_seconds(90, self.end, "timeout")
        self.pipeline.set_state(Gst.State.PLAYING)
        self.loop.run()
        self.pipeline.set_state(Gst.State.NULL)
        if self.location:
            request = urllib.request.Request(self.location, method="DELETE")
            urllib.request.urlopen(request, timeout=30).close()
        return {
            "frames": self.frames,
            "width": self.size[0],
            "height": self.size[1],
            "first_ms": round(self.first_s * 1e3),
            "error": self.error,
        }

    def end(self, why: str = "") -> bool:
        self.error = why
        self.loop.quit()
        return False

    def negotiate(self, _bin: object) -> None:
        promise = Gst.Promise.new_with_change_func(self.offered, None)
        self.bin.emit("create-offer", None, promise)

    def offered(self, promise: Gst.Promise, _data: object) -> None:
        reply = promise.get_reply()
        self.kept.append(reply)  # the description lives in the reply: losing it crashes
        self.bin.emit("set-local-description", reply.get_value("offer"), Gst.Promise.new())

    def gathered(self, _bin: object, _property: object) -> None:
        state = self.bin.get_property("ice-gathering-state")
        if state == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self.post)

    def post(self) -> bool:
        offer = self.bin.get_property("local-description").sdp.as_text()
        headers = {"Content-Type": "application/sdp"}
        request = urllib.request.Request(self.url, offer.encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                answer = response.read()
                base = self.url[: self.url.index("/whep/")]
                self.location = base + response.headers["Location"]
        except OSError as error:
            return self.end(f"offer refused: {error}")
        _, sdp = GstSdp.SDPMessage.new()
        GstSdp.sdp_message_parse_buffer(answer, sdp)
        description = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.kept.append(description)
        self.bin.emit("set-remote-description", description, Gst.Promise.new())
        return False

    def pad_added(self, _bin: object, pad: Gst.Pad) -> None:
        if pad.direction != Gst.PadDirection.SRC:
            return
        tail = Gst.parse_bin_from_description(
            f"{DEPAY[self.codec]} ! fakesink name=sink sync=false signal-handoffs=true", True
        )
        tail.get_by_name("sink").connect("handoff", self.decoded)
        self.pipeline.add(tail)
        tail.sync_state_with_parent()
        pad.link(tail.sinkpads[0])

    def decoded(self, sink: Gst.Element, _buffer: object, pad: Gst.Pad) -> None:
        self.frames += 1
        if self.frames == 1:
            self.first_s = time.monotonic() - self.started
            structure = pad.get_current_caps().get_structure(0)
            self.size = [structure.get_value("width"), structure.get_value("height")]
        if self.frames == self.wanted:
            GLib.idle_add(self.end)


if __name__ == "__main__":
    Gst.init(None)
    print(json.dumps(Viewer(sys.argv[1], sys.argv[2], int(sys.argv[3])).run()))
