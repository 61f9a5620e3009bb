"""The recogniser: its search is exact, its features are the same from either source, and it learns to
read.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.body import load_body
from engine.checkpoint import CONFIG
from engine.lexicon import Lexicon
from engine.signals import Motion
from engine.skeleton import POSE_HAND
from trainer.data.compositions import Composer, CompositionConfig
from trainer.data.words import is_held_back, letter_glosses
from trainer.loop import Loop, LoopConfig
from trainer.metrics.text import word_error_rate
from trainer.motion_eval_command import RECOGNISER
from trainer.recogniser import Recogniser, RecogniserConfig
from trainer.recogniser_features import FEATURES, PER_HAND, features
from trainer.recogniser_search import beam_search, greedy
from trainer.recogniser_training import RecogniserTask, RecogniserTraining, example, letter_error, padded


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(path) if token)


@pytest.mark.parametrize("seed", range(5))
def test_beam_search_finds_the_likeliest_sequence_of_all_alignments(seed: int) -> None:
    scores = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed)).log_softmax(-1).numpy()
    total: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(3), repeat=5):
        p = float(np.exp(sum(scores[t, token] for t, token in enumerate(path))))
        total[collapsed(path)] = total.get(collapsed(path), 0.0) + p
    assert tuple(beam_search(scores, 100)) == max(total, key=lambda sequence: total[sequence])


def test_search_keeps_doubled_letters_apart_and_greedy_drops_repeats() -> None:
    scores = np.full((6, 3), -20, np.float32)
    for t, token in enumerate((1, 1, 0, 1, 2, 2)):
        scores[t, token] = 0
    assert greedy(scores) == beam_search(scores) == [1, 1, 2]
    assert greedy(np.zeros((0, 3), np.float32)) == []


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer(Lexicon.default(), CompositionConfig())


def test_features_of_modalities_that_agree_are_the_same(composer: Composer) -> None:
    motion = composer.spell("ly", name="x").motion
    seen = features(motion, "smplx")
    assert seen.shape == (len(motion), FEATURES)
    np.testing.assert_allclose(features(motion, "hands"), seen, atol=2e-4)
    still = np.zeros_like(motion.smplx)
    np.testing.assert_allclose(  # hands and pose alone decide what `hands` sees, the body what `smplx` sees
        features(Motion(25.0, motion.pose, motion.hands, still, motion.expression), "hands"), seen, atol=2e-4
    )
    with pytest.raises(ValueError, match="expected one of smplx, hands"):
        features(motion, "face")


def test_features_say_where_the_fingers_are(composer: Composer) -> None:
    """Turned back by the wrist's rotation, the finger points are those of forward kinematics."""
    body = load_body()
    motion = composer.spell("w", name="x").motion
    rotation, position = body.fk(motion.smplx)
    wanted = body.keypoints(rotation, position)[:, POSE_HAND["right"]][:, 1:] - position[:, None, 21]
    right = features(motion)[:, PER_HAND : PER_HAND + 60].reshape(-1, 20, 3) / 10
    turned = np.einsum("tij,tnj->tni", rotation[:, 21], right)
    np.testing.assert_allclose(turned, wanted, atol=1e-5)


def test_features_are_brought_to_one_frame_rate(composer: Composer) -> None:
    motion = composer.spell("y", name="x").motion
    twice = Motion(
        50.0, *(np.repeat(getattr(motion, n), 2, 0) for n in ("pose", "hands", "smplx", "expression"))
    )
    np.testing.assert_allclose(features(twice), features(motion), atol=1e-5)


def test_padding_and_neighbours_change_nothing() -> None:
    judge = Recogniser.new(RecogniserConfig(width=16, dropout=0.0), {"ase": "AB", "gsg": "ABC"})
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=(n, FEATURES)).astype(np.float32) for n in (9, 17, 4)]
    x, lengths, allowed = padded(clips, ["ase", "gsg", "ase"], judge)
    together = judge.network.eval()(x, lengths, allowed).detach().numpy()
    for row, (clip, language) in enumerate(zip(clips, ("ase", "gsg", "ase"), strict=True)):
        alone = judge.log_probabilities(clip, language)
        np.testing.assert_allclose(together[row, : len(clip)], alone, atol=1e-5)
    assert (np.exp(together[0, :, 3:]) < 1e-6).all()  # never a letter of another language


def test_it_learns_to_read_what_it_has_not_seen(composer: Composer, tmp_path: Path) -> None:
    """Three letters, thirty words; read back words of other orders, from the whole body and from the
    hands.
    """
    words = ["".join(p) for n in (2, 3) for p in itertools.product("lyw", repeat=n)]
    held = ["lwy", "ywl", "wly", "ylw"]
    train = [example(composer.spell(w, name=w)) for w in words if w not in held]
    clips = [composer.spell(w, name=f"held/{w}", rate=1.0) for w in held]
    config = RecogniserTraining(
        batch=4,
        noise=0.02,
        smooth_noise=0.02,
        turn=0.05,
        model=RecogniserConfig(width=32, dropout=0.0),
        loop=LoopConfig(epochs=24, learning_rate=6e-3, warmup_steps=8, evaluate_every=24, average=0.9),
    )
    task = RecogniserTask(train, [example(c) for c in clips], config)
    assert letter_error(task.recogniser, task.dev) > 50
    loop = Loop(task, config.loop, tmp_path / "run")
    figures = loop.run()
    assert figures["dev_letter_error"] <= 35  # of 100 and more before
    judge = Recogniser(loop.averaged, config.model, task.recogniser.glosses, "a note")
    judge.save(tmp_path / "model")
    again = Recogniser.load(tmp_path / "model")
    assert again.note == "a note"
    said = [again.read(c.motion, "ase", source=source) for source in ("smplx", "hands") for c in clips]
    right = sum(a == c.glosses for a, c in zip(said, clips * 2, strict=True))
    assert right >= 4  # of 8
    with pytest.raises(ValueError, match="trained on: ase"):
        again.read(clips[0].motion, "gsg")
    with pytest.raises(ValueError, match=r"\['Q'\] were not in its training"):
        again.encode(("L", "Q"), "ase")
    path = tmp_path / "model" / CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 99}))
    with pytest.raises(ValueError, match="version 99, expected"):
        Recogniser.load(tmp_path / "model")


@pytest.mark.parametrize("language", ["ase", "gsg", "sgg"])
def test_the_shipped_one_reads_words_that_were_never_composed_for_training(language: str) -> None:
    lexicon = Lexicon.default()
    composer = Composer(lexicon, CompositionConfig(language=language))
    words = ["husky", "sleek", "becue", "bisam", "gewaltig", "konsult", "private", "gepresst"]
    held = [w for w in words if is_held_back(letter_glosses(lexicon, language, w))]
    assert len(held) >= 3
    judge = Recogniser.load(RECOGNISER)
    clips = [composer.spell(word, name=word, rate=1.0) for word in held]
    said = [" ".join(judge.read(clip.motion, language)) for clip in clips]
    assert word_error_rate(said, [" ".join(clip.glosses) for clip in clips]) <= 15
