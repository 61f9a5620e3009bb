"""The corrector: streamed = offline, never revised, masked = untouched, rewound = never happened."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.body import load_body
from engine.corrector import Corrector, CorrectorConfig, CorrectorState
from engine.features import Normaliser, pack, rotation_matrices
from engine.nn.correction_arms import TURNED
from engine.nn.correction_geometry import KEYPOINTS, Geometry, QuickGeometry, proper

FRAMES = 90
CLOSE = 1e-5


@functools.cache
def clip(seed: int = 0, frames: int = FRAMES) -> torch.Tensor:
    """[T, 694] of a body that wanders, with modalities that disagree."""
    rng = np.random.default_rng(seed)
    smplx = (rng.normal(size=(frames, 55, 3)).cumsum(0) * 0.02).astype(np.float32)
    face = rng.uniform(size=(frames, 52)).astype(np.float32)
    vectors = pack(load_body().motion(smplx, face, 25.0))
    return torch.from_numpy((vectors + rng.normal(0, 0.03, vectors.shape)).astype(np.float32))


def corrector(trained: bool = True, **sizes: object) -> Corrector:
    """A small one whose weights are anything but zero."""
    torch.manual_seed(0)
    settings = {"width": 32, "inner": 48, "past_frames": 6, "rewind_frames": 5, **sizes}
    model = Corrector(CorrectorConfig(**settings), Normaliser.learn([clip().numpy()]))  # type: ignore[arg-type]
    if trained:
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.05 * torch.randn_like(weight))
    return model.eval()


def offline(model: Corrector, vectors: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(vectors[None])[0]


def pushed(model: Corrector, vectors: torch.Tensor, state: CorrectorState) -> list[torch.Tensor]:
    """What a lone row gives for these frames."""
    out = [model.push(frame[None], state) for frame in vectors]
    return [corrected[0].clone() for corrected, ready in out if ready[0]]


def drained(model: Corrector, state: CorrectorState) -> list[torch.Tensor]:
    out = []
    while True:
        corrected, ready = model.drain(state)
        if not ready[0]:
            return out
        out.append(corrected[0].clone())


def apart(left: torch.Tensor, right: torch.Tensor) -> float:
    return float((left - right).abs().max())


# -- geometry -----------------------------------------------------------------------------------


def test_torch_kinematics_are_those_of_the_body() -> None:
    rng = np.random.default_rng(3)
    body, geometry = load_body(), Geometry()
    motion = body.motion(
        rng.normal(0, 0.5, (9, 55, 3)).astype(np.float32), np.zeros((9, 52), np.float32), 25.0
    )
    vectors = torch.from_numpy(pack(motion))
    _, turned = geometry.rotations(vectors)
    rotation, position = body.fk(motion.smplx)
    assert np.abs(turned[:, :55].numpy() - rotation).max() < CLOSE
    solid = body.keypoints(rotation, position)
    expected = (solid - solid[:, 1:2]) / body.shoulder_width_m * [1, -1, 1]
    assert np.abs(geometry.points(turned)[:, KEYPOINTS].numpy() - expected).max() < CLOSE
    assert geometry.disagreements(vectors).abs().max() < CLOSE  # one source, three modalities


def test_numpy_sees_the_same_disagreements_as_torch() -> None:
    geometry = Geometry()
    quick = QuickGeometry(geometry).disagreements(clip()[:5].numpy())
    assert np.abs(quick - geometry.disagreements(clip()[:5]).numpy()).max() < CLOSE
    assert np.abs(quick).max() > 0.05
    sixd = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))
    assert apart(proper(sixd), rotation_matrices(sixd)) < CLOSE


def test_disagreement_names_the_modality_that_is_off() -> None:
    geometry = Geometry()
    motion = load_body().motion(np.zeros((1, 55, 3), np.float32), np.zeros((1, 52), np.float32), 25.0)
    vectors = torch.from_numpy(pack(motion))
    vectors[:, 2 * 4] += 0.25  # the right wrist's x in the pose
    seen = geometry.disagreements(vectors)[0]
    assert float(seen[8]) == pytest.approx(-0.25, abs=1e-5)  # the body has it that much further back
    seen[8] = 0
    assert float(seen[:392].abs().max()) < CLOSE
    assert float(seen[392:].unflatten(0, (4, 2, 6))[:, 0].abs().max()) < CLOSE  # the left arm is right


def test_arms_turn_to_where_keypoints_and_hands_are() -> None:
    """One step, taken whole, brings elbow and wrist nearly there, in the picture, and keeps the hand's
    direction; the other turns the wrist to the MANO hand's."""
    rng = np.random.default_rng(1)
    geometry = Geometry()
    smplx = np.zeros((8, 55, 3), np.float32)
    smplx[:, 16:22] = rng.normal(0, 0.3, (8, 6, 3))
    smplx[:, 16:18, 2] += [-0.7, 0.7]  # arms neither straight out nor hanging
    smplx[:, 18:20, 1] += [-1.2, 1.2]
    body = load_body()
    goal = body.motion(smplx, np.zeros((8, 52), np.float32), 25.0)
    off = smplx.copy()
    off[:, 16:20] += rng.normal(0, 0.04, (8, 4, 3)).astype(np.float32)
    vectors = torch.from_numpy(pack(body.motion(off, goal.expression, 25.0)))
    vectors[:, :312] = torch.from_numpy(pack(goal))[:, :312]
    before = geometry.disagreements(vectors)
    arms, hands = before[:, 392:428], before[:, 428:]
    turned = vectors.clone()
    turned[:, TURNED] += arms
    wrists = before[:, 120:312].unflatten(1, (2, 16, 6))[:, :, 0]
    kept = geometry.disagreements(turned)[:, 120:312].unflatten(1, (2, 16, 6))[:, :, 0]
    assert apart(kept, wrists) < 0.1 * float(arms.abs().max())
    turned[:, TURNED.stop - 12 : TURNED.stop] += hands
    after = geometry.disagreements(turned)
    for joint in (3, 4, 6, 7):  # elbows and wrists
        was, left = (x[:, 2 * joint : 2 * joint + 2].norm(dim=1).mean() for x in (before, after))
        assert float(left) < 0.2 * float(was)
    turns = after[:, 120:312].unflatten(1, (2, 16, 6))[:, :, 0]
    assert float(turns.abs().mean()) < 0.2 * float(wrists.abs().mean())


# -- offline ------------------------------------------------------------------------------------


def test_it_starts_by_meeting_half_way() -> None:
    """Untrained: every gate is half open, what agrees is left alone; the paper's form is the identity."""
    model = corrector(trained=False)
    out = offline(model, clip())
    seen, left = (model.geometry.disagreements(x) for x in (clip(), out))
    assert torch.allclose(out[:, :36], clip()[:, :36] + seen[:, :36] / 2, atol=1e-6)
    assert float(left[:, :120].abs().mean()) < 0.6 * float(seen[:, :120].abs().mean())
    agreed = clip().clone()
    agreed[:, :312] += seen[:, :312]
    assert apart(offline(model, agreed), agreed) < CLOSE
    plain = corrector(trained=False, geometry=False)
    assert torch.equal(offline(plain, clip()), clip())


def test_a_hand_that_never_moved_in_training_is_corrected_too() -> None:
    """Spelling moves one hand: that the other one stood still throughout does not make its modalities agree
    when they do not."""
    still = clip().clone()
    moved = still.clone()
    still[:] = still[:1]
    model = Corrector(CorrectorConfig(width=32, inner=48), Normaliser.learn([still.numpy()])).eval()
    assert not model.spread.any()
    seen, left = (model.geometry.disagreements(x)[:, :392] for x in (moved, offline(model, moved)))
    assert float(left.abs().mean()) < 0.6 * float(seen.abs().mean())


@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_a_frame_depends_on_its_window_alone(ahead: int) -> None:
    model = corrector(look_ahead_frames=ahead)
    whole = offline(model, clip())
    at, past = 40, 2 * model.config.past_frames
    for changed in (at + ahead + 1, at - past - 1):
        other = clip().clone()
        other[changed] += 0.5
        assert apart(offline(model, other)[at], whole[at]) == 0
    for changed in {at - past, at, at + ahead}:
        other = clip().clone()
        other[changed] += 0.5
        assert apart(offline(model, other)[at], whole[at]) > 0


def test_a_padded_batch_is_every_clip_on_its_own() -> None:
    model = corrector()
    both = torch.stack([clip(), clip(1)])
    both[1, 50:] = 7.0
    with torch.inference_mode():
        out = model(both, torch.tensor([FRAMES, 50]))
    assert apart(out[0], offline(model, clip())) < CLOSE
    assert apart(out[1, :50], offline(model, clip(1)[:50])) < CLOSE


def test_each_modality_learns_from_the_two_others_only() -> None:
    """Without the shared view of disagreements, a layer's own stream reaches it in the frame itself alone."""
    model = corrector(layers=1, geometry=False, look_ahead_frames=2)
    at = 40
    whole = offline(model, clip())[at]
    other = clip().clone()
    other[at - 1, :120] += 0.5  # the pose, one frame ago
    changed = (offline(model, other)[at] - whole).abs()
    assert float(changed[:120].max()) == 0
    assert float(changed[120:312].max()) > 0
    assert float(changed[312:].max()) > 0


# -- streaming ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("geometry", "quick"), [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize(("ahead", "layers"), [(0, 2), (4, 2), (4, 1), (5, 3)])
def test_streamed_is_offline(ahead: int, layers: int, geometry: bool, quick: bool) -> None:
    """In numpy and in torch."""
    model = corrector(look_ahead_frames=ahead, layers=layers, geometry=geometry)
    state = model.open_state(quick=quick)
    out = pushed(model, clip(), state)
    assert len(out) == FRAMES - ahead
    out += drained(model, state)
    assert apart(torch.stack(out), offline(model, clip())) < CLOSE


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_a_stream_shorter_than_its_window_is_offline_too(frames: int) -> None:
    model = corrector(look_ahead_frames=4)
    state = model.open_state()
    out = pushed(model, clip()[:frames], state) + drained(model, state)
    assert apart(torch.stack(out), offline(model, clip()[:frames])) < CLOSE


def test_a_long_stream_stays_offline_at_ten_times_its_context() -> None:
    model = corrector()
    context = 2 * model.config.past_frames + model.config.look_ahead_frames + 1
    vectors = clip(5, 10 * max(context, model.config.capacity) + 7)
    state = model.open_state()
    out = pushed(model, vectors, state) + drained(model, state)
    assert apart(torch.stack(out), offline(model, vectors)) < CLOSE


def test_rows_of_one_batch_go_their_own_ways() -> None:
    """Three rows that start, pause and end at different times: each as if alone, others untouched."""
    model = corrector()
    clips = [clip(seed) for seed in range(3)]
    state = model.open_state(3)
    rng = np.random.default_rng(0)
    at, out = np.zeros(3, int), [[], [], []]
    while (at < FRAMES).any():
        mask = (rng.random(3) < [0.9, 0.5, 0.7]) & (at < FRAMES)
        frames = torch.stack([c[min(i, FRAMES - 1)] for c, i in zip(clips, at, strict=True)])
        frames[torch.from_numpy(~mask)] = 99.0  # of no meaning
        corrected, ready = model.push(frames, state, mask)
        assert not ready[~mask].any()
        for row in np.flatnonzero(ready):
            out[row].append(corrected[row].clone())
        at += mask
    while True:
        corrected, ready = model.drain(state)
        if not ready.any():
            break
        for row in np.flatnonzero(ready):
            out[row].append(corrected[row].clone())
    for row, vectors in enumerate(clips):
        assert apart(torch.stack(out[row]), offline(model, vectors)) < CLOSE


def test_reset_forgets_everything() -> None:
    model = corrector()
    state = model.open_state(2)
    for frame in clip(4):
        model.push(torch.stack([frame, frame]), state)
    model.drain(state, np.array([True, False]))
    model.reset(state, np.array([True, False]))
    alone = []
    for frame in clip():
        corrected, ready = model.push(torch.stack([frame, frame]), state)
        alone += [corrected[0].clone()] if ready[0] else []
    assert apart(torch.stack(alone), offline(model, clip())[: len(alone)]) < CLOSE


@pytest.mark.parametrize("back", [1, 3, 5])
def test_rewound_never_happened(back: int) -> None:
    model = corrector()
    state = model.open_state()
    out = pushed(model, clip()[:60], state)
    pushed(model, clip(9)[:back], state)
    model.rewind(back, state)
    again = pushed(model, clip()[60:], state)
    assert apart(torch.stack(out + again), offline(model, clip())[: FRAMES - 4]) < CLOSE


def test_what_cannot_be_done_is_said() -> None:
    model = corrector()
    state = model.open_state(2)
    with pytest.raises(ValueError, match=r"got shape \(1, 694\), expected \[2, 694\]"):
        model.push(clip()[:1], state)
    bad = clip()[:2].clone()
    bad[1, 3] = float("nan")
    with pytest.raises(ValueError, match="NaN or infinity"):
        model.push(bad, state)
    model.push(bad, state, np.array([True, False]))  # the sound row goes on
    with pytest.raises(ValueError, match=r"rewind of 6 frames, expected 0\.\.0"):
        model.rewind(6, state)
    model.drain(state)
    with pytest.raises(ValueError, match="reset it first"):
        model.push(clip()[:2], state)
    for wrong in ({"width": 30, "heads": 4}, {"layers": 0}, {"past_frames": -1}, {"look_ahead_frames": 65}):
        with pytest.raises(ValueError, match="CorrectorConfig"):
            CorrectorConfig(**wrong)


# -- files --------------------------------------------------------------------------------------


def test_a_saved_corrector_is_the_same(tmp_path: Path) -> None:
    model = corrector()
    model.save(tmp_path, note="test")
    assert apart(offline(Corrector.open(tmp_path), clip()), offline(model, clip())) < CLOSE


def test_damaged_or_foreign_checkpoints_are_refused(tmp_path: Path) -> None:
    corrector().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for change, message in (
        ({"kind": "handstream-corrector-0"}, "got a checkpoint of kind 'handstream-corrector-0'"),
        ({"corrector": {**config["corrector"], "width": 64}}, "do not fit"),
        ({"corrector": {"widht": 64}}, "do not fit"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(ValueError, match=message):
            Corrector.open(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = tmp_path / config["weights"]
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match="truncated"):
        Corrector.open(tmp_path)
