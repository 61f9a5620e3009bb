"""Motion sequences as the co-generation model learns them: normalised frames, glosses, and whose frame is
whose.

Enters: a `SequenceStore`. Leaves: `Utterance`s in memory, and batches of crops. Does not know networks.

An utterance goes from the first frame that moves to the last that does: one segment per gloss, from the
frame after the gloss before it to its own last frame (so the way to a sign belongs to the sign), then one
segment for going to rest. That is how the model counts time, too.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.choreography.cogeneration_model import Channels
from engine.features import Normaliser, pack
from engine.nn.cogeneration import BLANK, OTHER, REST, SPECIALS, progress_features
from engine.signals import FloatArray
from trainer.data.sequences import SequenceStore

log = logging.getLogger(__name__)

_STILL = 1e-3
"""Change of a feature below which a frame is at rest already."""


@dataclass(frozen=True, eq=False)
class Utterance:
    """frames [3, T + 2, C]: normalised; the first two are the frame before the first that moves. tokens [G],
    word_ends [G], ends [G]: of each segment (one past its last frame); the last is going to rest. performed
    [G]: share of the segment after which the gloss counts as performed."""

    name: str
    frames: FloatArray
    tokens: npt.NDArray[np.int64]
    word_ends: npt.NDArray[np.bool_]
    ends: npt.NDArray[np.int64]
    performed: npt.NDArray[np.float32]
    language: int
    log_rate: float

    def __len__(self) -> int:
        return int(self.ends[-1])

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        return np.diff(self.ends, prepend=0)


@dataclass(frozen=True)
class Corpus:
    """All utterances, and what the model must know of them."""

    utterances: list[Utterance]
    channels: Channels
    words: tuple[str, ...]
    languages: tuple[str, ...]
    fps: float


def read(store: SequenceStore, most: int = 0, normaliser: Normaliser | None = None) -> Corpus:
    """Load a store (at most `most` sequences, 0: all). Raises ValueError for differing frame rates or no
    gloss."""
    numbers = [i for i in range(len(store)) if store.entry(i)["glosses"]]
    numbers = numbers[:: max(1, len(numbers) // most)][:most] if most else numbers
    if not numbers:
        raise ValueError("cogeneration: the sequences hold no glosses; prepare compositions first")
    rates = {store.entry(i)["fps"] for i in numbers}
    if len(rates) > 1:
        raise ValueError(f"cogeneration: got sequences of {sorted(rates)} frames a second, expected one rate")
    entries = [store.entry(i) for i in numbers]
    words = tuple(sorted({f"{e['language']}/{label}" for e in entries for label in e["glosses"]}))
    languages = tuple(sorted({e["language"] for e in entries}))
    step = max(1, len(numbers) // 600)
    normaliser = normaliser or Normaliser.learn(pack(store[i].motion) for i in numbers[::step])
    channels = Channels(normaliser)
    known = {word: number for number, word in enumerate(words, SPECIALS)}
    made = [_utterance(store, i, known, languages, channels) for i in numbers]
    utterances = [u for u in made if u.lengths.min() > 0]
    if len(utterances) < len(made):
        log.warning(
            "%d of %d sequences have glosses out of order: left out", len(made) - len(utterances), len(made)
        )
    return Corpus(utterances, channels, words, languages, rates.pop())


def _utterance(
    store: SequenceStore, number: int, known: dict[str, int], languages: Sequence[str], channels: Channels
) -> Utterance:
    sequence = store[number]
    vectors = pack(sequence.motion)
    spans = sequence.spans
    moving = np.abs(vectors - vectors[-1]).max(1) > _STILL
    end = min(int(np.flatnonzero(moving)[-1]) + 2 if moving.any() else 1, len(vectors))
    end = max(end, int(spans[-1, 1]) + 2)
    start = int(spans[0, 0])
    ends = np.array([*spans[:, 1], end], np.int64) - start
    starts = np.concatenate([[0], ends[:-1]])
    performed = (np.append(spans[:, 0], end) - start - starts) / np.maximum(ends - starts, 1)
    before = vectors[max(start - 1, 0)]
    last = vectors[min(end, len(vectors)) - 1]
    body = vectors[start:end]
    padding = np.repeat(last[None], end - start - len(body), 0)
    frames = channels.narrow(np.concatenate([before[None], before[None], body, padding]))
    tokens = [known[f"{sequence.language}/{label}"] for label in sequence.glosses]
    return Utterance(
        name=sequence.name,
        frames=frames,
        tokens=np.array([*tokens, REST]),
        word_ends=np.array([*sequence.word_ends, False]),
        ends=ends,
        performed=performed.clip(0, 1).astype(np.float32),
        language=languages.index(sequence.language),
        log_rate=math.log(sequence.rate),
    )


def window(
    tokens: Sequence[int], word_ends: Sequence[bool], at: int, around: int
) -> tuple[list[int], list[bool]]:
    """The tokens around segment `at`, [2 * around + 1]; before the first comes rest, beyond that blanks."""
    places = range(at - around, at + around + 1)
    chosen = [tokens[i] if 0 <= i < len(tokens) else REST if i == -1 else BLANK for i in places]
    return chosen, [bool(word_ends[i]) if 0 <= i < len(tokens) else False for i in places]


@dataclass(frozen=True)
class Batch:
    """B crops of T frames with at most G segments each; shapes as `Cogenerator.forward` takes them.

    before [M, B, T + 1, C], target [M, B, T, C]: true frames; there [B, T]: which frames count; drift [M, B,
    1, C] and jitter: noise to put on what the decoder is fed. rollout: feed it what it made itself.
    """

    before: Tensor
    target: Tensor
    there: Tensor
    progress: Tensor
    owner: Tensor
    tokens: Tensor
    word_ends: Tensor
    languages: Tensor
    log_rate: Tensor
    lengths: Tensor
    performed: Tensor
    segments: Tensor
    rollout: bool


def crop(
    chosen: Sequence[tuple[Utterance, int]], frames: int, around: int, rng: np.random.Generator,
    *, unknown: float = 0.0, rollout: bool = False,
) -> Batch:  # fmt: skip
    """A batch of crops: `frames` frames of each utterance from a first one on.

    unknown: share of windows in which what comes next, or what came before, is not known.
    """
    rows = len(chosen)
    first_segment = [int(np.searchsorted(u.ends, at, side="right")) for u, at in chosen]
    last_segment = [
        int(np.searchsorted(u.ends, min(at + frames, len(u)) - 1, side="right")) for u, at in chosen
    ]
    segments = max(b - a + 1 for a, b in zip(first_segment, last_segment, strict=True))
    channels = chosen[0][0].frames.shape[-1]
    truth = np.zeros((3, rows, frames + 2, channels), np.float32)
    there = np.zeros((rows, frames), bool)
    times = np.zeros((3, rows, frames), np.float32)
    times[1:] = 1
    owner = np.zeros((rows, frames), np.int64)
    tokens = np.zeros((rows, segments, 2 * around + 1), np.int64)
    word_ends = np.zeros_like(tokens, dtype=bool)
    lengths, performed = np.ones((rows, segments), np.float32), np.zeros((rows, segments), np.float32)
    real = np.zeros((rows, segments), bool)
    for row, ((u, at), a, b) in enumerate(zip(chosen, first_segment, last_segment, strict=True)):
        count = min(frames, len(u) - at)
        truth[:, row, : count + 2] = u.frames[:, at : at + count + 2]
        truth[:, row, count + 2 :] = truth[:, row, count + 1, None]
        there[row, :count] = True
        index = np.arange(at, at + count)
        segment = np.searchsorted(u.ends, index, side="right")
        starts = u.ends[segment] - u.lengths[segment]
        elapsed = index - starts + 1
        times[0, row, :count] = elapsed / u.lengths[segment]
        times[1, row, :count] = elapsed
        times[2, row, :count] = u.lengths[segment] - elapsed
        owner[row, :count] = segment - a
        owner[row, count:] = owner[row, count - 1]
        real[row, : b - a + 1] = True
        lengths[row, : b - a + 1], performed[row, : b - a + 1] = u.lengths[a : b + 1], u.performed[a : b + 1]
        for place, number in enumerate(range(a, b + 1)):
            seen, ended = window(u.tokens.tolist(), u.word_ends.tolist(), number, around)
            if rng.random() < unknown:
                seen, ended = _forget(seen, ended, around, rng)
            tokens[row, place], word_ends[row, place] = seen, ended
    log_rate = torch.tensor([u.log_rate for u, _ in chosen], dtype=torch.float32)
    progress, elapsed_t, left = (torch.from_numpy(t) for t in times)
    rates = log_rate[:, None].expand(-1, frames)
    tensor = torch.from_numpy
    return Batch(
        before=tensor(truth[:, :, :-1]), target=tensor(truth[:, :, 2:]), there=tensor(there),
        progress=progress_features(progress, elapsed_t, left.clamp(min=0), rates),
        owner=tensor(owner), tokens=tensor(tokens), word_ends=tensor(word_ends),
        languages=torch.tensor([u.language for u, _ in chosen]), log_rate=log_rate,
        lengths=tensor(lengths), performed=tensor(performed), segments=tensor(real), rollout=rollout,
    )  # fmt: skip


def _forget(
    tokens: list[int], word_ends: list[bool], around: int, rng: np.random.Generator
) -> tuple[list[int], list[bool]]:
    """A window as it is when text comes late (rest seems to follow), or after a sign that is not ours."""
    tokens, word_ends = list(tokens), list(word_ends)
    if rng.random() < 0.7:
        known = around + int(rng.integers(1, around + 1))
        for place in range(known, len(tokens)):
            if tokens[place] != BLANK:
                tokens[place] = REST if place == known and tokens[place - 1] != REST else BLANK
            word_ends[place] = False
    else:
        known = around - int(rng.integers(1, around + 1))
        for place in range(known + 1):
            tokens[place], word_ends[place] = OTHER if place == known else BLANK, False
    return tokens, word_ends
