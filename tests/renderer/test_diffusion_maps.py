"""The conditioning maps: on the avatar's picture, each of its own modality, alike alone and in a batch."""

import dataclasses

import numpy as np
import pytest
import torch

from engine.lexicon import Lexicon
from renderer.diffusion.maps import MODALITIES, draw_maps, hand_places
from renderer.diffusion.strokes import FLAT, Strokes, draw
from tests.renderer.frames import frame

SIZE = 96


@pytest.fixture(scope="module")
def spelled():
    """Six frames of recordings with the hand raised."""
    lexicon = Lexicon.default()
    frames = []
    for letter in "abl":
        motion = lexicon.motion(lexicon.alphabet("ase")[letter])
        frames += list(motion[len(motion) // 2 : len(motion) // 2 + 2].frames())
    lexicon.close()
    return frames


def test_a_frame_looks_the_same_alone_and_in_a_batch(spelled):
    together = draw_maps(spelled, SIZE)
    assert together.shape == (6, 3, 3, SIZE, SIZE)
    alone = torch.cat([draw_maps([one], SIZE) for one in spelled])
    differ = (together - alone).abs() > 1e-3  # a last bit may decide which of two capsules is nearer
    assert differ.float().mean() < 1e-4


def test_maps_lie_on_the_avatars_picture(spelled, renderers):
    avatar = renderers(width=SIZE, height=SIZE, background="transparent")
    maps = draw_maps(spelled, SIZE).amax(2).numpy()
    for one, drawn in zip(spelled, maps, strict=True):
        signer = avatar.rgba(one)[..., 3] > 0
        for number, modality in enumerate(MODALITIES):
            lit = drawn[number] > 0.3
            assert (lit & signer).sum() > 0.9 * lit.sum(), modality
        assert (drawn[2] > 0).sum() > 0.75 * signer.sum(), "the body map covers most of the signer"


def test_each_map_is_drawn_from_its_own_modality():
    base = frame()
    moved = {
        "pose": dataclasses.replace(base, pose=base.pose + np.float32(0.1)),
        "hands": dataclasses.replace(base, hands=base.hands + np.float32(0.3)),
        "body": dataclasses.replace(base, expression=np.full(52, 0.8, np.float32)),
    }
    before = draw_maps([base], SIZE)[0]
    for name, other in moved.items():
        changed = (draw_maps([other], SIZE)[0] != before).flatten(1).any(1)
        assert [m for m, c in zip(MODALITIES, changed, strict=True) if c] == [name]


def test_hands_of_the_body_and_hands_alone_agree(spelled):
    """Where the modalities agree, MANO hands are drawn where the keypoints are."""
    maps = draw_maps(spelled, SIZE)
    hands, places = maps[:, 1].amax(1).numpy(), hand_places(spelled, SIZE)
    for drawn, both in zip(hands, places, strict=True):
        y, x = np.nonzero(drawn > 0.2)
        near = [np.hypot(x - px, y - py) < 1.6 * reach + 1 for px, py, reach in both]
        assert np.logical_or(*near).mean() > 0.98
        assert (both[:, 2] > 2).all()


def test_strokes_are_those_of_looking_at_every_pixel():
    rng = np.random.default_rng(0)
    count, size, canvases = 40, 24, 2
    ends = rng.uniform(-4, 28, (count, 2, 2)).astype(np.float32)
    radii = rng.uniform(0.6, 3, (count, 2)).astype(np.float32)
    depth = np.repeat(np.arange(count, dtype=np.float32)[:, None] / 64, 2, 1)
    colour = rng.uniform(0.1, 1, (count, 3)).astype(np.float32)
    canvas = rng.integers(0, canvases, count)
    made = draw(
        Strokes(
            *map(torch.from_numpy, (canvas, ends, radii, depth, np.zeros_like(radii), colour)),
            shade=torch.full((count,), FLAT),
        ),
        canvases,
        size,
    ).numpy()
    expected = np.zeros((canvases, 3, size, size), np.float32)
    solid = np.zeros((canvases, size, size), bool)
    ys, xs = np.mgrid[:size, :size] + 0.5
    for c, (a, b), (ra, rb), paint in zip(canvas, ends, radii, colour, strict=True):
        along = b - a
        t = np.clip(((xs - a[0]) * along[0] + (ys - a[1]) * along[1]) / (along @ along), 0, 1)
        cover = ra + (rb - ra) * t - np.hypot(xs - a[0] - along[0] * t, ys - a[1] - along[1] * t) + 0.5
        wins = (cover > 0) & ((cover >= 0.5) | ~solid[c])
        expected[c][:, wins] = paint[:, None] * np.clip(cover[wins], 0, 1)
        solid[c] |= cover >= 0.5
    assert np.abs(made - expected).max() < 2e-3


def test_motion_that_is_no_number_is_refused():
    bad = frame()
    bad.smplx[3, 1] = np.nan
    with pytest.raises(ValueError, match="smplx of the motion holds NaN"):
        draw_maps([bad], SIZE)
