"""Compositions: the engine's own motion, with spans and words that hold what they promise."""

from __future__ import annotations

import random
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from engine.choreography import LexiconChoreography
from engine.lexicon import Lexicon
from trainer.data.compositions import Composer, CompositionConfig, compose
from trainer.data.sequences import SequenceStore, SequenceWriter
from trainer.data.words import Texts, held_back_words, is_held_back, letter_glosses


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon.default()


@pytest.mark.parametrize("idle", [False, True])
def test_a_composition_is_what_the_engine_shows(lexicon: Lexicon, idle: bool) -> None:
    """Frame by frame through the engine's public `step`, with idle life: the same motion; without: the same
    signing.
    """
    composer = Composer(lexicon, CompositionConfig(idle=idle))
    sequence = composer.spell("all z", name="x", rate=1.1, seed=3)
    rng = random.Random(3)
    rng.uniform(0, 1)
    before, _ = rng.randint(1, 12), rng.randint(1, 12)
    choreography = LexiconChoreography(lexicon)
    glosses = composer.glosses("all z")
    for gloss in glosses:
        choreography.warm(gloss)
    state = choreography.open(seed=rng.getrandbits(32), rate=1.1)
    frames = [choreography.step(state, 0) for _ in range(before)]
    choreography.append(list(enumerate(glosses)), state)
    frames += [choreography.step(state, 0) for _ in range(len(sequence) - before)]
    hands = np.stack([frame.hands for frame in frames])[:, :, 1:]  # idle life leaves fingers alone
    np.testing.assert_allclose(sequence.motion.hands[:, :, 1:], hands, atol=1e-4)
    if idle:
        for name in ("smplx", "pose", "expression"):
            wanted = np.stack([getattr(frame, name) for frame in frames])
            np.testing.assert_allclose(getattr(sequence.motion, name), wanted, atol=1e-4)
    labels = np.full(len(sequence), -1)
    for i, (first, stop) in enumerate(sequence.spans):
        labels[first:stop] = i
    assert labels.tolist() == [frame.gloss for frame in frames]
    assert sequence.glosses == ("A", "L", "L", "Z")
    assert sequence.word_ends == (False, False, True, True)


def test_it_begins_and_ends_at_rest_and_follows_the_rate(lexicon: Lexicon) -> None:
    composer = Composer(lexicon, CompositionConfig(language="gsg"))
    slow, fast = (composer.spell("über", name="x", rate=r, seed=1) for r in (0.8, 1.4))
    for sequence in (slow, fast):
        np.testing.assert_allclose(sequence.motion.smplx[0], sequence.motion.smplx[-1], atol=1e-5)
        first, last = sequence.spans[0, 0], sequence.spans[-1, 1]
        assert first >= 1
        assert last < len(sequence)
        assert (sequence.spans[1:, 0] >= sequence.spans[:-1, 1]).all()
    assert slow.spans[-1, 1] - slow.spans[0, 0] > 1.2 * (fast.spans[-1, 1] - fast.spans[0, 0])


def test_composing_again_gives_the_same_and_goes_on(lexicon: Lexicon, tmp_path: Path) -> None:
    config = CompositionConfig(seed=5)
    for folder, counts in (("a", (4,)), ("b", (2, 4))):
        for count in counts:
            with SequenceWriter(tmp_path / folder) as writer:
                assert not compose(Composer(lexicon, config), writer, count)
    a, b = SequenceStore(tmp_path / "a"), SequenceStore(tmp_path / "b")
    assert [s.text for s in a] == [s.text for s in b]
    assert all(np.array_equal(a.rows(i), b.rows(i)) for i in range(4))
    rates = {round(s.rate, 2) for s in a}
    assert len(rates) > 1
    assert all(0.8 <= rate <= 1.4 for rate in rates)


def test_training_never_composes_a_held_back_word_and_meets_every_pair(lexicon: Lexicon) -> None:
    held = held_back_words(lexicon, "ase")
    assert len(set(held)) == 200
    held_letters = {letter_glosses(lexicon, "ase", word) for word in held}
    assert all(is_held_back(letters) for letters in held_letters)
    texts = Texts(lexicon, "ase", seed=7)
    seen = list(islice(texts, 1000))
    words = [word for text in seen for word in text.split()]
    letters = {letter_glosses(lexicon, "ase", word) for word in words}
    assert not held_letters & letters
    assert not any(map(is_held_back, letters))
    alphabet = lexicon.alphabet("ase")
    pairs = {pair for word in words for pair in pairwise(word)}
    assert {(a, b) for a in alphabet for b in alphabet} <= pairs  # doubled ones too
    assert list(islice(Texts(lexicon, "ase", seed=7), 50)) == seen[:50]
    assert list(islice(Texts(lexicon, "ase", seed=8), 50)) != seen[:50]


def test_what_cannot_be_spelled_is_told(lexicon: Lexicon) -> None:
    composer = Composer(lexicon, CompositionConfig(language="gss"))
    with pytest.raises(ValueError, match="has no 'x'"):
        composer.spell("xyz", name="x")
    for empty in ("", "   "):
        with pytest.raises(ValueError, match="expected at least one letter"):
            composer.spell(empty, name="x")
    with pytest.raises(ValueError, match="got no glosses"):
        composer.compose([], text="", name="x")
    with pytest.raises(ValueError, match="no alphabet"):
        Texts(lexicon, "xyz")
    with pytest.raises(ValueError, match=r"expected 0\.5 <= slowest"):
        CompositionConfig(slowest=1.5, fastest=1.2)
