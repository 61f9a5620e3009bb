"""What the corrector learns from: composed clips, and what a generator makes of the same glosses.

Enters: prepared sequences, or languages to compose; a co-generation model. Leaves: `Clip`s, and free-running
generated clips to measure on. Does not know how anything learns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from engine.choreography.cogeneration_model import CogenerationModel
from engine.features import pack
from engine.lexicon import Lexicon
from engine.nn.cogeneration import SPECIALS
from engine.signals import FloatArray
from trainer.cogeneration_data import Corpus, Utterance, read
from trainer.cogeneration_free import generate
from trainer.corrector import Clip
from trainer.data.compositions import Composer, CompositionConfig, compose
from trainer.data.sequences import SequenceStore, SequenceWriter
from trainer.data.words import held_back_words

_AT_ONCE = 48


def composed(folder: Path, languages: Sequence[str], texts: int) -> Path:
    """Compose `texts` texts of each language into `folder` (what is there already is kept)."""
    lexicon = Lexicon.default()
    with SequenceWriter(folder) as writer:
        for language in dict.fromkeys(languages):
            compose(Composer(lexicon, CompositionConfig(language=language)), writer, texts)
    return folder


def held_back(folder: Path, language: str, words: int) -> Path:
    """Compose held-back words at rate 1 into `folder`: what is measured on, never learned from."""
    lexicon = Lexicon.default()
    composer = Composer(lexicon, CompositionConfig(language=language))
    named = {f"held-back/{language}/{word}": word for word in held_back_words(lexicon, language, words)}
    with SequenceWriter(folder) as writer:
        writer.write_all(list(named), lambda name: composer.spell(named[name], name=name, rate=1.0))
    return folder


def utterances(model: CogenerationModel, store: SequenceStore, most: int = 0) -> list[Utterance]:
    """A store's sequences in the model's own terms. Raises ValueError for glosses that it does not know."""
    corpus: Corpus = read(store, most, model.channels.normaliser)
    try:
        tokens = [model.token_of(*word.split("/", 1)) for word in corpus.words]
    except KeyError as error:
        raise ValueError(
            f"the generator does not know {error}; give sequences of the languages it learned"
        ) from error
    own = np.array([*range(SPECIALS), *tokens])
    return [
        dataclasses.replace(u, tokens=own[u.tokens], language=model.language(corpus.languages[u.language]))
        for u in corpus.utterances
    ]


def rollouts(model: CogenerationModel, said: Sequence[Utterance]) -> list[Clip]:
    """Each utterance as composed, and as the model makes it, free-running over the true lengths of its
    glosses.

    For learning only: frame t of one is what frame t of the other should have been.
    """
    clips = []
    for part in _parts(said):
        made = generate(model, part, [u.lengths.tolist() for u in part])
        for u, frames in zip(part, made, strict=True):
            count = min(len(u), frames.shape[1])
            truth = model.channels.widen(u.frames[:, 2 : 2 + count])
            clips.append(Clip(truth, model.channels.widen(frames[:, :count])))
    return clips


def performed(model: CogenerationModel, said: Sequence[Utterance]) -> list[FloatArray]:
    """Each utterance [T, 694] as the model makes it, on its own time."""
    return [model.channels.widen(frames) for part in _parts(said) for frames in generate(model, part)]


def _parts(said: Sequence[Utterance]) -> Iterable[list[Utterance]]:
    """As many as go in one batch."""
    return (list(said[i : i + _AT_ONCE]) for i in range(0, len(said), _AT_ONCE))


def clips_of(folders: Sequence[Path], most: int, generator: Path | None) -> list[Clip]:
    """Clips for a training: at most `most` sequences (0: all), generated anew too where there is a
    generator."""
    store = SequenceStore(*folders)
    if generator is not None:
        model = CogenerationModel.open(generator)
        return rollouts(model, utterances(model, store, most))
    numbers = range(0, len(store), max(1, len(store) // most) if most else 1)
    return [Clip(pack(store[i].motion)) for i in list(numbers)[: most or None]]
