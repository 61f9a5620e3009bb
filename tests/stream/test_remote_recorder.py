"""Pictures into a file: readable by ffmpeg, whole up to the last, and harmless when it cannot be written."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest

from stream.exports import LABEL
from stream.provenance import ALGORITHM
from stream.remote.recorder import FORMATS, Recorder
from stream.shot import Shot
from tests.stream.stand_ins import BarRenderer, motion_frame, read_bars

PERIOD_NS = 40_000_000


def shots(count: int) -> list[Shot]:
    renderer = BarRenderer()
    renderer.open()
    return [Shot.of(renderer.render(motion_frame(n, n * PERIOD_NS)), 1.0) for n in range(1, count + 1)]


async def record(path: Path, pictures: list[Shot]) -> Recorder:
    recorder = Recorder(str(path), 25.0)
    async with asyncio.timeout(60):
        for number, shot in enumerate(pictures, 1):
            recorder.offer(shot)
            while recorder.frames < number and not recorder.failed:  # noqa: ASYNC110 - or newer ones replace it
                await asyncio.sleep(0.001)
    return recorder


@pytest.mark.parametrize("suffix", sorted(FORMATS))
async def test_what_is_offered_can_be_read_back(tmp_path, suffix):
    path = tmp_path / f"signs{suffix}"
    recorder = await record(path, shots(30))
    recorder.close()
    assert (recorder.trouble(), recorder.dropped) == ([], 0)
    options = {"export_xmp": "1"} if suffix in (".mp4", ".mov") else {}
    with av.open(str(path), options=options) as container:
        pictures = list(container.decode(video=0))
        if suffix in (".mp4", ".mov", ".mkv"):
            assert ALGORITHM in str(container.metadata), "what it is, for programs"
        if suffix in (".mp4", ".mkv"):
            assert LABEL in container.metadata.values() or LABEL in str(container.metadata)
    assert [read_bars(p.to_ndarray(format="yuv420p")[:64]) for p in pictures] == list(range(1, 31))
    seconds = float(pictures[-1].time - pictures[0].time)
    assert seconds == pytest.approx(29 * 0.04, abs=0.005), "each at its time"


async def test_a_recording_that_is_cut_off_is_whole_up_to_there(tmp_path):
    """Nobody closes it: what is on the disk so far can be read."""
    path = tmp_path / "signs.ts"
    recorder = await record(path, shots(40))
    copy = tmp_path / "copy.ts"
    try:
        shutil.copy(path, copy)
        with av.open(str(copy)) as container:
            assert len(list(container.decode(video=0))) >= 1
    finally:
        recorder.close()


def test_standard_output_is_a_transport_stream(tmp_path):
    """As in `handstream render --out - | ffplay -`: here ffprobe reads what comes."""
    code = (
        "from tests.stream.test_remote_recorder import shots; from stream.remote.recorder import Recorder\n"
        "import time\nr = Recorder('-', 25.0)\n"
        "for n, s in enumerate(shots(30), 1):\n    r.offer(s)\n    while r.frames < n: time.sleep(0.001)\n"
        "r.close()"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, check=True)
    path = tmp_path / "piped.ts"
    path.write_bytes(made.stdout)
    asked = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames"]
    told = subprocess.run([*asked, "-of", "csv=p=0", str(path)], capture_output=True, text=True, timeout=60)
    assert told.stdout.split()[0].startswith("h264,30"), told


def test_another_suffix_is_explained():
    with pytest.raises(ValueError, match=r"\.mp4"):
        Recorder("signs.avi", 25.0)


async def test_a_folder_that_is_not_there_is_told_and_stops_nobody(tmp_path):
    recorder = await record(tmp_path / "no" / "such" / "folder" / "x.mp4", shots(2))
    assert "not written any more" in recorder.trouble()[0]
    recorder.close()
