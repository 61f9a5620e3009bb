"""`handstream train prepare pictures | videos`: pictures with their motion, for `train renderer`.

Enters: arguments. Leaves: a folder of clips. Does not know how clips are made.
"""

from __future__ import annotations

import argparse
from pathlib import Path

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of both; `videos` has a folder to read."""
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the clips go")
    parser.add_argument("--pixels", type=int, default=64, help="64, 256 or 512, as the model (default 64)")
    if parser.prog.endswith("videos"):
        parser.add_argument("videos", type=Path, metavar="DIR",
                            help="videos of signers who have agreed to it, each of one person")  # fmt: skip
        return
    parser.add_argument("--data", type=Path, action="append", default=[], metavar="FOLDER",
                        help="motion sequences to draw; default: letters of every alphabet")  # fmt: skip
    parser.add_argument("--language", action="append", default=[], metavar="CODE",
                        help="letters of this alphabet only (repeatable)")  # fmt: skip
    parser.add_argument("--clips", type=int, default=480)
    parser.add_argument("--frames", type=int, default=8, help="of a clip (default 8)")
    parser.add_argument("--signers", type=int, default=24, help="that differ (default 24)")
    parser.add_argument("--seed", type=int, default=0)


def main(args: argparse.Namespace) -> int:
    """Prepare what was asked for."""
    from trainer.renderer.clips import save_clip

    problems: list[str] = []
    written = 0
    if hasattr(args, "videos"):
        from trainer.renderer.videos import video_clips

        paths = sorted(p for p in args.videos.glob("*") if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise ValueError(f"{args.videos}: no videos in it; expected {', '.join(SUFFIXES)}")
        for path in paths:
            try:
                for clip in video_clips(path, args.pixels):
                    save_clip(args.out, clip)
                    written += 1
            except ValueError as error:
                problems.append(str(error))
    else:
        from trainer.data.sequences import SequenceStore
        from trainer.renderer.clips import alphabet_motions, avatar_clips
        from trainer.renderer.material import signers_of, split

        motions = [store[n].motion for store in map(SequenceStore, args.data) for n in range(len(store))]
        motions = motions or split(alphabet_motions(args.language))[0]  # `eval renderer` shows the others
        seen, _ = signers_of(args.signers)
        for clip in avatar_clips(motions, args.clips, args.frames, args.pixels, seen, args.seed):
            save_clip(args.out, clip)
            written += 1
    print(f"{args.out}: {written} clips of {args.pixels} pixels; {len(problems)} videos left out")
    for problem in problems[:10]:
        print(f"  {problem}")
    return 0 if written else 1
