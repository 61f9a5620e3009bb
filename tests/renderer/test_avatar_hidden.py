"""Triangles left out of the drawing are triangles that nobody would have seen."""

import itertools

import numpy as np
import pytest

from renderer.avatar import SIGNERS, AvatarConfig, AvatarRenderer, scene
from renderer.avatar.assets import load_mesh
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


@pytest.mark.parametrize("signer", SIGNERS)
def test_no_picture_changes(signer, monkeypatch):
    config = AvatarConfig(signer, 256, 256)
    thrifty = AvatarRenderer(config)
    thrifty.open()
    monkeypatch.setattr(scene, "visible_faces", lambda mesh: mesh.faces)
    whole = AvatarRenderer(config)
    whole.open()
    try:
        for at, smplx in enumerate(poses()):
            one, other = (r.rgba(frame(smplx)).astype(int) for r in (thrifty, whole))
            differing = np.abs(one - other).max(-1) > 8
            assert differing.sum() <= 3, f"pose {at}: {differing.sum()} pixels differ"
    finally:
        thrifty.close()
        whole.close()


@pytest.mark.parametrize("signer", SIGNERS)
def test_it_is_worth_it_and_spares_the_arms(signer):
    mesh = load_mesh(signer)
    seen = visible_faces(mesh)
    assert len(seen) < 0.92 * len(mesh.faces)
    strongest = np.take_along_axis(mesh.joints, mesh.weights.argmax(1)[:, None], 1)[:, 0]
    arms = (strongest >= 16) & (strongest != 22) & (strongest != 23) & (strongest != 24)
    assert arms[seen].any(1).sum() == arms[mesh.faces].any(1).sum()
