"""A video model against true pictures, as it is served: frame by frame, told the pictures it drew itself.

Enters: models, held-out clips. Leaves: figures by name, and the pictures. Does not know command lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from engine.signals import Motion
from renderer.diffusion.maps import draw_maps, hand_places, hand_points_seen
from renderer.diffusion.model import VideoModel
from renderer.diffusion.streaming import FrameStream
from trainer.metrics.pictures import Pictures, fid, psnr, ssim
from trainer.renderer.clips import PictureClip
from trainer.renderer.measures import flicker, hand_psnr, identity_distances, read_hands, trend

HANDS_LOOKED = 240
"""Pictures at most in which MediaPipe looks for hands."""
FID_LEAST = 64
"""Fewer pictures than features: the distance of two clouds would be of their noise."""


@dataclass(frozen=True)
class Sampled:
    """A model at a number of steps."""

    name: str
    model: VideoModel
    steps: int

    def draw(self, clip: PictureClip, motion: Motion | None = None, stream: bool = False) -> Pictures:
        """The clip's signer doing its motion (or another), [T, S, S, 3]."""
        network, device = self.model.denoiser, next(self.model.denoiser.parameters()).device
        size = network.config.map_size
        picture = (
            torch.from_numpy(clip.reference.copy()).permute(2, 0, 1)[None].to(device).float() / 127.5 - 1
        )
        with torch.inference_mode():
            reference = network.open(picture, draw_maps(clip.reference_motion, size, device))
        drawing = FrameStream(network, self.model.kind, reference, 0, self.steps, stream)
        state = drawing.open()
        frames = list((motion or clip.motion).frames())
        made = np.empty((len(frames), clip.size, clip.size, 3), np.uint8)
        for number, frame in enumerate(frames):  # one by one: ten minutes of large ones fit in no GPU
            [picture] = drawing.advance(draw_maps([frame], size, device), state)
            rgb = ((picture.float() + 1) * 127.5).round().clamp(0, 255).byte()
            made[number] = rgb.permute(1, 2, 0).cpu().numpy()
        return made


def figures(
    sampled: Sampled,
    clips: Sequence[PictureClip],
    hands: bool,
    lpips: Callable[[Pictures, Pictures], float] | None = None,
) -> tuple[dict[str, float], list[Pictures]]:
    """SSIM, PSNR and the others over all clips, and what was drawn. hands: let MediaPipe look. lpips: a
    measure that has its weights."""
    made = [sampled.draw(clip) for clip in clips]
    ours, theirs = np.concatenate(made), np.concatenate([clip.pictures for clip in clips])
    places = np.concatenate([hand_places(clip.motion, clip.size) for clip in clips])
    told = {
        "pictures": float(len(ours)),
        "ssim": ssim(ours, theirs),
        "psnr": psnr(ours, theirs),
        "hand_psnr": hand_psnr(ours, theirs, places),
        "flicker": float(np.nanmean([flicker(m, c.pictures) for m, c in zip(made, clips, strict=True)])),
        "identity": identity(made, clips),
    }
    if lpips is not None:
        told["lpips"] = lpips(ours, theirs)
    if len(ours) >= FID_LEAST:
        told["fid"] = fid(ours, theirs)
    if hands:
        some = slice(0, None, -(-len(ours) // HANDS_LOOKED))
        where = np.concatenate([hand_points_seen(clip.motion, clip.size) / clip.size for clip in clips])
        reading = read_hands(ours[some], theirs[some], where[some])
        told |= {
            "hands_looked": float(reading.looked),
            "hands_found_true": float(reading.found_true),
            "hands_found": float(reading.found),
            "hand_error_palms": reading.error,
            "hand_error_of_the_true": reading.error_true,
            "hand_error_ratio": reading.ratio,
        }
    return told, made


def identity(made: Sequence[Pictures], clips: Sequence[PictureClip]) -> float:
    """Mean identity distance: 0 the reference, 1 another signer."""
    every = {clip.signer: clip.reference for clip in clips}
    distances = []
    for pictures, clip in zip(made, clips, strict=True):
        others = [picture for name, picture in every.items() if name != clip.signer]
        if others:
            distances.append(identity_distances(pictures, clip.reference[None], np.stack(others)).mean())
    return float(np.mean(distances)) if distances else float("nan")


def endurance(
    sampled: Sampled, clip: PictureClip, others: Sequence[PictureClip], frames: int
) -> dict[str, float]:
    """Does the signer become somebody else? The clip's motion, to and fro, for so many frames."""
    way = np.concatenate([np.arange(len(clip.motion)), np.arange(len(clip.motion))[-2:0:-1]])
    order = np.resize(way, frames)
    m = clip.motion
    long = Motion(m.fps, m.pose[order], m.hands[order], m.smplx[order], m.expression[order])
    made = sampled.draw(clip, long)
    apart = [c.reference for c in others if c.signer != clip.signer]
    if not apart:
        raise ValueError(
            f"endurance: all clips are of {clip.signer}; give clips of another signer to compare"
        )
    found = trend(identity_distances(made, clip.reference[None], np.stack(apart)), m.fps)
    return {
        "frames": float(frames),
        "identity_slope_a_minute": found.slope,
        "identity_slope_margin": found.margin,
        "drifts": float(found.drifts),
    }
