"""`handstream eval pictures`: two videos of the same signing, picture by picture.

Enters: paths of two videos of one size. Leaves: SSIM, PSNR and the Fréchet distance, and one JSON line. Does
not know renderers.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.metrics.pictures import Pictures

MOST_PICTURES = 2000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("ours", type=Path, metavar="OURS", help="a generated video")
    parser.add_argument("theirs", type=Path, metavar="THEIRS", help="the true one, of the same size and rate")


def main(args: argparse.Namespace) -> int:
    """Measure, and print."""
    from trainer.metrics.pictures import RANDOM, fid, psnr, ssim

    ours, theirs = read_pictures(args.ours), read_pictures(args.theirs)
    if ours.shape[1:] != theirs.shape[1:]:
        raise ValueError(
            f"{args.ours} and {args.theirs}: got pictures of {ours.shape[2]}x{ours.shape[1]} and "
            f"{theirs.shape[2]}x{theirs.shape[1]}, expected one size; scale one of them"
        )
    paired = min(len(ours), len(theirs))
    figures = {
        "ssim": ssim(ours[:paired], theirs[:paired]),
        "psnr": psnr(ours[:paired], theirs[:paired]),
        "fid": fid(ours, theirs),
    }
    told = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
    print(f"{paired} pairs of {len(ours)} and {len(theirs)} pictures: {told}  (FID on {RANDOM})")
    told_psnr = figures["psnr"] if math.isfinite(figures["psnr"]) else None  # JSON has no infinity
    print(json.dumps({"pairs": paired, "fid_features": RANDOM, **figures, "psnr": told_psnr}))
    return 0


def read_pictures(path: Path) -> Pictures:
    """RGB pictures [N, H, W, 3] uint8 of a video. Raises ValueError for one that is none, empty or too
    long.
    """
    import av
    import numpy as np

    pictures = []
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                pictures.append(frame.to_ndarray(format="rgb24"))
                if len(pictures) > MOST_PICTURES:
                    raise ValueError(f"{path}: more than {MOST_PICTURES} pictures; cut it shorter")
    except (av.FFmpegError, OSError, IndexError) as error:
        raise ValueError(f"{path}: not a readable video ({error}); give one that a player opens") from error
    if len(pictures) < 2:
        raise ValueError(f"{path}: got {len(pictures)} pictures, expected at least two")
    return np.stack(pictures)
