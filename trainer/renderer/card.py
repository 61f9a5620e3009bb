"""The card beside a trained video model: what it learned from, on what, how long, how well; its limits.

Enters: clips, figures, a folder with the training's log. Leaves: `README.md` in it. Does not know training.
"""

from __future__ import annotations

import csv
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from trainer.renderer.clips import PictureClip


def write_card(
    folder: Path,
    kind: str,
    steps: int,
    clips: Sequence[PictureClip],
    figures: Mapping[str, float],
    device: str,
) -> None:
    """Write `README.md`. An `OSError` is the caller's: the model itself is saved by then."""
    signers = sorted({clip.signer for clip in clips})
    shown = ", ".join(signers[:12]) + (f" and {len(signers) - 12} more" if len(signers) > 12 else "")
    hardware = torch.cuda.get_device_name() if device.startswith("cuda") else f"{platform.machine()} CPU"
    told = ", ".join(f"{name} {value:.4g}" for name, value in figures.items()) or "none"
    size, pictures = clips[0].size, sum(len(c.motion) for c in clips)
    text = f"""# A {kind} of the video renderer

- **Draws** {size} x {size} pixels in {steps} step{"s" if steps > 1 else ""}.
- **Learned from** {len(clips)} clips, {pictures} pictures, of {len(signers)} signers: {shown}.
  Pictures drawn by the avatar come from CC0 MakeHuman data and recordings under MIT; for pictures
  of people, the licence and the consent are those you have.
- **Hardware and time**: {hardware}, {_seconds(folder)} s.
- **At the end**: {told} (psnr: told the true picture before). As it is served:
  `handstream eval renderer --model {folder.name}`.
- **Limits**: it draws what it saw: one framing, one person, from the front. Whether its hands can
  be read: `python -m tests.legibility --renderer-model {folder.name}`. It is no interpreter, and what it
  draws did not happen.
- **Consent**: do not draw a person who has not agreed to it. Everything it makes is
  machine-generated and must say so.
"""
    (folder / "README.md").write_text(text, "utf-8")


def _seconds(folder: Path) -> str:
    """Of the last run, by its log."""
    try:
        with (folder / "log.csv").open(newline="") as file:
            return list(csv.DictReader(file))[-1]["seconds"]
    except (OSError, IndexError, KeyError):
        return "an unknown number of"
