"""What the corrector learns from: composed clips, and what a generator makes of the same glosses.

Enters: prepared sequences, or languages to compose; a co-generation model. Leaves: `Clip`s, and free-running
generated clips to measure on. Does not know how anything learns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

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


def held_back(folder: Path, language: str, words: int, skip: int = 0) -> Path:
    """Compose held-back words at rate 1 into `folder`: what is measured on, never learned from. skip: without
    so many of the first."""
    lexicon = Lexicon.default()
    composer = Composer(lexicon, CompositionConfig(language=language))
    chosen = held_back_words(lexicon, language, skip + words)[skip:]
    named = {f"held-back/{language}/{word}": word for word in chosen}
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
    """Each utterance as the model makes it, free-running over the true lengths of its glosses, and as
    composed, at the model's own pace.

    For learning only: frame t of one is what frame t of the other should have been.
    """
    clips = []
    for part in _parts(said):
        made = generate(model, part, [u.lengths.tolist() for u in part])
        for u, frames in zip(part, made, strict=True):
            count = min(len(u), frames.shape[1])
            truth = model.channels.widen(u.frames[:, 2 : 2 + count])
            shown = model.channels.widen(frames[:, :count])
            clips.append(Clip(truth[paced(shown, truth)], shown))
    return clips


def paced(made: FloatArray, truth: FloatArray, slack: int = 6) -> npt.NDArray[np.int64]:
    """For each frame of `made` [T, D] the frame of `truth` [T, D] that it shows: the cheapest way forward, at
    most `slack` frames early or late [T]."""
    frames = len(made)
    offsets = np.arange(-slack, slack + 1)
    index = np.arange(frames)[:, None] + offsets
    cost = np.stack(
        [np.abs(made - truth[index[:, k].clip(0, frames - 1)]).mean(1) for k in range(len(offsets))], 1
    )
    cost[(index < 0) | (index >= frames)] = np.inf
    total, came = cost[0], np.zeros((frames, len(offsets)), np.int64)
    for t in range(1, frames):
        # From an earlier or the same frame of the truth: any offset up to one more than this one's.
        best = np.minimum.accumulate(total)
        first = np.where(total == best, np.arange(len(offsets)), 0)
        first = np.maximum.accumulate(first)
        before = np.minimum(np.arange(len(offsets)) + 1, len(offsets) - 1)
        came[t], total = first[before], best[before] + cost[t]
    way = np.empty(frames, np.int64)
    way[-1] = total.argmin()
    for t in range(frames - 1, 0, -1):
        way[t - 1] = came[t, way[t]]
    return np.asarray(np.arange(frames) + offsets[way])


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
