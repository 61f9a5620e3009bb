"""Agreement: zero by construction, and by hand what is put in comes out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from engine.body import WRIST_SHIFT, load_body
from engine.rotations import matrix_from_rotvec, rotvec_from_matrix
from engine.signals import Motion
from engine.skeleton import POSE_HAND
from trainer.metrics.agreement import PAIRS, agreement, hand_points

BODY = load_body()


def still(frames: int = 4) -> Motion:
    """The T-pose."""
    return BODY.motion(np.zeros((frames, 55, 3), np.float32), np.zeros((frames, 52), np.float32), 25.0)


def test_motion_of_one_source_agrees() -> None:
    rng = np.random.default_rng(0)
    smplx = rng.normal(0, 0.5, (30, 55, 3)).astype(np.float32)
    figures = agreement(BODY.motion(smplx, np.zeros((30, 52), np.float32), 25.0)).figures()
    assert max(figures.values()) < 1e-5
    assert len(figures) == 2 + 2 * len(PAIRS)


def test_a_shifted_picture_is_apart_by_the_shift() -> None:
    motion = still()
    pose = motion.pose.copy()
    pose[:2] += (0.3, -0.4)  # half of the frames, by half a shoulder width
    got = agreement(dataclasses.replace(motion, pose=pose))
    assert got.wrist["pose-smplx"] == pytest.approx(0.25, abs=1e-5)
    assert got.fingertip["pose-smplx"] == pytest.approx(0.25, abs=1e-5)
    for pair in ("hands-smplx", "pose-hands"):  # a hand moved as a whole is the same hand
        assert max(got.wrist[pair], got.fingertip[pair]) < 1e-5
    assert got.mean_wrist == pytest.approx(0.25 / 3, abs=1e-5)


def test_a_turned_wrist_moves_the_palm_by_the_chord() -> None:
    motion = still()
    hands, angle = motion.hands.copy(), 0.4
    hands[:, 1, 0] = (0, angle, 0)  # the right hand turns about the vertical
    got = agreement(dataclasses.replace(motion, hands=hands))
    points = hand_points(motion.hands, BODY)[0, 1]
    reach = np.linalg.norm(points[9, [0, 2]]) / BODY.shoulder_width_m
    assert got.wrist["hands-smplx"] == pytest.approx(
        2 * np.sin(angle / 2) * reach / 2, rel=1e-4
    )  # one of two
    tips = np.linalg.norm(points[[4, 8, 12, 16, 20]][:, [0, 2]], axis=1).mean() / BODY.shoulder_width_m
    assert got.fingertip["hands-smplx"] == pytest.approx(2 * np.sin(angle / 2) * tips / 2, rel=1e-4)
    assert got.wrist["pose-smplx"] == got.fingertip["pose-smplx"] == 0
    x = points[9, 0] * (1 - np.cos(angle)) - points[9, 2] * np.sin(angle)  # what the camera sees of it
    expected = abs(x) * (1 - WRIST_SHIFT) / BODY.shoulder_width_m / 2
    assert got.wrist["pose-hands"] == pytest.approx(expected, rel=1e-3)


def test_a_fingertip_in_the_picture_is_one_of_ten() -> None:
    motion = still()
    pose = motion.pose.copy()
    pose[:, POSE_HAND["left"].start + 8] += (0.0, 0.2)
    got = agreement(dataclasses.replace(motion, pose=pose))
    assert got.fingertip["pose-smplx"] == pytest.approx(0.02, abs=1e-5)
    assert got.fingertip["pose-hands"] == pytest.approx(0.02, abs=1e-5)
    assert got.fingertip["hands-smplx"] < 1e-6
    assert max(got.wrist.values()) < 1e-6


def test_hand_points_are_those_of_the_body() -> None:
    rng = np.random.default_rng(1)
    motion = BODY.motion(
        rng.normal(0, 0.4, (6, 55, 3)).astype(np.float32), np.zeros((6, 52), np.float32), 25.0
    )
    rotation, position = BODY.fk(motion.smplx)
    joints = np.concatenate([position, BODY.points(rotation, position)], 1)
    thumb_tip = joints[:, 66] - joints[:, 20]
    assert np.abs(hand_points(motion.hands, BODY)[:, 0, 4] - thumb_tip).max() < 1e-5
    turned = motion.hands.copy()
    turn = matrix_from_rotvec(np.array([0.3, -0.2, 0.5], np.float32))
    turned[:, :, 0] = rotvec_from_matrix(turn @ matrix_from_rotvec(turned[:, :, 0]))
    expected = (turn @ hand_points(motion.hands, BODY)[..., None])[..., 0]
    assert np.abs(hand_points(turned, BODY) - expected).max() < 1e-5


def test_no_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="no frames"):
        agreement(still()[:0])
