"""Training the corrector: what is disturbed, what the weights do, that disagreement falls; the ablation."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import trainer.corrector
from engine.body import load_body
from engine.choreography.cogeneration import CORRECTOR
from engine.corrector import Corrector, CorrectorConfig
from engine.features import SLICES, pack, unpack_motion
from engine.lexicon import Lexicon
from engine.signals import FloatArray
from stream.cli import main
from trainer.ablation import COLUMNS, CORRECTORS, _from_body, _mixed
from trainer.cogeneration import CogenerationTraining
from trainer.configuration import configured, read_settings
from trainer.corrector import Clip, CorrectorTask, CorrectorTraining, disagreement, train
from trainer.corrector_clips import paced
from trainer.corrector_disturbance import Disturbance, DisturbanceConfig, turned
from trainer.corrector_eval import before_and_after
from trainer.corrector_losses import Weighting
from trainer.data.compositions import Composer, CompositionConfig
from trainer.data.sequences import SequenceWriter
from trainer.data.words import held_back_words
from trainer.loop import LoopConfig
from trainer.metrics.agreement import agreement

SMALL = CorrectorConfig(width=16, inner=16, past_frames=4, look_ahead_frames=2)


def clips(count: int, frames: int = 48) -> list[FloatArray]:
    """Waving about: arms and fingers on slow waves."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        turns = 2 * np.pi * (np.arange(frames)[:, None, None] / 24 + rng.uniform(size=(1, 55, 3)))
        reach = np.zeros((55, 1))
        reach[16:22], reach[25:] = 0.4, 0.5
        smplx = (np.sin(turns) * reach * rng.uniform(size=(1, 55, 3))).astype(np.float32)
        made.append(pack(load_body().motion(smplx, np.zeros((frames, 52), np.float32), 25.0)))
    return made


def spelled(folder: Path) -> Path:
    """Sequences in which every letter of the first two held-back words is spelled."""
    lexicon = Lexicon.default()
    composer = Composer(lexicon, CompositionConfig())
    with SequenceWriter(folder) as writer:
        for number, word in enumerate(held_back_words(lexicon, "ase", 2)):
            for name in (f"{number}a", f"{number}b"):
                writer.write(composer.spell(word, name=name))
    return folder


def training(**over: object) -> CorrectorTraining:
    settings: dict[str, object] = {
        "corrector": SMALL,
        "batch": 8,
        "frames": 24,
        "steps_an_epoch": 30,
        "development": 4,
        "loop": LoopConfig(epochs=2, learning_rate=5e-3, warmup_steps=5, schedule="cosine", average=0.9),
    }
    return CorrectorTraining(**(settings | over))  # type: ignore[arg-type]


# -- disturbances -------------------------------------------------------------------------------


def disturbed(config: DisturbanceConfig, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    truth = torch.from_numpy(np.stack(clips(6)))
    return truth, Disturbance(config, torch.Generator().manual_seed(seed))(truth)


def test_the_same_seed_disturbs_alike() -> None:
    truth, one = disturbed(DisturbanceConfig())
    assert torch.equal(one, disturbed(DisturbanceConfig())[1])
    assert not torch.equal(one, disturbed(DisturbanceConfig(), 1)[1])
    before, after = (disagreement([x.numpy() for x in some]) for some in (truth, one))
    assert before["wrist"] < 1e-5 < 0.01 < after["wrist"]
    assert before["fingertip"] < 1e-5 < 0.02 < after["fingertip"]


def test_nothing_is_disturbed_where_nothing_is_asked_for() -> None:
    truth, same = disturbed(DisturbanceConfig(modality=0.0))
    assert torch.equal(same, truth)
    with pytest.raises(ValueError, match=r"DisturbanceConfig.frozen: got 2"):
        DisturbanceConfig(frozen=2.0)


def test_disturbed_rotations_stay_rotations_and_late_is_late() -> None:
    quiet = {"drift_place": 0.0, "jitter_place": 0.0, "offset_place": 0.0, "frozen": 0.0, "lost": 0.0}
    still = {"drift_angle": 0.0, "jitter_angle": 0.0, "offset_angle": 0.0}
    truth, late = disturbed(DisturbanceConfig(modality=1.0, share=1.0, lag_frames=3, **quiet, **still))
    for row in range(len(truth)):
        for where in (SLICES["pose"], SLICES["hands"]):
            errors = [
                float((late[row, 5:, where] - truth[row, 5 - lag : len(truth[row]) - lag, where]).abs().max())
                for lag in range(4)
            ]
            assert min(errors) < 1e-5  # as it was so many frames ago
    sixd = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    new = turned(sixd, torch.randn(50, 3, generator=torch.Generator().manual_seed(1))).unflatten(-1, (2, 3))
    assert torch.allclose(new @ new.transpose(-1, -2), torch.eye(2).expand(50, 2, 2), atol=1e-5)


def test_a_body_that_wanders_takes_the_others_along() -> None:
    truth = torch.from_numpy(np.stack(clips(4)))
    away = Disturbance(DisturbanceConfig(share=1.0), torch.Generator().manual_seed(0)).wander(truth, 0.5)
    assert torch.equal(away[..., :312], truth[..., :312])
    followed = np.stack([_from_body(clip) for clip in away.numpy()])
    assert max(disagreement(list(followed)).values()) < 1e-4
    assert np.array_equal(followed[..., 312:], away[..., 312:].numpy())
    assert np.abs(followed[..., :120] - truth[..., :120].numpy()).max() > 0.05


# -- weights ------------------------------------------------------------------------------------


def learned(form: str, errors: torch.Tensor) -> torch.Tensor:
    """The weights after descending the loss for a while, the errors being what they are."""
    weighting = Weighting(form, 1.0, 1.0)
    optimiser = torch.optim.Adam(weighting.parameters(), 0.05)
    for _ in range(400):
        optimiser.zero_grad()
        weighting(errors).backward()
        optimiser.step()
    return weighting.weights().detach()


def test_the_papers_weights_collapse_and_guarded_ones_do_not() -> None:
    errors = torch.tensor([0.2, 0.3, 0.7])
    assert float(learned("paper", errors)[0]) > 0.95  # all on the smallest error
    entropy = (-errors / errors.mean()).softmax(0)
    assert torch.allclose(learned("entropy", errors), entropy, atol=0.01)
    inverse = (1 / errors) / (1 / errors).sum()
    assert torch.allclose(learned("uncertainty", errors), inverse, atol=0.01)
    assert torch.allclose(Weighting("equal", 1.0, 1.0).weights(), torch.full((3,), 1 / 3))
    with pytest.raises(ValueError, match="expected one of paper, entropy"):
        Weighting("papr", 1.0, 1.0)


def test_equal_weights_are_the_mean() -> None:
    errors = torch.tensor([0.2, 0.3, 0.7])
    for form in ("paper", "equal"):
        assert float(Weighting(form, 1.0, 1.0)(errors).detach()) == pytest.approx(0.4)


# -- training -----------------------------------------------------------------------------------


def test_batches_follow_from_seed_and_epoch_alone() -> None:
    truth = clips(12)
    made = [Clip(clip, clip + 0.01) for clip in truth]
    one, two = (CorrectorTask(made, training(generated=0.25)) for _ in range(2))
    for left, right in zip(list(one.batches(1))[:2], list(two.batches(1))[:2], strict=True):
        assert torch.equal(left.spoiled, right.spoiled)
        assert torch.equal(left.truth, right.truth)
    assert torch.allclose(left.spoiled[6:] - left.truth[6:], torch.tensor(0.01), atol=1e-5)  # two of eight
    assert not torch.equal(left.spoiled, next(iter(one.batches(2))).spoiled)


def test_the_recipes_of_the_shipped_models_are_settings() -> None:
    folder = Path(trainer.corrector.__file__).parent / "recipes"
    corrector = configured(CorrectorTraining, read_settings(folder / "corrector.json", []))
    shipped = json.loads((CORRECTOR / "config.json").read_text("utf-8"))
    assert json.loads(json.dumps(dataclasses.asdict(corrector))) == shipped["training"]
    generator = configured(CogenerationTraining, read_settings(folder / "cogeneration.json", []))
    assert generator == CogenerationTraining(loop=generator.loop)


def test_the_shipped_corrector_halves_disagreement_and_nothing_gets_further_from_the_truth() -> None:
    """Words neither model has learned from, all three modalities of both hands spoiled, the one that never
    moves while spelling among them."""
    lexicon = Lexicon.default()
    composer = Composer(lexicon, CompositionConfig())
    truths = [composer.spell(w, name=w, rate=1.0).motion for w in held_back_words(lexicon, "ase", 6)]
    disturb = Disturbance(DisturbanceConfig(), torch.Generator().manual_seed(11))
    spoiled = [disturb(torch.from_numpy(pack(truth))[None])[0].numpy() for truth in truths]
    found = before_and_after(Corrector.open(CORRECTOR), spoiled, truths)
    for name in ("wrist", "fingertip"):
        before, after = found[name]
        assert before > 0.01
        assert after < 0.4 * before
    for name in ("ndtwp", "ndtwp_pose"):
        before, after = found[name]
        assert after < before


def test_frames_are_compared_with_what_they_show() -> None:
    """A clip that runs early here and late there finds its own frames again, going forward only."""
    truth = np.random.default_rng(0).normal(size=(80, 5)).cumsum(0).astype(np.float32)
    at = np.arange(80) + np.round(3 * np.sin(np.arange(80) / 9)).astype(int)
    at = np.maximum.accumulate(at.clip(0, 79))
    way = paced(truth[at], truth)
    assert np.array_equal(truth[way], truth[at])
    assert (np.diff(way) >= 0).all()


def test_training_makes_the_modalities_agree(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    figures = train([Clip(clip) for clip in clips(16)], training(), tmp_path)
    assert figures["disturbed_wrist"] < 0.85  # of what it was before
    assert figures["disturbed_fingertip"] < 0.85
    corrector = Corrector.open(tmp_path)
    clean = torch.from_numpy(clips(1)[0])
    with torch.inference_mode():
        same = corrector(clean[None])[0]
    assert float((same - clean).abs().max()) < 1e-3  # what agrees is left alone
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    for row in rows:
        weights = [float(row[f"weight_{name}"]) for name in ("pose", "hands", "smplx")]
        assert sum(weights) == pytest.approx(1, abs=1e-5)
    more = training(loop=LoopConfig(epochs=1, learning_rate=1e-9), steps_an_epoch=1)
    again = train([Clip(clip) for clip in clips(16)], more, tmp_path / "more", start=tmp_path)
    assert again["disturbed_wrist"] == pytest.approx(figures["disturbed_wrist"], abs=1e-4)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="got 4 clips and development=4"):
        CorrectorTask([Clip(clip) for clip in clips(4)], training())
    for wrong in (
        {"frames": 4},
        {"generated": 1.5},
        {"weighting": "none"},
        {"batch": 0},
        {"agreement": -1.0},
    ):
        with pytest.raises(ValueError, match=r"CorrectorTraining|weighting"):
            training(**wrong)


# -- commands -----------------------------------------------------------------------------------


def test_from_a_command_to_a_corrector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["corrector.width=8", "corrector.heads=2", "corrector.inner=8", "batch=2", "frames=12"]
    tiny += ["steps_an_epoch=2", "loop.epochs=1", "development=2"]
    settings = [word for setting in tiny for word in ("--set", setting)]
    code = main(["train", "corrector", "--model", str(tmp_path), "--texts", "4", "--threads", "1", *settings])
    assert code == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["disturbed_wrist"] > 0
    assert (tmp_path / "weights.png").read_bytes()[:4] == b"\x89PNG"
    assert Corrector.open(tmp_path).config.width == 8


def test_one_modality_of_each_of_three(tmp_path: Path) -> None:
    a, b, c = (clip[:n] for clip, n in zip(clips(3), (10, 14, 12), strict=True))
    mixed = _mixed([a, b, c])
    assert mixed.shape == (14, 694)
    assert np.array_equal(mixed[:10, :120], a[:, :120])
    assert np.array_equal(mixed[13, :120], a[9, :120])  # it stands still
    assert np.array_equal(mixed[:, 120:312], b[:, 120:312])
    assert agreement(unpack_motion(mixed, 25.0)).mean_wrist > 0.01


def test_the_ablation_from_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = [
        "width=8",
        "heads=2",
        "layers=1",
        "inner=8",
        "encoder_width=8",
        "encoder_layers=1",
        "batch=2",
    ]
    generator += ["frames=8", "steps_an_epoch=1", "loop.epochs=1", "development=1", "context=4", "sinks=1"]
    tiny = [f"generator.{word}" for word in generator]
    tiny += [f"corrector.{word}" for word in ("corrector.width=8", "corrector.heads=2", "corrector.inner=8")]
    tiny += [f"corrector.{word}" for word in ("batch=2", "frames=8", "steps_an_epoch=1", "loop.epochs=1")]
    tiny += ["corrector.development=1"]
    sequences = spelled(tmp_path / "data")
    command = ["eval", "ablation", "--model", str(tmp_path), "--data", str(sequences), "--words", "2"]
    command += [word for setting in tiny for word in ("--set", setting)]
    assert main(command) == 0
    rows = list(csv.DictReader((tmp_path / "ablation.csv").open()))
    assert tuple(rows[0]) == COLUMNS
    names = ["separate decoders", "body only", "without correction", "untrained", *CORRECTORS]
    assert [row["row"] for row in rows] == names
    assert float(rows[1]["wrist"]) < 1e-4  # the body agrees with itself
    assert all(float(row["ndtwp"]) > 0 for row in rows)
    assert (tmp_path / "weights.png").exists()
    assert "separate decoders" in capsys.readouterr().out
