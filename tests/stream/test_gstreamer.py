"""GStreamer's webrtcbin as a viewer: another WebRTC stack, with an RSA certificate and other habits."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from tests.stream.waiting import until

PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).parent / "gstreamer_viewer.py"
NEEDED = "import gi; gi.require_version('GstWebRTC', '1.0'); from gi.repository import GstWebRTC"


def has_gstreamer() -> bool:
    try:
        return subprocess.run([PYTHON, "-c", NEEDED], capture_output=True, timeout=30).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not has_gstreamer(), reason="needs apt-get install python3-gi gir1.2-gst-plugins-bad-1.0")
@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_gstreamer_decodes_the_video_and_leaves(server, codec):
    viewer = await asyncio.create_subprocess_exec(
        PYTHON, SCRIPT, f"{server.address}whep/main", codec, "30", stdout=-1, stderr=-1
    )
    out, err = await asyncio.wait_for(viewer.communicate(), 150)
    report = json.loads(out or b"{}")
    assert report.get("frames", 0) >= 30, (report, err.decode()[-2000:])
    assert (report["width"], report["height"], report["error"]) == (128, 64, "")
    await until(lambda: not server.stage.channels["main"].peers)  # its DELETE ended the session
