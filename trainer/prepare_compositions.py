"""`handstream train prepare compositions`: texts spelled by the engine's own choreography, as training
sequences.

Enters: arguments. Leaves: a folder of sequences. Does not know how they are composed.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the sequences go")
    parser.add_argument(
        "--language", action="append", metavar="CODE", help="signed language; repeatable; default ase"
    )
    parser.add_argument("--texts", type=int, default=3000, help="texts a language (default 3000)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other texts and rates")
    parser.add_argument(
        "--lexicon", type=Path, action="append", default=[], help="folder with index.csv (repeatable)"
    )
    parser.add_argument("--idle", action="store_true", help="with breath, blinks and gaze laid over")
    parser.add_argument(
        "--rates",
        type=float,
        nargs=2,
        default=(0.8, 1.4),
        metavar=("SLOWEST", "FASTEST"),
        help="signing rates",
    )


def main(args: argparse.Namespace) -> int:
    """Compose, and tell."""
    from engine.lexicon import Lexicon
    from trainer.data.compositions import Composer, CompositionConfig, compose
    from trainer.data.sequences import SequenceWriter
    from trainer.prepare import told

    if args.texts < 1:
        raise ValueError(f"--texts: got {args.texts}, expected at least 1")
    lexicon = Lexicon.stack([*(Lexicon.open(path) for path in args.lexicon), Lexicon.default()])
    try:
        with SequenceWriter(args.out) as writer:
            before, problems = len(writer), []
            for language in dict.fromkeys(args.language or ["ase"]):
                config = CompositionConfig(
                    language=language,
                    seed=args.seed,
                    slowest=args.rates[0],
                    fastest=args.rates[1],
                    idle=args.idle,
                )
                problems += compose(Composer(lexicon, config), writer, args.texts)
            print(told(args.out, len(writer) - before, len(writer), problems))
    finally:
        lexicon.close()
    return 0
