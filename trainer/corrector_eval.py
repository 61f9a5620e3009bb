"""`handstream eval corrector`: what correction does to disturbed motion, and to a generator's own.

Enters: arguments. Leaves: a table before and after, one JSON line last. Does not know how correctors learn.

Held-back words, which neither model has learned from. Disturbed: the composed motion, each modality spoiled
on its own (the same disturbance every time). Generated: free-running on the generator's own time. Errors are
nDTWp against the composed motion, of the body's hand keypoints in space, and of the picture's (`ndtwp_pose`).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from engine.corrector import Corrector
from engine.features import pack, unpack_motion
from engine.signals import FloatArray, Motion
from trainer.corrector_disturbance import Disturbance, DisturbanceConfig
from trainer.metrics.agreement import agreement
from trainer.metrics.motion import dtw_mje, ndtwp, path_length_ratio, plane, points


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="a corrector; default: the shipped one")
    parser.add_argument(
        "--generator", type=Path, metavar="FOLDER", help="a co-generation model; default: the shipped one"
    )
    parser.add_argument("--language", default="ase", help="signed language of the words (default ase)")
    parser.add_argument("--words", type=int, default=40, help="held-back words (default 40)")
    parser.add_argument(
        "--skip", type=int, default=0, help="leave out so many first: to choose on others than to report on"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the disturbances (default 1)")
    parser.add_argument("--threads", type=int, default=1, help="cores to use (default 1)")


def corrected(corrector: Corrector, clips: Sequence[FloatArray]) -> list[FloatArray]:
    """Clips of vectors [T, 694], each corrected offline."""
    with torch.inference_mode():
        return [corrector(torch.from_numpy(clip)[None])[0].numpy() for clip in clips]


def before_and_after(
    corrector: Corrector, clips: Sequence[FloatArray], truths: Sequence[Motion]
) -> dict[str, tuple[float, float]]:
    """Figures of clips of vectors [T, 694], as they are and corrected."""
    fixed = corrected(corrector, clips)
    found = [measured(some, truths) for some in (clips, fixed)]
    return {name: (found[0][name], found[1][name]) for name in found[0]}


def measured(clips: Sequence[FloatArray], truths: Sequence[Motion]) -> dict[str, float]:
    """Means over clips of vectors [T, 694]: agreement, `ndtwp` and `dtw_mje` of the body's hand keypoints in
    space, `ndtwp_pose` of the picture's; and the path length of all together over the truth's."""
    ours = [unpack_motion(clip, truth.fps) for clip, truth in zip(clips, truths, strict=True)]
    solid = [(points(a), points(b)) for a, b in zip(ours, truths, strict=True)]
    flat = [(plane(a), plane(b)) for a, b in zip(ours, truths, strict=True)]
    each = [
        agreement(motion).figures()
        | {"ndtwp": ndtwp(*space), "ndtwp_pose": ndtwp(*picture), "dtw_mje": dtw_mje(*space)}
        for motion, space, picture in zip(ours, solid, flat, strict=True)
    ]
    means = {name: float(np.mean([figures[name] for figures in each])) for name in each[0]}
    return means | {"path_length_ratio": path_length_ratio([a for a, _ in solid], [b for _, b in solid])}


def main(args: argparse.Namespace) -> int:
    """Compose, disturb, generate, correct, compare."""
    from engine.choreography.cogeneration import CORRECTOR
    from engine.choreography.cogeneration_model import CogenerationModel
    from trainer.corrector_clips import held_back, performed, utterances
    from trainer.data.sequences import SequenceStore

    if args.words < 1 or args.skip < 0:
        raise ValueError(
            f"eval corrector: got --words {args.words} --skip {args.skip}; expected at least 1 and 0"
        )
    torch.set_num_threads(max(1, args.threads))
    corrector, model = Corrector.open(args.model or CORRECTOR), CogenerationModel.open(args.generator)
    with tempfile.TemporaryDirectory() as folder:
        store = SequenceStore(held_back(Path(folder), args.language, args.words, args.skip))
        truths = [sequence.motion for sequence in store]
        made = performed(model, utterances(model, store))
    disturb = Disturbance(DisturbanceConfig(), torch.Generator().manual_seed(args.seed))
    spoiled = [disturb(torch.from_numpy(pack(truth))[None])[0].numpy() for truth in truths]
    clean = [pack(truth) for truth in truths]
    found = {}
    for name, clips in (("composed", clean), ("disturbed", spoiled), ("generated", made)):
        found[name] = before_and_after(corrector, clips, truths)
        print(f"{name:28s}{'before':>10s}{'after':>10s}{'after/before':>14s}")
        for figure, (before, after) in found[name].items():
            print(f"  {figure:26s}{before:10.4f}{after:10.4f}{after / max(before, 1e-9):14.3f}")
    print(json.dumps({"language": args.language, "words": len(truths), **found}))
    return 0
