"""`handstream train prepare phoenix14t`: PHOENIX14T+ from videos and result files.

Enters: arguments. Leaves: one folder of sequences a split. Does not know estimators. See
docs/training-data.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("corpus_path", type=Path, metavar="FOLDER", help="PHOENIX-2014-T, results beside it")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="one folder a split goes here"
    )
    parser.add_argument("--split", action="append", choices=("train", "dev", "test"), help="default: all")
    parser.add_argument("--language", default="gsg", metavar="CODE", help="signed language (default gsg)")
    parser.add_argument("--fps", type=float, default=25.0, help="frame rate of pictures and results (25)")
    parser.add_argument("--most", type=int, default=0, metavar="N", help="only the first N clips of a split")
    parser.add_argument("--no-video", action="store_true", help="result files only, without MediaPipe")
    parser.add_argument(
        "--smplx-model", type=Path, metavar="FILE", help="your SMPLX_NEUTRAL.npz, for results of SMPLer-X"
    )


def main(args: argparse.Namespace) -> int:
    """Extract every clip that is not there yet, and tell."""
    from trainer.data.parts import mean_hands_of
    from trainer.data.phoenix_videos import SPLITS, Extractor, MediaPipe, Results, phoenix14t_plus, read_clips
    from trainer.data.sequences import SequenceWriter
    from trainer.prepare import told

    splits = tuple(args.split or SPLITS)
    clips = read_clips(args.corpus_path, splits)
    mean_hands = mean_hands_of(args.smplx_model) if args.smplx_model else None
    for split in splits:
        chosen = [clip for clip in clips if clip.split == split]
        chosen = chosen[: args.most] if args.most else chosen
        if not chosen:
            continue
        extractors: list[Extractor] = [
            Results(args.corpus_path, kind, mean_hands) for kind in ("dwpose", "hamer", "smplerx")
        ]
        if not args.no_video:
            extractors.append(MediaPipe(chosen, args.out / "recordings"))
        corpus = phoenix14t_plus(chosen, extractors, args.language, args.fps)
        with SequenceWriter(args.out / split) as writer:
            before = len(writer)
            problems = writer.write_all(corpus.names, corpus.make, what=split)
            print(told(args.out / split, len(writer) - before, len(writer), problems))
    return 0
