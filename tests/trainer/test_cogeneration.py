"""Training the joint generator: reproducible, resumable, and nothing of the target is read when it
generates."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.choreography.cogeneration import CogenerationChoreography
from engine.choreography.cogeneration_model import CogenerationModel
from engine.features import pack
from engine.lexicon import Lexicon
from engine.nn.cogeneration import BLANK, OTHER, REST
from engine.signals import Gloss
from trainer.cogeneration import CogenerationTask, CogenerationTraining, train
from trainer.cogeneration_command import add_arguments, main
from trainer.cogeneration_data import Corpus, crop, read, window
from trainer.cogeneration_free import free_run, generate, times_of
from trainer.data.compositions import Composer, CompositionConfig
from trainer.data.sequences import SequenceStore, SequenceWriter
from trainer.loop import Loop, LoopConfig

TINY = CogenerationTraining(
    width=16, heads=2, layers=1, inner=16, encoder_width=16, encoder_layers=1, context=8, batch=2, frames=24,
    steps_an_epoch=4, rollout=0.5, rollout_after=0.0, development=1,
    loop=LoopConfig(epochs=2, warmup_steps=2, learning_rate=3e-3, save_every_s=1000),
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequences")
    lexicon = Lexicon.default()
    try:
        with SequenceWriter(folder) as writer:
            for language, texts in (("ase", ("abba", "bad cab", "dab")), ("gsg", ("ab",))):
                composer = Composer(lexicon, CompositionConfig(language=language))
                for text in texts:
                    writer.write(composer.spell(text, name=f"{language}/{text}"))
    finally:
        lexicon.close()
    return folder


@pytest.fixture(scope="module")
def corpus(data: Path) -> Corpus:
    return read(SequenceStore(data))


def test_every_frame_belongs_to_the_gloss_it_leads_to_or_shows(data: Path, corpus: Corpus) -> None:
    assert corpus.words == ("ase/A", "ase/B", "ase/C", "ase/D", "gsg/A", "gsg/B")
    store = SequenceStore(data)
    for sequence, u in zip(store, corpus.utterances, strict=True):
        first = int(sequence.spans[0, 0])
        assert (u.ends[:-1] == sequence.spans[:, 1] - first).all()
        assert u.tokens[-1] == REST
        assert 0 <= u.performed.min() <= u.performed.max() <= 1
        assert u.performed[0] == 0, "a sign that begins from rest is named at once"
        vectors = pack(sequence.motion)
        np.testing.assert_allclose(
            corpus.channels.widen(u.frames[:, 2:12]), vectors[first : first + 10], atol=1e-4
        )


def test_a_crop_holds_what_the_utterance_holds(corpus: Corpus) -> None:
    u = corpus.utterances[0]
    at = int(u.ends[1]) - 2
    batch = crop([(u, at), (u, 0)], 12, 3, np.random.default_rng(0))
    np.testing.assert_array_equal(batch.target[:, 0].numpy(), u.frames[:, at + 2 : at + 14])
    np.testing.assert_array_equal(batch.before[:, 0, 2:].numpy(), u.frames[:, at + 2 : at + 13])
    assert batch.owner[0, :3].tolist() == [0, 0, 1]
    assert batch.tokens[0, 0].tolist() == window(u.tokens.tolist(), u.word_ends.tolist(), 1, 3)[0]
    assert batch.progress[0, 1, 0] == 1, "the last frame of a gloss is its end"
    assert batch.progress[0, 2, 0] == pytest.approx(1 / int(u.lengths[2]))
    assert batch.lengths[0, 0] == u.lengths[1]
    late = crop([(u, len(u) - 3)], 12, 3, np.random.default_rng(0))
    assert late.there.sum() == 3
    assert late.target.isfinite().all()


def test_windows_are_those_of_streaming() -> None:
    """What is unknown is blank, before a text comes rest."""
    tokens, ends = [5, 6, 7, REST], [False, True, False, False]
    assert window(tokens, ends, 0, 3)[0] == [BLANK, BLANK, REST, 5, 6, 7, REST]
    assert window(tokens, ends, 3, 3)[0] == [5, 6, 7, REST, BLANK, BLANK, BLANK]
    assert window(tokens, ends, 1, 2)[1] == [False, False, True, False, False]


def test_forgotten_windows_are_like_late_text(corpus: Corpus) -> None:
    u = corpus.utterances[1]
    chosen = [(u, 0)] * 40
    batch = crop(chosen, len(u), 3, np.random.default_rng(0), unknown=1.0)
    found = {int(t) for t in batch.tokens.flatten()}
    assert {BLANK, OTHER, REST} <= found
    for row in batch.tokens.reshape(-1, 7)[batch.segments.flatten()]:
        after = row[4:].tolist()
        assert REST not in after[:-1] or set(after[after.index(REST) + 1 :]) == {BLANK}


def test_nothing_of_the_target_is_read(corpus: Corpus) -> None:
    """The true motion, spans and lengths replaced by nonsense: the same frames are generated."""
    model = CogenerationTask(corpus, TINY).kept(CogenerationTask(corpus, TINY).model)
    honest = generate(model, corpus.utterances[:2])
    blind = []
    for u in corpus.utterances[:2]:
        frames = np.full_like(u.frames[:, : 2 + 1], np.nan)
        frames[:, 0] = u.frames[:, 0]
        blind.append(
            dataclasses.replace(u, frames=frames, ends=u.ends * 0 + 1, performed=u.performed * np.nan)
        )
    for one, other in zip(honest, generate(model, blind), strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.isfinite(one).all()


def test_generated_lengths_add_up() -> None:
    owner, times = times_of([4.4] * 10)
    assert len(owner) == 44
    assert owner == sorted(owner)
    assert [t for t in times if t[0] == 1.0][-1][2] == 0


def test_training_lowers_the_error_and_keeps_what_it_learned(
    corpus: Corpus, data: Path, tmp_path: Path
) -> None:
    config = dataclasses.replace(
        TINY, loop=dataclasses.replace(TINY.loop, epochs=6, average=0.5, evaluate_every=6)
    )
    task = CogenerationTask(corpus, config)
    before = free_run(task.kept(task.model), task.dev)["error"]
    model = train([data], config, tmp_path / "m")
    after = free_run(model, task.dev)["error"]
    assert after < 0.9 * before
    kept = CogenerationModel.open(tmp_path / "m")
    assert kept.words == corpus.words
    assert (tmp_path / "m" / "log.csv").read_text().count("\n") == 7
    choreography = CogenerationChoreography(_Nothing(), kept)
    state = choreography.open()
    choreography.append([(0, Gloss("A", "a", "ase", True)), (1, Gloss("B", "b", "gsg", True))], state)
    labels = [choreography.step(state, 0).gloss for _ in range(120)]
    assert {0, 1} <= set(labels)


class _Nothing:
    def motion(self, clip: str) -> object:
        raise AssertionError("the lexicon is not needed")


def test_a_killed_run_resumes_bit_for_bit(corpus: Corpus, tmp_path: Path) -> None:
    whole = Loop(CogenerationTask(corpus, TINY), TINY.loop, tmp_path / "whole")
    whole.run()
    Loop(CogenerationTask(corpus, TINY), TINY.loop, tmp_path / "cut").run(until_step=3)
    again = Loop(CogenerationTask(corpus, TINY), TINY.loop, tmp_path / "cut")
    again.run()
    for one, other in zip(whole.averaged.parameters(), again.averaged.parameters(), strict=True):
        assert torch.equal(one, other)


def test_one_command_trains_and_goes_on_from_a_model(data: Path, tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = ["--data", str(data), "--seed", "3"]
    sizes = [f"{n}={getattr(TINY, n)}" for n in ("width", "heads", "layers", "inner", "encoder_width",
             "encoder_layers", "context", "batch", "frames", "development")]  # fmt: skip
    sizes += ["steps_an_epoch=1", "loop.epochs=1"]
    sets = [part for size in sizes for part in ("--set", size)]
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    assert main(parser.parse_args([*words, *sets, "--model", first])) == 0
    assert main(parser.parse_args([*words, *sets, "--model", second, "--start", first])) == 0
    with pytest.raises(ValueError, match="other words or sizes"):
        main(parser.parse_args([*words, *sets, "--set", "inner=20", "--model", str(tmp_path / "x"),
                                "--start", first]))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [("rollout", 1.5), ("noise", -1.0), ("batch", 0), ("frames", 2), ("timing", float("nan"))],
)
def test_impossible_settings_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"CogenerationTraining.{name}"):
        CogenerationTraining(**{name: value})  # type: ignore[arg-type]


def test_too_little_to_learn_from_is_told(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more of them than are held back"):
        CogenerationTask(corpus, dataclasses.replace(TINY, development=4))
    with pytest.raises(ValueError, match="no sequences here"):
        train([tmp_path], TINY, tmp_path / "m")
