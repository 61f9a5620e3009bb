"""`handstream train prepare dgs | skels | poses`: recordings of others, as training sequences.

Enters: arguments. Leaves: a folder of sequences. Does not know the corpora (see `trainer.data.recordings`).
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "corpus_path", type=Path, metavar="PATH", help="its folder (for skels: the .skels file)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the sequences go")
    parser.add_argument(
        "--language", default=None, metavar="CODE", help="signed language, where it is not told"
    )
    parser.add_argument(
        "--kind",
        default="original",
        choices=("original", "updated"),
        help="of DGS sentences: the signer, or stitched",
    )


def main(args: argparse.Namespace) -> int:
    """Retarget every clip that is not there yet, and tell."""
    from trainer.data.recordings import dgs_sentences, pose_folder, skels
    from trainer.data.sequences import SequenceWriter
    from trainer.prepare import told

    path: Path = args.corpus_path
    if args.corpus == "dgs":
        corpus = dgs_sentences(path, args.kind)
    elif args.corpus == "skels":
        corpus = skels(path, args.language or "gsg")
    else:
        corpus = pose_folder(path, args.language or "ase")
    with SequenceWriter(args.out) as writer:
        before = len(writer)
        problems = writer.write_all(corpus.names, corpus.make, what=args.corpus)
        print(told(args.out, len(writer) - before, len(writer), problems))
    return 0
