"""A realistic caption feed from a text file, and what the reviser makes of it.

Enters: a text file, a sentence a line. Leaves: pieces of a feed at a speaker's pace, the same for the same
seed; run as a program, one JSON line of figures. Does not know signing.

The feed is that of `handstream bench captions`, which signs it too; here only the words are certain or not.

The limit: at 160 words a minute a word takes 375 ms to say, and cannot be certain before it has been said;
a finished caption can be signed the moment it arrives. The figures are the time from the end of a spoken word
to its commit, the letters that are neither signed nor reported (to be 0; letters, because recognisers split
and join words), and the reviser's own work for each piece.

    python benchmarks/captions_feed.py TEXT --mode captions|rollup|asr [--minutes 60] [--write FEED.jsonl]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np

from stream.bench.caption_feeds import MODES, NS_PER_MS, FeedConfig, Spoken, pieces, spoken
from stream.captions import Reviser, ReviserConfig
from stream.captions.words import words_of


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
