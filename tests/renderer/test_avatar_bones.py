"""Kinematics and skinning: the shader's vertices are numpy's, the bones are the engine's."""

import moderngl
import numpy as np
import pytest

from engine.body import load_body
from engine.skeleton import FACE, JAW, JOINT
from renderer.avatar import SIGNERS, context
from renderer.avatar.assets import load_mesh
from renderer.avatar.bones import Bones, drawn
from renderer.avatar.shading import vertex_source
from renderer.avatar.skinning import morphed, skinned
from tests.renderer.frames import random_pose


@pytest.mark.parametrize("signer", SIGNERS)
def test_the_bones_of_every_signer_are_those_of_the_engines_body(signer):
    mesh = load_mesh(signer)
    smplx = random_pose(1)
    _, joints = Bones(mesh.fold, mesh.rest_joints).matrices(smplx)
    _, position = load_body().fk(smplx)
    face = [JAW, 23, 24]  # lie where each face's shape has them
    body = [i for i in range(55) if i not in face]
    assert np.abs(joints[body] - position[body]).max() < 1e-6
    assert np.abs(joints[face] - position[face]).max() < 0.02


def test_the_shader_places_vertices_where_numpy_does():
    mesh = load_mesh("mira")
    units = np.zeros(52, np.float32)
    units[[FACE["jawOpen"], FACE["browInnerUp"], FACE["eyeBlinkLeft"]]] = 0.7, 0.5, 1
    matrices, _ = Bones(mesh.fold, mesh.rest_joints).matrices(random_pose(2))
    expected = skinned(mesh, units, matrices)
    device = context.acquire()
    try:
        got = _by_shader(device.gl, mesh, morphed(mesh, units), matrices)
    finally:
        context.release(device)
    assert np.abs(got - expected).max() < 2e-5


def _by_shader(gl, mesh, face, matrices):
    """World positions, by feedback from the real vertex shader under an identity projection."""
    program = gl.program(vertex_shader=vertex_source(), varyings=["gl_Position"])
    program["projection"].write(np.eye(4, dtype="f4").tobytes())
    program["Bones"].binding = 0
    points = np.concatenate([mesh.points, mesh.normals], 1)
    points[: len(face)] = face
    skin = np.zeros(len(points), [("joints", "u1", 4), ("weights", "u1", 4)])
    skin["joints"], skin["weights"] = mesh.joints, mesh.weights
    bones, out = gl.buffer(matrices.tobytes()), gl.buffer(reserve=len(points) * 16)
    bones.bind_to_uniform_block(0)
    vertices = gl.vertex_array(
        program,
        [
            (gl.buffer(points.astype("f4").tobytes()), "3f 12x", "point"),
            (gl.buffer(skin.tobytes()), "4u1 4f1", "joints", "weights"),
        ],
    )
    gl.simple_framebuffer((4, 4)).use()  # without a display there is none, and drawing needs one
    vertices.transform(out, moderngl.POINTS, vertices=len(points))
    return np.frombuffer(out.read(), "f4").reshape(-1, 4)[:, :3]


def test_the_rest_pose_is_the_t_pose():
    mesh = load_mesh("mira")
    matrices, joints = Bones(mesh.fold, mesh.rest_joints).matrices(np.zeros((55, 3), np.float32))
    assert np.abs(matrices - mesh.fold).max() < 1e-6
    assert np.abs(joints - mesh.rest_joints).max() < 1e-6


def test_a_turned_wrist_turns_the_forearm_half_way():
    mesh = load_mesh("mira")
    bones = Bones(mesh.fold, mesh.rest_joints)
    smplx = np.zeros((55, 3), np.float32)
    axis = mesh.rest_joints[20] - mesh.rest_joints[18]
    smplx[20] = axis / np.linalg.norm(axis) * 1.2
    still, _ = bones.matrices(np.zeros((55, 3), np.float32))
    turned, _ = bones.matrices(smplx)

    def angle(joint):
        between = turned[joint, :, :3] @ still[joint, :, :3].T
        return np.arccos(np.clip((np.trace(between) - 1) / 2, -1, 1))

    assert angle(20) == pytest.approx(1.2, abs=1e-3)
    assert angle(55) == pytest.approx(0.6, abs=1e-3)
    assert angle(18) == pytest.approx(0.0, abs=1e-3)


def test_a_blink_closes_the_resting_lids():
    rest = load_mesh("mira").rest
    units = np.zeros(52, np.float32)
    units[FACE["eyeBlinkLeft"]] = 1
    _, shown = drawn(np.zeros((55, 3), np.float32), units, rest)
    assert shown[FACE["eyeWideLeft"]] == -rest[FACE["eyeWideLeft"]] < 0
    assert shown[FACE["eyeWideRight"]] == 0


def test_units_outside_their_range_are_drawn_at_its_ends():
    units = np.full(52, 7.0, np.float32)
    _, shown = drawn(np.zeros((55, 3), np.float32), units, np.zeros(52, np.float32))
    assert shown.max() == 1


@pytest.mark.parametrize("signer", ["amara", "kofi"])
def test_palms_of_dark_skin_are_lighter_than_the_backs_of_the_hands(signer):
    mesh = load_mesh(signer)
    strongest = np.take_along_axis(mesh.joints, mesh.weights.argmax(1)[:, None], 1)[:, 0]
    hand = np.isin(
        strongest, [j for n, j in JOINT.items() if n.startswith("right_middle") or n == "right_wrist"]
    )
    upward = np.einsum("vi,vi->v", mesh.fold[strongest, 1, :3], mesh.normals)  # in the T-pose, palms down
    rows, columns = mesh.texture.shape[:2]
    x, y = (mesh.uv * [columns, rows]).astype(int).T
    brightness = mesh.texture[y, x].mean(1)
    palm, back = (np.median(brightness[hand & side]) for side in (upward < -0.6, upward > 0.6))
    assert palm > 1.2 * back
