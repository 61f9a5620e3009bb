import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine import rotations as rot
from engine import skeleton
from engine.body import load_body


@pytest.fixture
def rotvec():
    rng = np.random.default_rng(0)
    axis = rng.normal(size=(500, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    return (axis * rng.uniform(0, np.pi - 1e-3, (500, 1))).astype(np.float32)


def test_rotations_agree_with_scipy(rotvec):
    matrix = rot.matrix_from_rotvec(rotvec)
    assert np.abs(matrix - Rotation.from_rotvec(rotvec).as_matrix()).max() < 1e-5
    assert np.abs(rot.rotvec_from_matrix(matrix) - rotvec).max() < 2e-3
    assert np.abs(rot.matrix_from_sixd(rot.sixd_from_matrix(matrix)) - matrix).max() < 1e-5


def test_half_turn_and_identity_survive_the_round_trip():
    for vector in ([np.pi, 0, 0], [0, np.pi, 0], [0, 0, np.pi], [0, 0, 0], [1e-6, 0, 0]):
        matrix = rot.matrix_from_rotvec(np.array(vector, np.float64))
        back = rot.matrix_from_rotvec(rot.rotvec_from_matrix(matrix))
        assert np.abs(back - matrix).max() < 1e-6


def test_slerp_ends_and_middle(rotvec):
    a, b = rotvec[:250], rotvec[250:]
    assert (
        np.abs(rot.matrix_from_rotvec(rot.slerp_rotvec(a, b, 0.0)) - rot.matrix_from_rotvec(a)).max() < 1e-4
    )
    assert (
        np.abs(rot.matrix_from_rotvec(rot.slerp_rotvec(a, b, 1.0)) - rot.matrix_from_rotvec(b)).max() < 1e-4
    )
    middle = Rotation.from_rotvec(rot.slerp_rotvec(a, b, 0.5))
    to_a = (middle.inv() * Rotation.from_rotvec(a)).magnitude()
    to_b = (middle.inv() * Rotation.from_rotvec(b)).magnitude()
    assert np.abs(to_a - to_b).max() < 1e-3


def test_body_rests_in_the_t_pose():
    body = load_body()
    rotation, position = body.fk(np.zeros((55, 3), np.float32))
    assert np.abs(position - body.rest_joints).max() < 1e-6
    assert np.abs(rotation - np.eye(3)).max() == 0
    assert np.abs(body.points(rotation, position) - body.rest_points).max() < 1e-6
    pose = body.pose(rotation, position)
    assert np.abs(pose[5] - pose[2]) @ [1, 0] == pytest.approx(1.0, abs=1e-5)  # unit is the shoulder width
    assert pose[7, 0] > 0 > pose[4, 0]  # the signer's left is on the right of the picture
    assert pose[0, 1] < 0 < pose[8, 1]  # y grows downwards: nose above the shoulders, hip below


def test_batched_and_single_frames_agree():
    body = load_body()
    smplx = (np.random.default_rng(1).normal(size=(7, 55, 3)) * 0.3).astype(np.float32)
    expression = np.zeros((7, 52), np.float32)
    clip = body.motion(smplx, expression, fps=25)
    for i in range(7):
        frame = body.frame(smplx[i], expression[i], seq=i, pts_ns=0, gloss=-1)
        assert np.abs(frame.pose - clip.pose[i]).max() < 1e-6
        assert np.abs(frame.hands - clip.hands[i]).max() < 1e-5


def test_mirroring_motion_mirrors_every_modality():
    body = load_body()
    smplx = (np.random.default_rng(2).normal(size=(5, 55, 3)) * 0.3).astype(np.float32)
    clip = body.motion(smplx, np.zeros((5, 52), np.float32), fps=25)
    mirrored = body.motion(skeleton.mirror_smplx(smplx), clip.expression, fps=25)
    assert np.abs(skeleton.mirror_pose(clip.pose) - mirrored.pose).max() < 2e-4  # the rest body is symmetric
    a = rot.matrix_from_rotvec(skeleton.mirror_hands(clip.hands))
    assert np.abs(a - rot.matrix_from_rotvec(mirrored.hands)).max() < 1e-4
    assert np.abs(skeleton.mirror_smplx(skeleton.mirror_smplx(smplx)) - smplx).max() == 0


def test_a_file_that_is_no_body_is_refused(tmp_path):
    path = tmp_path / "body.npz"
    np.savez(path, something=np.zeros(3))
    with pytest.raises(ValueError, match="rest_joints"):
        load_body(path)


def test_one_pose_and_a_clip_of_it_go_two_ways_to_the_same_place():
    rng = np.random.default_rng(4)
    smplx = rng.normal(0, 0.7, (9, 55, 3)).astype(np.float32)
    rotation, position = load_body().fk(smplx)
    for i, pose in enumerate(smplx):
        alone = load_body().fk(pose)
        assert np.abs(alone[0] - rotation[i]).max() < 2e-6
        assert np.abs(alone[1] - position[i]).max() < 2e-6
