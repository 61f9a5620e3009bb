"""Reading `.pose`: every layout we meet, and every kind of rubbish."""

from __future__ import annotations

import resource
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pose_format import Pose

from engine.retarget import read_pose, retarget
from tests.engine.test_retarget import DATA, alphabet


@pytest.fixture(scope="module")
def file() -> Path:
    return alphabet("ase")["A"]


@pytest.fixture(scope="module")
def content(file: Path) -> bytes:
    return file.read_bytes()


def test_reads_all_and_part(file: Path) -> None:
    whole = read_pose(file)
    assert len(whole) == 21
    assert len(read_pose(file, 0, 0)) == 21  # lexicons write 0 for "to the end"
    assert len(read_pose(file, 0, 2720)) == 21  # and ends beyond the end
    part = read_pose(file, 200, 400)
    assert len(part) == 5
    assert np.array_equal(part.hands["right"], whole.hands["right"][5:10])
    with pytest.raises(ValueError, match="no frames between"):
        read_pose(file, 5000, 6000)


def test_reduced_recordings(file: Path, tmp_path: Path) -> None:
    """178 points: 8 of the body, 128 of the face, both hands; written from a full recording."""
    full = Pose.read(file.read_bytes())
    faces = sorted(map(str, (33, 133, 263, 362, 13, 14, 10, 152, 234, 454, *range(40, 158))))[:128]
    body = [f"{s}_{n}" for n in ("SHOULDER", "ELBOW", "WRIST", "HIP") for s in ("LEFT", "RIGHT")]
    reduced = full.get_components(
        ["POSE_LANDMARKS", "FACE_LANDMARKS", "LEFT_HAND_LANDMARKS", "RIGHT_HAND_LANDMARKS"],
        {"POSE_LANDMARKS": body, "FACE_LANDMARKS": faces},
    )
    path = tmp_path / "reduced.pose"
    with path.open("wb") as out:
        reduced.write(out)
    recording = read_pose(path)
    assert np.isnan(recording.point("NOSE")).all()
    assert np.array_equal(recording.hands["right"], read_pose(file).hands["right"])
    motion = retarget(recording)
    assert np.isfinite(motion.smplx).all()
    off = np.linalg.norm(motion.pose - retarget(read_pose(file)).pose, axis=-1)
    assert off[:, 39:].mean() < 0.05


@pytest.mark.parametrize(
    ("name", "points"), [("dgs_signs/HOUSE1A^.pose", 576), ("whole_signs_sgg/sgg/kinder.pose", 178)]
)
def test_other_layouts(name: str, points: int) -> None:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"development data absent: {path}")
    assert Pose.read(path.read_bytes()).body.data.shape[2] == points
    recording = read_pose(path)
    assert recording.hand_seen("right").any()
    assert np.isfinite(retarget(recording).smplx).all()


def refuse(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(ValueError, match=str(path.name)):
        read_pose(path)


def test_missing_empty_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="check the path"):
        read_pose(tmp_path / "absent.pose")
    with pytest.raises(ValueError):
        read_pose(tmp_path)
    refuse(tmp_path / "empty.pose", b"")
    refuse(tmp_path / "text.pose", b"this is no pose file at all, but it is long enough to be one\n" * 40)
    refuse(tmp_path / "zeros.pose", bytes(4096))


def test_every_truncation_is_refused_or_read(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut.pose"
    for length in np.linspace(1, len(content) - 1, 60).astype(int):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"cut\.pose"):
            read_pose(path)


def test_frames_without_a_number_are_not_seen(file: Path, tmp_path: Path) -> None:
    pose = Pose.read(file.read_bytes())
    pose.body.data.data[:3] = np.nan
    pose.body.data.data[3, 0, :, 0] = 1e30
    path = tmp_path / "nan.pose"
    with path.open("wb") as out:
        pose.write(out)
    recording = read_pose(path)
    assert not recording.hand_seen("right")[:4].any()
    assert np.isfinite(retarget(recording).smplx).all()


def test_absurd_rates_are_refused(content: bytes, tmp_path: Path) -> None:
    fps = struct.pack("<f", 25.0)
    assert content.count(fps) >= 1
    for rate in (0.0, -25.0, float("nan"), float("inf"), 1e9):
        refuse(tmp_path / "rate.pose", content.replace(fps, struct.pack("<f", rate), 1))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    early=st.booleans(),
)
def test_damaged_files_never_crash_hang_or_swell(
    flips: list[tuple[float, int]], early: bool, content: bytes, tmp_path: Path
) -> None:
    data = bytearray(content)
    reach = 9000 if early else len(data)  # the header is where a byte does most harm
    for place, value in flips:
        data[int(place * reach)] = value
    path = tmp_path / "damaged.pose"
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    try:
        recording = read_pose(path)
    except ValueError as error:
        taught = str(error)
    else:
        taught = "damaged.pose"
        motion = retarget(recording, lifting=None)
        assert np.isfinite(motion.smplx).all()
        assert np.isfinite(motion.pose).all()
    assert "damaged.pose" in taught
    assert time.monotonic() - begun < 120
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000  # KiB
