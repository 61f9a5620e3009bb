"""A realistic caption feed from sentences, at a speaker's pace, the same for the same seed.

Enters: sentences. Leaves: pieces of a feed, and when each of their words was said. Does not know signing.

Modes: `captions` (a subtitler's: blocks of up to 8 words, each whole), `rollup` (two lines that grow word by
word and scroll), `asr` (partial results every 300 ms that mishear, split, join and recase their latest words
and put it right later; now and then only the final result does, or leaves its last word to the next one).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from stream.captions import TimedText

NS_PER_MS = 1_000_000
MODES = ("captions", "rollup", "asr")


@dataclass(frozen=True, slots=True)
class FeedConfig:
    """words_per_minute: pace. misheard, late, moved: chances a word is misheard at first, that a final result
    changes a word from before, that it leaves its last word to the next. partial_ms: between partial results.
    """

    mode: str = "captions"
    words_per_minute: float = 160.0
    seed: int = 0
    language: str = "de"
    partial_ms: int = 300
    misheard: float = 0.15
    late: float = 0.02
    moved: float = 0.05

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"FeedConfig.mode: got {self.mode!r}, expected one of {', '.join(MODES)}")
        if self.words_per_minute <= 0 or self.partial_ms <= 0:
            raise ValueError("FeedConfig: words_per_minute and partial_ms must be above 0")


@dataclass(slots=True)
class Spoken:
    """One utterance: its words and when each has been said (ms)."""

    words: list[str]
    ends_ms: list[float]


def spoken(lines: Iterator[str], config: FeedConfig, minutes: float) -> Iterator[Spoken]:
    """The text at the speaker's pace (pauses are part of it), until `minutes` are over."""
    chance = random.Random(config.seed)
    now_ms = 0.0
    for line in lines:
        words = [token for token in line.split() if any(c.isalnum() for c in token)]
        if now_ms > minutes * 60_000:
            return
        if not words:
            continue
        whole_ms = 60_000 / config.words_per_minute * len(words)
        shares = [(len(word) + 1) * chance.uniform(0.8, 1.2) for word in words]
        ends_ms, said = [], 0.0
        for share in shares:
            said += share / sum(shares)
            ends_ms.append(now_ms + 0.9 * whole_ms * said)  # a tenth of the time is pause
        now_ms += whole_ms
        yield Spoken(words, ends_ms)


def pieces(utterances: list[Spoken], config: FeedConfig) -> Iterator[TimedText]:
    """The feed. `pts_ns` is the time of arrival on the axis of the speech."""
    make = {"captions": _captions, "rollup": _rollup, "asr": _asr}[config.mode]
    for seq, piece in enumerate(make(utterances, config), 1):
        yield TimedText(seq=seq, language=config.language, **piece)  # type: ignore[arg-type]


def _ns(milliseconds: float) -> int:
    return round(milliseconds * NS_PER_MS)


def _captions(utterances: list[Spoken], config: FeedConfig) -> Iterator[dict[str, object]]:
    for utterance in utterances:
        for at in range(0, len(utterance.words), 8):
            ends = utterance.ends_ms[at : at + 8]
            text = " ".join(utterance.words[at : at + 8])
            yield {"text": text, "start_ns": _ns(ends[0]), "end_ns": _ns(ends[-1]), "pts_ns": _ns(ends[-1])}


def _rollup(utterances: list[Spoken], config: FeedConfig) -> Iterator[dict[str, object]]:
    shown: list[tuple[str, float]] = []
    above = ""
    for utterance in utterances:
        for at in range(0, len(utterance.words), 6):
            row, ends_ms = utterance.words[at : at + 6], utterance.ends_ms[at : at + 6]
            for n, end_ms in enumerate(ends_ms, 1):
                shown.append((f"{above}\n{' '.join(row[:n])}".strip(), end_ms))
            above = " ".join(row)
    for n, (text, at_ms) in enumerate(shown):
        until_ms = shown[n + 1][1] if n + 1 < len(shown) else at_ms + 1000
        yield {"text": text, "start_ns": _ns(at_ms), "end_ns": _ns(until_ms), "pts_ns": _ns(at_ms)}


def _asr(utterances: list[Spoken], config: FeedConfig) -> Iterator[dict[str, object]]:
    chance = random.Random(config.seed + 1)
    vocabulary = sorted({word for utterance in utterances for word in utterance.words})
    seq, now_ms = 0, 0.0
    moved_words: list[str] = []
    moved_ends: list[float] = []
    for utterance in utterances:
        words, ends = moved_words + utterance.words, moved_ends + utterance.ends_ms
        moved_words, moved_ends = [], []
        wrong = {
            i: _mishear(w, vocabulary, chance)
            for i, w in enumerate(words)
            if chance.random() < config.misheard
        }
        righted_ms = {i: ends[i] + chance.uniform(100, 1200) for i in wrong}
        stubborn = {i for i in wrong if chance.random() < config.late / max(config.misheard, 1e-9)}
        first, now_ms, before = 0, max(now_ms + 1, ends[0] - 200), ""
        while now_ms < ends[-1] + 150:
            heard = [i for i in range(len(words)) if ends[i] - 120 < now_ms]
            said = [wrong[i] if i in stubborn or now_ms < righted_ms.get(i, 0) else words[i] for i in heard]
            if heard and now_ms < ends[heard[-1]]:
                said[-1] = said[-1][: max(1, len(said[-1]) * 2 // 3)]  # cut off in the middle of the word
            text = " ".join(said)
            if text and text != before:
                seq += 1
                yield {"text": text, "revises": first or None, "final": False, "pts_ns": _ns(now_ms)}
                first, before = first or seq, text
            now_ms += config.partial_ms * chance.uniform(0.7, 1.3)
        if len(words) > 3 and chance.random() < config.moved:
            moved_words, moved_ends = [words.pop()], [ends[-1]]
        seq += 1
        final = " ".join([words[0].capitalize(), *words[1:]]) + "."
        yield {"text": final, "revises": first or None, "final": True, "pts_ns": _ns(now_ms)}


def _mishear(word: str, vocabulary: list[str], chance: random.Random) -> str:
    kind = chance.randrange(4)
    if kind == 0 and len(word) > 5:
        cut = chance.randrange(2, len(word) - 2)
        return f"{word[:cut]} {word[cut:]}"
    if kind == 1:
        return word.capitalize()
    if kind == 2 and len(word) > 3:
        return word[:-1]
    return chance.choice(vocabulary)
