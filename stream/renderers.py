"""Who draws: the avatar, or the video renderer with the avatar below it.

Enters: arguments, or settings. Leaves: factories of renderers. torch is imported for the video renderer only.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from engine.signals import MotionFrame
from renderer.avatar import SIGNERS, AvatarConfig, AvatarRenderer
from renderer.base import Bytes, Picture, Renderer
from renderer.diffusion import BACKENDS, MODES, STYLES, VideoConfig
from stream.config import RENDERERS, VideoSettings
from stream.shared_renderer import SharedRenderer

log = logging.getLogger(__name__)
Make = Callable[[AvatarConfig], Renderer]


@dataclass(frozen=True)
class Drawing:
    """first: makes whoever draws a look. below: makes whoever draws it while the first cannot; None where the
    first is the avatar. reason: why the video renderer does not draw, though a model was given."""

    first: Make
    below: Make | None = None
    reason: str = ""


def add_renderer_arguments(parser: argparse.ArgumentParser) -> None:
    default = VideoSettings()
    parser.add_argument("--renderer", default=default.renderer, choices=RENDERERS,
                        help="who draws; auto: the video renderer where a model and a GPU are there, "
                        "with the avatar below it; see docs/video-renderer.md")  # fmt: skip
    parser.add_argument("--renderer-model", type=Path, metavar="FOLDER",
                        help="made by `handstream train renderer` and `train distill`; "
                        "--renderer diffusion has a small one without")  # fmt: skip
    parser.add_argument("--style", default=default.style, metavar="STYLE",
                        help=f"of the video renderer: {', '.join(STYLES)}")  # fmt: skip
    parser.add_argument("--reference", type=Path, metavar="PICTURE",
                        help="the video renderer draws this person, who must have agreed to it")  # fmt: skip
    parser.add_argument("--renderer-steps", type=int, default=default.steps, metavar="N",
                        help="denoising steps; default: what the model was made for")  # fmt: skip
    parser.add_argument("--renderer-mode", default=default.mode, choices=MODES,
                        help="stream: all steps of several pictures in one batch, each later")  # fmt: skip
    parser.add_argument("--renderer-backend", default=default.backend, choices=BACKENDS)
    parser.add_argument(
        "--renderer-device", default=default.device, metavar="DEVICE", help="cpu, cuda, cuda:N"
    )


def settings_of(args: argparse.Namespace) -> VideoSettings:
    """Raises ValueError for settings that contradict each other."""
    return VideoSettings(
        renderer=args.renderer,
        model=args.renderer_model,
        style=args.style,
        reference=args.reference,
        steps=args.renderer_steps,
        mode=args.renderer_mode,
        backend=args.renderer_backend,
        device=args.renderer_device,
    )


def choose_drawing(settings: VideoSettings, live: bool) -> Drawing:
    """live: with a deadline for every picture, so that `auto` wants a GPU.

    Raises ValueError at once for a model that is missing, damaged, or of another version or kind, for a style
    it does not know, and for a reference without a person: nobody should find out when the signer is on air.
    """
    if settings.renderer == "avatar" or settings.model is None:
        return Drawing(_avatar)
    if not live:  # into a file: nothing is gained by pictures that come later, and the last would not come
        settings = replace(settings, mode="direct")
    look = AvatarConfig(next(iter(SIGNERS)))
    from renderer.diffusion.renderer import VideoRenderer

    VideoRenderer(_video(settings, look))
    if settings.renderer == "auto" and live and not _has_gpu():
        reason = (
            "there is no GPU, so the video renderer would be late; --renderer diffusion tries it all the same"
        )
        log.warning("the avatar draws: %s", reason)
        return Drawing(_avatar, reason=reason)

    if live and not _has_gpu():
        log.warning("there is no GPU: the avatar draws wherever the video renderer is late (GET /stats)")

    def first(look: AvatarConfig) -> Renderer:
        if look.background != "plain" or look.width != look.height:
            log.warning(
                "the avatar draws %s at %dx%d on %s: the video renderer draws squares on a plain background",
                look.signer, look.width, look.height, look.background,
            )  # fmt: skip
            return _avatar(look)
        return VideoRenderer(_video(settings, look))

    return Drawing(first, _avatar)


def file_renderer(drawing: Drawing, look: AvatarConfig) -> Renderer:
    """Whoever draws into a file."""
    below = drawing.below
    return Steadfast(drawing.first(look), lambda: below(look)) if below is not None else drawing.first(look)


def _avatar(look: AvatarConfig) -> Renderer:
    return SharedRenderer(look, lambda: AvatarRenderer(look))


def _video(settings: VideoSettings, look: AvatarConfig) -> VideoConfig:
    assert settings.model is not None
    return VideoConfig(
        settings.model, look.signer, settings.reference, look.width, look.height, settings.style,
        settings.steps, settings.mode, settings.backend, settings.device,
    )  # fmt: skip


def _has_gpu() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


class Steadfast:
    """A renderer with another below it, for files: no deadline, but if the first cannot open or draw, the
    one below draws from there on. A `renderer.base.Renderer`."""

    def __init__(self, first: Renderer, below: Callable[[], Renderer]) -> None:
        self._now, self._below = first, below
        self._fallen = False

    def open(self) -> None:
        try:
            self._now.open()
        except RuntimeError as error:
            self._fall(error)

    def render(self, motion: MotionFrame) -> Picture:
        try:
            return self._now.render(motion)
        except RuntimeError as error:
            self._fall(error)
            return self._now.render(motion)

    def rgba(self, motion: MotionFrame) -> Bytes:
        try:
            return self._now.rgba(motion)
        except RuntimeError as error:
            self._fall(error)
            return self._now.rgba(motion)

    def close(self) -> None:
        self._now.close()

    def _fall(self, error: RuntimeError) -> None:
        """Raises the error where the one below has failed too."""
        if self._fallen:
            raise error
        log.warning("the avatar draws from here on: %s", error)
        self._now.close()
        self._now, self._fallen = self._below(), True
        self._now.open()
