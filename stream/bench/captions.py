"""An hour of live captions: how far behind is the signer, and what became of every word?

The limit: at 160 words a minute a word takes 375 ms to say. Spelled at the pace that people read (about 2.5
letters a second, 4 at most) it takes some two seconds, signed about 0.7: with alphabets only, four words of
five cannot be signed, and with a sign for every word, one in three. What counts is that the signer is never
late, that what carries most is signed, and that the rest is told.

By default the feed is replayed on a manual clock, as fast as the machine makes frames, through everything
from caption to motion. `--real-time` sends it to a real server instead, and a real viewer listens.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from engine.choreography import LexiconChoreography
from engine.glossing import Glossed, PlainGlosser
from engine.lexicon import Lexicon
from engine.signals import Gloss
from engine.signer import Signer
from stream.bench.caption_feeds import MODES, FeedConfig, Spoken, pieces, spoken
from stream.bench.outcome import Outcome, Plot, Row, Series, percentiles
from stream.bench.replay import Replay, Replayed, Word
from stream.captions.words import words_of

ALLOWED_S = 3.0
"""Of lag beyond the programme delay: the most that Ofcom's guideline allows live captions."""
OWN = Path(__file__).parent / "speech.txt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--text", type=Path, help="a text file, a sentence a line, or a folder of them (*.de, *.en, *.txt)"
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--mode", default="all", choices=(*MODES, "all"), help="kind of feed; default all")
    parser.add_argument("--programme-delay", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--words-per-minute", type=float, default=160.0)
    parser.add_argument("--language", default="gsg", help="signed language, default %(default)s")
    parser.add_argument("--lexicon", type=Path, action="append", default=[])
    parser.add_argument(
        "--signs", action="store_true", help="as if there were a sign for every word (letters stand in)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real-time", action="store_true", help="a real server and viewer, at real speed")


def run(args: argparse.Namespace) -> Outcome:
    print(f"limit: a word takes {60_000 / args.words_per_minute:.0f} ms to say")
    modes = MODES if args.mode == "all" else (args.mode,)
    lines = sentences(args.text)
    table: list[Row] = []
    figures: dict[str, object] = {
        "minutes": args.minutes,
        "words_per_minute": args.words_per_minute,
        "programme_delay_s": args.programme_delay,
        "vocabulary": "signs" if args.signs else "letters",
        "text": args.text.name if args.text else OWN.name,
        "real_time": args.real_time,
    }
    plots: list[Plot] = []
    reached: dict[str, tuple[str, bool]] = {}
    for mode in modes:
        config = FeedConfig(mode, args.words_per_minute, args.seed, _spoken(args.language))
        utterances = list(spoken(itertools.cycle(lines), config, args.minutes))
        if args.real_time:
            from stream.bench.replay_live import replay_live

            replayed = replay_live(utterances, config, args)
        else:
            replayed = replay(utterances, config, args)
        figures[mode] = found = account(replayed, utterances, config)
        lag_s: dict[str, float] = found["lag_s"]
        table.append({"feed": mode} | {k: v for k, v in found.items() if not isinstance(v, dict)})
        table[-1] |= {f"lag_s_{k}": v for k, v in lag_s.items()}
        plots += drawn(mode, replayed, args.programme_delay)
        most_s = args.programme_delay + ALLOWED_S
        p99 = lag_s.get("p99", 0.0)
        reached[f"{mode}: lag p99 at most {most_s:g} s"] = (f"{p99:.2f} s", p99 <= most_s)
        missing, twice = found["words_unaccounted"], found["signed_twice"]
        reached[f"{mode}: every word signed or told"] = (f"{missing} are not", missing == 0)
        reached[f"{mode}: none twice"] = (f"{twice}", twice == 0)
    return Outcome("captions", figures, table, plots, reached)


def replay(utterances: list[Spoken], config: FeedConfig, args: argparse.Namespace) -> Replayed:
    lexicon = Lexicon.stack([*(Lexicon.open(path) for path in args.lexicon), Lexicon.default()])
    try:
        glosser = EveryWordSigned(lexicon, args.language) if args.signs else PlainGlosser(lexicon)
        choreography = LexiconChoreography(lexicon)
        for clip in lexicon.alphabet(args.language).values():
            choreography.warm(Gloss("", clip, args.language, spelled=True))
        signer = Signer(lexicon, glosser, language=args.language, choreography=choreography)

        def progress(seconds: float) -> None:
            if sys.stderr.isatty():
                print(f"\r{config.mode}: {seconds / 60:.0f} min", end="", file=sys.stderr, flush=True)

        replay = Replay(signer, delay_s=args.programme_delay, language=args.language, progress=progress)
        return replay.run(list(pieces(utterances, config)))
    finally:
        lexicon.close()


def account(replayed: Replayed, utterances: Sequence[Spoken], config: FeedConfig) -> dict[str, Any]:
    """What became of all words, and how late."""
    kinds = Counter(kind for word in replayed.words for kind in set(word.fates))
    balance = letters(replayed, utterances, config)
    reasons = {f"{kind}: {why}" if why else kind: n for (kind, why), n in replayed.fates.most_common()}
    return {
        "words_spoken": sum(len(u.words) for u in utterances),
        "words_committed": len(replayed.words),
        "words_signed": kinds["signed"],
        "words_left_out": kinds["omitted"] + kinds["omitted by grammar"],
        "words_abbreviated": sum(n for (kind, _), n in replayed.fates.items() if kind == "abbreviated"),
        "words_unaccounted": len(replayed.unaccounted),
        "signed_twice": replayed.twice,
        "changes_told": len(replayed.changes),
        "letters_lost": balance[0],
        "letters_too_often": balance[1],
        "lag_s": percentiles([lag for _, lag in replayed.begins]),
        "lag_behind_speech_s": percentiles(_behind_speech(replayed.words, utterances, config.language)),
        "tempo_mean": round(sum(replayed.tempo) / max(len(replayed.tempo), 1), 3),
        "step_ms": percentiles(replayed.step_ms),
        "fates": reasons,
    }


def letters(replayed: Replayed, utterances: Sequence[Spoken], config: FeedConfig) -> tuple[int, int]:
    """(letters of what was said that were neither committed nor reported, letters committed too often).

    Recognisers split and join words, so letters are counted, not words.
    """
    balance: Counter[str] = Counter("".join(word.key for word in replayed.words))
    for change in replayed.changes:
        balance.update("".join(w.key for w in words_of(change.now, config.language)))
        balance.subtract("".join(w.key for w in words_of(change.signed, config.language)))
    said = (w.key for u in utterances for text in u.words for w in words_of(text, config.language))
    balance.subtract("".join(said))
    return sum((-balance).values()), sum((+balance).values())


def _behind_speech(words: Sequence[Word], utterances: Sequence[Spoken], language: str) -> list[float]:
    """Seconds from the end of each spoken word to the begin of its last sign, for words found in both."""
    said = [
        (word.key, end_ms / 1000)
        for u in utterances
        for text, end_ms in zip(u.words, u.ends_ms, strict=True)
        for word in words_of(text, language)
    ]
    found: list[float] = []
    for at in range(0, len(words), 200):  # in blocks, compared with what was said around their time
        block = words[at : at + 200]
        first_s, last_s = block[0].committed_ns / 1e9 - 30, block[-1].committed_ns / 1e9
        near = [entry for entry in said if first_s <= entry[1] <= last_s]
        matcher = SequenceMatcher(None, [w.key for w in block], [key for key, _ in near], autojunk=False)
        for i, j, length in matcher.get_matching_blocks():
            for n in range(length):
                begun_ns = block[i + n].begun_ns
                if begun_ns is not None:
                    found.append(begun_ns / 1e9 - near[j + n][1])
    return found


def drawn(mode: str, replayed: Replayed, delay_s: float) -> list[Plot]:
    """Lag over time, lag as a distribution, and what became of words."""
    step = max(1, len(replayed.begins) // 4000)
    shown = replayed.begins[::step]
    kinds = Counter(kind for word in replayed.words for kind in set(word.fates))
    names = sorted(kinds)
    return [
        Plot(
            f"Behind the caption ({mode})",
            "minutes",
            "seconds",
            [Series("signs as they begin", [at / 60 for at, _ in shown], [lag for _, lag in shown])],
            kind="points",
            limit=delay_s + ALLOWED_S,
        ),
        Plot(
            f"Behind the caption: how many within ({mode})",
            "seconds",
            "share",
            [Series("signs", [lag for _, lag in replayed.begins], [])],
            kind="cdf",
            limit=delay_s + ALLOWED_S,
        ),
        Plot(
            f"What became of words ({mode})",
            "",
            "words",
            [Series("words", list(range(len(names))), [kinds[name] for name in names])],
            kind="bars",
            labels=names,
        ),
    ]


def sentences(path: Path | None) -> list[str]:
    """The lines of a file, or of the longest text in a folder. Raises ValueError when there are none."""
    path = path or OWN
    if path.is_dir():
        texts = [p for suffix in ("de", "en", "txt") for p in sorted(path.glob(f"*.{suffix}"))]
        if not texts:
            raise ValueError(f"{path}: no *.de, *.en or *.txt in it; give a file with a sentence a line")
        path = max(texts, key=lambda p: p.stat().st_size)
    lines = [line for line in path.read_text("utf-8").splitlines() if any(c.isalnum() for c in line)]
    if not lines:
        raise ValueError(f"{path}: no sentences in it; give a text file with one a line")
    return lines


def _spoken(language: str) -> str:
    from engine.lexicon.languages import language_info

    return language_info(language).spoken


class EveryWordSigned:
    """A glosser for whom there is a sign for every word: recordings of letters stand in for them."""

    def __init__(self, lexicon: Lexicon, language: str) -> None:
        self._plain = PlainGlosser(lexicon)
        self._clips = sorted(set(lexicon.alphabet(language).values()))

    def open(self, language: str) -> object:
        return self._plain.open(language)

    def push(self, text: str, state: object, final: bool) -> Glossed:
        said = self._plain.push(text, state, final)  # type: ignore[arg-type]
        out = dataclasses.replace(said, glosses=[])
        for word in _whole(said.glosses):
            label = "".join(gloss.label for gloss in word)
            clip = self._clips[sum(map(ord, label)) % len(self._clips)]
            first = dataclasses.replace(word[0], label=label, clip=clip, spelled=False, word_end=True)
            out.glosses.append(dataclasses.replace(first, end=word[-1].end))
        return out


def _whole(glosses: Sequence[Gloss]) -> Iterator[list[Gloss]]:
    word: list[Gloss] = []
    for gloss in glosses:
        word.append(gloss)
        if gloss.word_end:
            yield word
            word = []
    if word:
        yield word
