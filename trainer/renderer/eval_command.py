"""`handstream eval renderer`: a video model on motion and signers held out, at several steps.

Enters: arguments. Leaves: a table, one JSON line last; with --out a contact sheet and a video side by side.
Does not know the measures.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.metrics.pictures import Pictures
    from trainer.renderer.clips import PictureClip
    from trainer.renderer.evaluation import Sampled

SHOWN = 8
"""Columns of the contact sheet."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="a student, or a teacher")
    parser.add_argument("--teacher", type=Path, metavar="FOLDER", help="what the student was distilled from")
    parser.add_argument("--steps", type=int, action="append", metavar="N", help="of the student (1, 2 and 4)")
    parser.add_argument("--data", type=Path, action="append", default=[], metavar="FOLDER",
                        help="pictures to draw; default: the avatar's, held out of its training")  # fmt: skip
    parser.add_argument("--language", action="append", default=[], metavar="CODE",
                        help="as in training, so that what was held out is")  # fmt: skip
    parser.add_argument("--signers", type=int, help="as in training (default: what the model says of it)")
    parser.add_argument("--clips", type=int, default=12, help="of each kind (default 12)")
    parser.add_argument("--frames", type=int, default=12, help="of a clip (default 12)")
    parser.add_argument("--endurance", type=float, default=0.0, metavar="SECONDS",
                        help="one stream so long: does the signer stay who it is?")  # fmt: skip
    parser.add_argument("--lpips", type=Path, metavar="FILE",
                        help="torchvision's AlexNet weights, alexnet-owt-7be5be79.pth")  # fmt: skip
    parser.add_argument("--no-hands", action="store_true", help="do not let MediaPipe look for hands")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write sheet.png, side_by_side.mp4 here")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--threads", type=int, default=0, help="cores to use on the CPU; 0: all")


def main(args: argparse.Namespace) -> int:
    """Measure, and print."""
    import torch

    from trainer.renderer.evaluation import endurance, figures

    if args.threads:
        torch.set_num_threads(args.threads)
    lpips = None
    if args.lpips is not None:
        from trainer.metrics.lpips import Lpips

        lpips = Lpips(args.lpips)
    every = _models(args)
    args.signers = args.signers or _signers_of(args.model)
    sets = _clips(args, every[0].model.config.size)
    told: dict[str, dict[str, dict[str, float]]] = {}
    drawn: dict[str, list[Pictures]] = {}
    first = next(iter(sets))
    for kind, clips in sets.items():
        for sampled in every:
            numbers, made = figures(sampled, clips, not args.no_hands, lpips)
            told.setdefault(kind, {})[sampled.name] = numbers
            if kind == first:
                drawn[sampled.name] = made
            shown = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            print(f"{kind:11s} {sampled.name:12s} {shown}", flush=True)
    result: dict[str, object] = {
        "figures": told,
        "fid_features": _fid_features(),
        "lpips_features": "AlexNet, given" if lpips else "not measured: no weights were given",
    }
    if args.endurance:
        clip = sets[first][0]
        result["endurance"] = endurance(every[-1], clip, sets[first], round(args.endurance * clip.motion.fps))
        print(f"endurance   {every[-1].name:12s} {result['endurance']}")
    if args.out is not None:
        write_pictures(args.out, sets[first], drawn)
    print(json.dumps(_finite(result)))
    return 0


def _signers_of(model: Path) -> int:
    """Of how many it learned, so that what is called new is."""
    from engine.checkpoint import open_checkpoint

    _, config = open_checkpoint(model)
    return int(config.get("training", {}).get("signers", 24))


def _models(args: argparse.Namespace) -> list[Sampled]:
    """Everything that is measured. Raises ValueError for models of different sizes."""
    from renderer.diffusion.model import VideoModel
    from trainer.renderer.evaluation import Sampled

    every = []
    if args.teacher is not None:
        teacher = VideoModel.open(args.teacher)
        every.append(Sampled(f"teacher {teacher.steps}", teacher, teacher.steps))
    model = VideoModel.open(args.model, every[0].model.config.size if every else 0)
    steps: Sequence[int] = args.steps or ((4, 2, 1) if model.kind == "student" else (model.steps,))
    every += [Sampled(f"{model.kind} {n}", model, n) for n in steps]
    for sampled in every:
        sampled.model.denoiser.to(args.device)
    return every


def _clips(args: argparse.Namespace, size: int) -> dict[str, list[PictureClip]]:
    from trainer.renderer.clips import alphabet_motions, open_clips
    from trainer.renderer.material import served, signers_of, split

    if args.data:
        return {"given": [clip for folder in args.data for clip in open_clips(folder, size)]}
    seen, unseen = signers_of(args.signers)
    _, held = split(alphabet_motions(args.language))
    return {
        "new motion": served(held, args.clips, args.frames, size, seen),
        "new signers": served(held, args.clips, args.frames, size, unseen),
    }


def _fid_features() -> str:
    from trainer.metrics.pictures import RANDOM

    return RANDOM


def _finite(value: object) -> object:
    """JSON has no NaN and no infinity."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_pictures(folder: Path, clips: Sequence[PictureClip], drawn: dict[str, list[Pictures]]) -> None:
    """`sheet.png`: a row of true pictures and one for each model; `side_by_side.mp4`: the same, moving."""
    import av
    import numpy as np
    from PIL import Image

    from renderer.avatar.sheet import contact_sheet

    folder.mkdir(parents=True, exist_ok=True)
    rows = {"true": [clip.pictures for clip in clips], **drawn}
    enlarge = max(1, -(-160 // clips[0].size))  # wide enough for the words below
    cells = []
    for name, row in rows.items():
        for clip, pictures in list(zip(clips, row, strict=True))[:SHOWN]:
            picture = pictures[len(pictures) // 2]
            large = np.kron(picture, np.ones((enlarge, enlarge, 1), np.uint8))
            opaque = np.full((*large.shape[:2], 1), 255, np.uint8)
            cells.append((f"{name}: {clip.signer}", np.concatenate([large, opaque], -1)))
    contact_sheet(cells, min(SHOWN, len(clips))).save(folder / "sheet.png")
    with av.open(str(folder / "side_by_side.mp4"), "w") as container:
        container.metadata["comment"] = "Machine-generated signing (Handstream): " + ", ".join(rows)
        stream = container.add_stream("libx264", rate=round(clips[0].motion.fps))
        side = clips[0].size * enlarge
        stream.width, stream.height, stream.pix_fmt = side * len(rows), side, "yuv420p"
        for number in range(len(clips)):
            for t in range(len(clips[number].pictures)):
                frame = np.concatenate([row[number][t] for row in rows.values()], 1)
                image = Image.fromarray(frame).resize((side * len(rows), side))
                frame = np.asarray(image, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
