"""A co-generation model as a folder: kept whole, or refused with a remedy: damaged, foreign, another rate."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.choreography.cogeneration import CogenerationChoreography
from engine.choreography.cogeneration_model import DEFAULT, CogenerationModel
from engine.nn.cogeneration import Cogenerator
from tests.engine.signing import HandMadeLexicon


@pytest.fixture(scope="module")
def model() -> CogenerationModel:
    return CogenerationModel.open()


def copied(folder: Path) -> Path:
    shutil.copytree(DEFAULT, folder)
    return folder


def changed(folder: Path, change: Callable[[dict[str, object]], None]) -> Path:
    path = copied(folder) / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))
    return folder


def test_a_damaged_model_is_refused_with_a_remedy(tmp_path: Path) -> None:
    def network(config: dict[str, object], **sizes: object) -> None:
        config["network"] = {**config["network"], **sizes}  # type: ignore[dict-item]

    broken = {
        "version": (lambda c: c.update(version=99), "version 99"),
        "kind": (lambda c: c.update(kind="glosser"), "kind 'glosser'"),
        "words": (lambda c: c.update(words=["ase/A"]), "do not fit"),
        "sizes": (lambda c: network(c, width=48), "do not fit"),
        "huge": (lambda c: network(c, width=10**9), "do not fit"),
        "strange": (lambda c: network(c, colour="red"), "do not fit"),
        "fps": (lambda c: c.update(fps=1000), "frames a second"),
    }
    for name, (change, told) in broken.items():
        with pytest.raises(ValueError, match=told):
            CogenerationModel.open(changed(tmp_path / name, change))  # type: ignore[arg-type]
    folder = copied(tmp_path / "truncated")
    weights = next(folder.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="truncated"):
        CogenerationModel.open(folder)
    with pytest.raises(ValueError, match="cannot read"):
        CogenerationModel.open(tmp_path / "nowhere")


def test_a_model_survives_being_kept(model: CogenerationModel, tmp_path: Path) -> None:
    torch.manual_seed(0)
    random = CogenerationModel(
        Cogenerator(model.network.config), model.words, model.languages, model.channels.normaliser
    )
    kept = CogenerationModel.open(random.save(tmp_path / "model", half=False, figures={"error": 1.0}))
    assert kept.words == model.words
    assert kept.about["figures"] == {"error": 1.0}
    for name, tensor in random.network.state_dict().items():
        assert torch.equal(tensor, kept.network.state_dict()[name])
    vectors = np.random.default_rng(0).normal(size=(4, 694)).astype(np.float32)
    there = kept.channels.widen(kept.channels.narrow(vectors))
    moving = kept.channels.normaliser.moving
    np.testing.assert_allclose(there[:, moving], vectors[:, moving], atol=1e-4)
    np.testing.assert_allclose(there[:, ~moving], np.tile(kept.channels.normaliser.mean[~moving], (4, 1)))


def test_another_frame_rate_is_refused(model: CogenerationModel) -> None:
    with pytest.raises(ValueError, match="25 frames a second, got 30"):
        CogenerationChoreography(HandMadeLexicon(), model, fps=30)
