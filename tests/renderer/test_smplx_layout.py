"""Our body's file in SMPL-X's layout: the unmodified `smplx` package agrees with the engine's kinematics."""

import numpy as np
import pytest

from engine.body import load_body
from engine.skeleton import FACE_UNITS, POINT_NAMES
from renderer.avatar import AvatarConfig, AvatarRenderer
from renderer.avatar.config import ASSETS
from renderer.avatar.licensed import licensed_mesh
from tests.renderer.frames import frame, pose, random_pose

smplx = pytest.importorskip("smplx", reason="the extra `smplx` is not installed")
torch = pytest.importorskip("torch")
FILE = ASSETS / "SMPLX_NEUTRAL.npz"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "smplx"
    folder.mkdir()
    (folder / FILE.name).symlink_to(FILE)
    return smplx.create(
        str(folder.parent), model_type="smplx", gender="neutral", ext="npz", use_pca=False,
        flat_hand_mean=True,
        num_betas=10, num_expression_coeffs=52, use_face_contour=True,
    )  # fmt: skip


def forward(model, motion, expression=None):
    parts = torch.from_numpy(motion.astype(np.float32))[None]
    with torch.no_grad():
        return model(
            global_orient=parts[:, 0], body_pose=parts[:, 1:22].reshape(1, 63), jaw_pose=parts[:, 22],
            leye_pose=parts[:, 23], reye_pose=parts[:, 24], left_hand_pose=parts[:, 25:40].reshape(1, 45),
            right_hand_pose=parts[:, 40:55].reshape(1, 45),
            expression=torch.zeros(1, 52) if expression is None else expression,
        )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_posed_joints_and_points_agree(model, seed):
    motion = random_pose(seed, 0.5)
    body = load_body()
    rotation, position = body.fk(motion)
    joints = forward(model, motion).joints[0].numpy()
    assert np.abs(joints[:55] - position).max() <= 1e-5
    rigid = [
        i
        for i, name in enumerate(POINT_NAMES)
        if name.endswith("_tip") or name in ("nose", "left_ear", "right_ear")
    ]
    points = body.points(rotation, position)
    assert np.abs(joints[55:76][rigid] - points[rigid]).max() <= 1e-5


def test_the_rest_pose_is_the_template_and_face_units_move_it(model):
    still = forward(model, np.zeros((55, 3)))
    assert np.abs(still.vertices[0].numpy() - model.v_template.numpy()).max() < 1e-6
    assert still.joints.shape[1] == 55 + 21 + 51 + 17
    for unit in ("jawOpen", "mouthSmileLeft", "browInnerUp"):
        expression = torch.zeros(1, 52)
        expression[0, FACE_UNITS.index(unit)] = 1
        moved = (forward(model, np.zeros((55, 3)), expression).vertices - still.vertices).norm(dim=-1)
        assert moved.max() > 0.003, f"{unit} does not move the face"


def test_a_model_file_is_drawn_like_a_baked_signer():
    """Our own file stands in for the licensed one: same layout, same renderer."""
    settings = AvatarConfig(width=256, height=256, background="transparent")
    baked, loaded = AvatarRenderer(settings), AvatarRenderer(settings, mesh=licensed_mesh(FILE))
    motion = frame(pose(right_elbow=(0, 1.2, 0)))
    baked.open()
    loaded.open()
    try:
        one, two = (r.rgba(motion)[..., 3] > 127 for r in (baked, loaded))
        overlap = (one & two).sum() / (one | two).sum()
        assert overlap > 0.85, f"silhouettes overlap by {overlap:.2f} only"
        open_mouth = loaded.rgba(frame(motion.smplx, jawOpen=1)).astype(int)
        assert (np.abs(open_mouth - loaded.rgba(motion)).max(-1) > 25).sum() > 10
    finally:
        baked.close()
        loaded.close()


def test_a_file_that_is_no_model_is_explained(tmp_path):
    with pytest.raises(ValueError, match="no file"):
        licensed_mesh(tmp_path / "SMPLX_NEUTRAL.npz")
    wrong = tmp_path / "wrong.npz"
    np.savez(wrong, x=np.zeros(3))
    with pytest.raises(ValueError, match="not an SMPL-X model"):
        licensed_mesh(wrong)
