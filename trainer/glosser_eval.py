"""`handstream eval glosser`: BLEU-1..4, ROUGE-L, chrF and WER; streaming quality against delay.

Enters: a model folder (or several: an ensemble) and pairs. Leaves: figures, and one JSON line last.
Does not know training.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from engine.glossing.slul_model import SlulModel
from engine.glossing.slul_stream import Policy
from trainer.data.pairs import read_corpus
from trainer.data.phoenix import Pair
from trainer.glosser_ensemble import open_models
from trainer.metrics.text import bleu, chrf, rouge_l, word_error_rate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "--model",
        type=Path,
        action="append",
        required=True,
        metavar="FOLDER",
        help="a model; repeated: an ensemble of models trained on the same pairs",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="the corpus")
    parser.add_argument("--split", default="dev", help="which part of it (default: dev)")
    parser.add_argument("--beam", type=int, default=5, help="beam width; 1 is greedy")
    parser.add_argument(
        "--word-drop",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="leave out this share of the source words",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write the glosses here, one sentence a line"
    )
    parser.add_argument("--streaming", action="store_true", help="also quality against delay")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="that as a picture")
    parser.add_argument("--threads", type=int, default=0, help="cores to use; 0: all")


def words_dropped(pairs: Sequence[Pair], share: float, seed: int = 0) -> list[Pair]:
    """The pairs with a share of their source words left out, always the same; never all of a sentence."""
    rng = random.Random(seed)
    kept = []
    for pair in pairs:
        words = tuple(word for word in pair.words if rng.random() >= share)
        kept.append(Pair(words or pair.words[:1], pair.glosses, pair.language))
    return kept


def gloss_pairs(model: SlulModel, pairs: Sequence[Pair], beam: int) -> list[str]:
    """Glosses of each pair's text, one line each."""
    said: list[str] = [""] * len(pairs)
    for language in sorted({pair.language for pair in pairs}):
        places = [at for at, pair in enumerate(pairs) if pair.language == language]
        texts = [" ".join(pairs[at].words) for at in places]
        for at, glosses in zip(places, model.gloss(texts, language, beam=beam), strict=True):
            said[at] = " ".join(glosses)
    return said


def scores(said: Sequence[str], pairs: Sequence[Pair]) -> dict[str, float]:
    """All figures of glosses against the references as they are."""
    wanted = [" ".join(pair.glosses) for pair in pairs]
    figures = {f"bleu{order}": bleu(said, wanted, order) for order in (1, 2, 3, 4)}
    figures |= {
        "rouge": rouge_l(said, wanted),
        "chrf": chrf(said, wanted),
        "wer": word_error_rate(said, wanted),
    }
    figures["length"] = sum(len(line.split()) for line in said) / sum(len(line.split()) for line in wanted)
    return figures


def figures_of(folders: Sequence[Path], pairs: Sequence[Pair], beam: int) -> dict[str, float]:
    """All figures of a model, or of an ensemble."""
    return scores(gloss_pairs(open_models(folders), pairs, beam), pairs)


def shown(figures: dict[str, float]) -> str:
    """Figures as one readable line."""
    return "  ".join(f"{name} {value:.2f}" for name, value in figures.items())


POLICIES = tuple(Policy(*pair) for pair in ((1, 2), (1, 3), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2)))
"""Agreement and margin of what `--streaming` compares: from early to late."""


def main(args: argparse.Namespace) -> int:
    """Measure, and print."""
    if args.threads:
        torch.set_num_threads(args.threads)
    if not 0 <= args.word_drop < 1:
        raise ValueError(f"--word-drop: got {args.word_drop}, expected 0 <= share < 1")
    pairs = words_dropped(read_corpus(args.data, args.split), args.word_drop)
    model = open_models(args.model)
    started = time.perf_counter()
    said = gloss_pairs(model, pairs, args.beam)
    seconds = time.perf_counter() - started
    figures = scores(said, pairs)
    if args.output:
        args.output.write_text("\n".join(said) + "\n", "utf-8")
    print(
        f"{len(pairs)} sentences, beam {args.beam}: {shown(figures)}  "
        f"({1e3 * seconds / len(pairs):.1f} ms a sentence)"
    )
    record: dict[str, object] = {
        "split": args.split,
        "beam": args.beam,
        "word_drop": args.word_drop,
        **figures,
    }
    if args.streaming or args.plot:
        from trainer.glosser_streaming import measure, plot

        table = measure(model, pairs, POLICIES)
        print("agreement  margin  lagging  BLEU-4  length")
        for row in table:
            policy = row.policy
            print(
                f"{policy.agreement:9d}  {policy.margin:6d}  {row.lagging_words:7.2f}  "
                f"{row.bleu4:6.2f}  {row.length:6.2f}"
            )
        if args.plot:
            plot(table, figures["bleu4"], args.plot)
        record["streaming"] = [
            (row.policy.agreement, row.policy.margin, round(row.lagging_words, 2), round(row.bleu4, 2))
            for row in table
        ]
    print(json.dumps(record))
    return 0
