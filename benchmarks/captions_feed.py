"""A realistic caption feed from a text file, and what the reviser makes of it.

Enters: a text file, a sentence a line. Leaves: pieces of a feed at a speaker's pace, the same for the same
seed; run as a program, one JSON line of figures. Does not know signing.

The limit: at 160 words a minute a word takes 375 ms to say, and cannot be certain before it has been said;
a finished caption can be signed the moment it arrives. The figures are the time from the end of a spoken word
to its commit, the letters that are neither signed nor reported (to be 0; letters, because recognisers split
and join words), and the reviser's own work for each piece.

    python benchmarks/captions_feed.py TEXT --mode captions|rollup|asr [--minutes 60] [--write FEED.jsonl]

Modes: `captions` (a subtitler's: blocks of up to 8 words, each whole), `rollup` (two lines that grow word by
word and scroll), `asr` (partial results every 300 ms that mishear, split, join and recase their latest words
and put it right later; now and then only the final result does, or leaves its last word to the next one).
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np

from stream.captions import Reviser, ReviserConfig, TimedText
from stream.captions.words import words_of

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


def measure(utterances: list[Spoken], config: FeedConfig, reviser: Reviser) -> dict[str, object]:
    """Run the feed through the reviser, and account for every word."""
    signed: list[tuple[str, int]] = []
    work_us: list[float] = []
    count, now_ns = 0, 0
    for piece in pieces(utterances, config):
        while (due_ns := reviser.next_due_ns()) is not None and due_ns < piece.pts_ns:
            signed += [(w.key, due_ns) for c in reviser.due(due_ns) for w in words_of(c.text, c.language)]
        began_ns = time.thread_time_ns()
        out = reviser.feed(piece)
        work_us.append((time.thread_time_ns() - began_ns) / 1e3)
        count, now_ns = count + 1, piece.pts_ns
        signed += [(w.key, now_ns) for c in out for w in words_of(c.text, c.language)]
    signed += [(w.key, now_ns) for c in reviser.finish() for w in words_of(c.text, c.language)]
    truth = [(w, end) for u in utterances for w, end in zip(u.words, u.ends_ms, strict=True)]
    changes = reviser.take_changes()
    # Words split or joined on the way have other borders: so letters are accounted for, not words.
    balance: Counter[str] = Counter("".join(key for key, _ in signed))
    balance.update("".join(w.key for c in changes for w in words_of(c.now, config.language)))
    balance.subtract("".join(w.key for c in changes for w in words_of(c.signed, config.language)))
    balance.subtract("".join(w.key for text, _ in truth for w in words_of(text, config.language)))
    lags_ms = _lags(signed, truth, config.language)
    return {
        "pieces": count,
        "words": len(truth),
        "signed": len(signed),
        "changed": dict(Counter(change.reason for change in changes)),
        "letters_neither_signed_nor_reported": sum(n for n in (-balance).values()),
        "letters_signed_too_often": sum(n for n in (+balance).values()),
        "lag_ms": _percentiles(lags_ms),
        "work_us": _percentiles(work_us),
    }


def _lags(signed: list[tuple[str, int]], truth: list[tuple[str, float]], language: str) -> list[float]:
    """Time from the end of each spoken word to its commit, for the words found in both, in order."""
    said = [(word.key, end_ms) for text, end_ms in truth for word in words_of(text, language)]
    lags: list[float] = []
    for at in range(0, len(signed), 200):  # in blocks, compared with what was said around their time
        block = signed[at : at + 200]
        near = [s for s in said if block[0][1] / NS_PER_MS - 20_000 <= s[1] <= block[-1][1] / NS_PER_MS]
        matcher = SequenceMatcher(None, [key for key, _ in block], [key for key, _ in near], autojunk=False)
        for i, j, length in matcher.get_matching_blocks():
            lags += [block[i + n][1] / NS_PER_MS - near[j + n][1] for n in range(length)]
    return lags


def _percentiles(values: list[float]) -> dict[str, float]:
    return {f"p{q}": round(float(np.percentile(values, q)), 1) for q in (50, 95, 99)} if values else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("text", type=Path, nargs="+", help="text files, a sentence a line")
    parser.add_argument("--mode", choices=MODES, default="captions")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--words-per-minute", type=float, default=160)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--language", default="de", help="the spoken language of the text")
    parser.add_argument("--agreement", type=int, default=2, help="hypotheses that must agree")
    parser.add_argument("--hold-ms", type=int, default=0, help="how long words are kept back for revisions")
    parser.add_argument("--write", type=Path, help="also write the feed, as JSON lines with at_ms")
    args = parser.parse_args()
    config = FeedConfig(args.mode, args.words_per_minute, args.seed, args.language)
    lines = (line for path in args.text for line in path.read_text("utf-8").splitlines())
    utterances = list(spoken(lines, config, args.minutes))
    if not utterances:
        sys.exit(f"{args.text[0]}: no sentences in it; give a text file with one a line")
    word_ms = 60_000 / args.words_per_minute
    print(f"limit: a word takes {word_ms:.0f} ms to say, and is certain 0 ms later at best")
    if args.write:
        with args.write.open("w", encoding="utf-8") as file:
            for piece in pieces(utterances, config):
                line = {"at_ms": round(piece.pts_ns / NS_PER_MS), "text": piece.text, "id": piece.cue}
                file.write(json.dumps({**line, "final": piece.final}, ensure_ascii=False) + "\n")
    reviser = Reviser(ReviserConfig(agreement=args.agreement, hold_ns=args.hold_ms * NS_PER_MS))
    minutes = utterances[-1].ends_ms[-1] / 60_000
    figures = measure(utterances, config, reviser)
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    words_a_minute = round(sum(len(u.words) for u in utterances) / minutes, 1)
    about = {"benchmark": "captions_feed", "mode": args.mode, "seed": args.seed, "minutes": round(minutes)}
    print(
        json.dumps(
            {**about, "words_per_minute": words_a_minute, **figures, "device": "cpu", "commit": commit}
        )
    )


if __name__ == "__main__":
    main()
