"""Triangles left out of the drawing are triangles that nobody would have seen."""

import itertools

import numpy as np
import pytest

from renderer.avatar import SIGNERS, AvatarConfig, AvatarRenderer, scene
from renderer.avatar.assets import EYES, SKIN, load_mesh
from renderer.avatar.hidden import visible_faces
from tests.renderer.frames import frame, pose

TURNS = (-0.6, 0.0, 0.6)
"""Radians of head and neck together, each way: more than signing asks for."""


def poses():
    """Heads turned, nodded and tilted to their ends, trunk leaning, eyes rolling."""
    for turn, nod in itertools.product(TURNS, TURNS):
        yield pose(
            head=(nod * 0.6, turn * 0.6, 0.3 * turn),
            neck=(nod * 0.4, turn * 0.4, 0),
            spine1=(0.15 * nod, 0.2 * turn, 0.1),
            left_eye=(0.5 * nod, 0.6 * turn, 0),
            right_eye=(0.5 * nod, 0.6 * turn, 0),
            right_shoulder=(0.1, 0.5, 0.6),
            right_elbow=(0, 2.0, 0.5),
        )


@pytest.mark.parametrize("size", [256, 768])
@pytest.mark.parametrize("signer", SIGNERS)
def test_no_picture_changes(signer, size, monkeypatch):
    config = AvatarConfig(signer, size, size)
    thrifty = AvatarRenderer(config)
    thrifty.open()
    monkeypatch.setattr(scene, "visible_faces", lambda mesh, small: mesh.small_faces if small else mesh.faces)
    whole = AvatarRenderer(config)
    whole.open()
    try:
        for at, smplx in enumerate(poses()):
            one, other = (r.rgba(frame(smplx)).astype(int) for r in (thrifty, whole))
            differing = np.abs(one - other).max(-1) > 8
            assert differing.sum() <= 3e-5 * size * size + 1, f"pose {at}: {differing.sum()} pixels differ"
    finally:
        thrifty.close()
        whole.close()


@pytest.mark.parametrize("signer", SIGNERS)
def test_it_is_worth_it_and_spares_the_arms(signer):
    mesh = load_mesh(signer)
    for small, faces in ((False, mesh.faces), (True, mesh.small_faces)):
        seen = visible_faces(mesh, small)
        assert len(seen) < 0.92 * len(faces)
        strongest = np.take_along_axis(mesh.joints, mesh.weights.argmax(1)[:, None], 1)[:, 0]
        arms = (strongest >= 16) & (strongest != 22) & (strongest != 23) & (strongest != 24)
        assert arms[seen].any(1).sum() == arms[faces].any(1).sum()


@pytest.mark.parametrize("signer", SIGNERS)
def test_a_small_picture_of_fewer_triangles_looks_the_same(signer, monkeypatch):
    config = AvatarConfig(signer, 512, 512)
    fewer = AvatarRenderer(config)
    fewer.open()
    monkeypatch.setattr(scene, "SMALL_PX", 0)
    full = AvatarRenderer(config)
    full.open()
    try:
        for smplx in itertools.islice(poses(), 0, None, 4):
            one, other = (r.rgba(frame(smplx)).astype(float) for r in (fewer, full))
            apart = np.abs(one - other)[..., :3].max(-1)
            assert apart.mean() < 1.0
            assert (apart > 40).mean() < 0.005, "outlines have moved"
    finally:
        fewer.close()
        full.close()


@pytest.mark.parametrize("signer", SIGNERS)
def test_fewer_triangles_leave_the_eyes_alone(signer):
    mesh = load_mesh(signer)
    small = {tuple(sorted(face)) for face in mesh.small_faces.tolist()}
    ball = mesh.points[mesh.material == EYES]
    eyes = np.stack([ball[ball[:, 0] > 0].mean(0), ball[ball[:, 0] < 0].mean(0)])
    near = (np.linalg.norm(mesh.points[:, None] - eyes, axis=2) < 0.03).any(1) & (mesh.material == SKIN)
    around = mesh.faces[near[mesh.faces].all(1)]
    assert len(around) > 200
    assert all(tuple(sorted(face)) in small for face in around.tolist())
