"""The video renderer: `MotionFrame` in, `Picture` of a chosen signer out. A `renderer.base.Renderer`.

Enters: motion. Leaves: pictures. Does not know choreography, encoders or the network, nor who draws when it
cannot (`renderer.base.Policy`, `stream.rendering`). One thread an instance.
"""

from __future__ import annotations

import copy
import logging
from collections import deque
from typing import Any

import numpy as np
import torch

from engine.signals import MotionFrame
from renderer.base import Bytes, DeviceLost, Picture
from renderer.diffusion.backends import Core, build
from renderer.diffusion.config import VideoConfig
from renderer.diffusion.enlarging import Enlarger
from renderer.diffusion.maps import draw_maps
from renderer.diffusion.model import VideoModel
from renderer.diffusion.reference import (
    avatar_reference,
    picture_reference,
    reference_maps,
)
from renderer.diffusion.streaming import FrameStream, StreamState
from renderer.resting import resting_frame

log = logging.getLogger(__name__)
WARM_UP_FRAMES = 2
_PRECISIONS = {
    "auto": torch.float16,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
}
_FIELDS = ("pose", "hands", "smplx", "expression")


class VideoRenderer:
    """See the module. Reading a wrong model raises ValueError at once; `open` raises RuntimeError where the
    device is not there, or too small."""

    def __init__(self, config: VideoConfig) -> None:
        self.config = config
        self._model = VideoModel.open(config.model)
        self._style = self._model.style(config.style)
        self._given = picture_reference(config.reference, self._size) if config.reference else None
        self._stream: FrameStream | None = None
        self._state: StreamState | None = None
        self._enlarger = Enlarger(self._size, config.width)
        self._core: Core | None = None
        self._motions: deque[MotionFrame] = deque()
        self._drawn: Bytes | None = None
        self._finite = resting_frame()
        self.skipped = self.held = 0
        """Pictures that were the ones before, unchanged; motions that held no numbers, drawn as the last."""

    @property
    def _size(self) -> int:
        return self._model.config.size

    @property
    def _map_size(self) -> int:
        return self._model.config.map_size

    @property
    def device(self) -> str:
        """What draws, and how; empty while closed."""
        if self._stream is None or self._core is None:
            return ""
        return f"{self._stream.device}, {self._core.name}"

    def open(self) -> None:
        """Takes the device, looks at the reference once, compiles and warms up. Harmless when open."""
        if self._stream is not None:
            return
        device = _device(self.config.device)
        picture = avatar_reference(self.config.signer, self._size) if self._given is None else self._given
        try:
            self._stream = self._made(device, picture)
            self._state = self._stream.open()
            for _ in range(WARM_UP_FRAMES):
                self._stream.advance(reference_maps(self._map_size), self._state)
        except RuntimeError as error:  # torch.OutOfMemoryError is one
            self.close()
            raise RuntimeError(
                f"video renderer: {device} cannot hold or run the model ({_first_line(error)}); free its "
                "memory, choose a smaller model, or --renderer avatar"
            ) from error
        self._state = self._stream.open()

    def _made(self, device: torch.device, picture: Bytes) -> FrameStream:
        steps = self.config.steps or self._model.steps
        network, dtype = self._model.denoiser, torch.float32
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a tenth off a step
        if device.type == "cuda":
            dtype = _PRECISIONS[self.config.precision]
            exact = copy.deepcopy(network.level)  # noise levels are too finely spaced for half of the bits
            network = copy.deepcopy(network).to(device, dtype)
            network.level = exact.to(device)
        seen = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].to(device).float() / 127.5 - 1
        with torch.inference_mode():
            reference = network.open(seen.to(dtype), reference_maps(self._map_size).to(device, dtype))
        stream = FrameStream(
            network,
            self._model.kind,
            reference,
            self._style,
            steps,
            self.config.mode == "stream",
            self.config.seed,
        )
        self._core = build(network, self.config.backend, *stream.examples())
        stream.core = self._core.call
        log.info("video renderer: %s on %s, %d steps, %s", self.config.model, device, steps, self._core.name)
        return stream

    def render(self, motion: MotionFrame) -> Picture:
        """In stream mode the picture is of the motion `delay` calls before, shown at this one's time."""
        rgb, shown = self._draw(motion)
        size = self.config.width
        i420 = self._enlarger.i420(rgb)
        return Picture(shown.seq, motion.pts_ns, size, size, i420, None, shown.gloss)

    def rgba(self, motion: MotionFrame) -> Bytes:
        """[H, W, 4] uint8, opaque."""
        rgb = self._enlarger.rgb(self._draw(motion)[0])
        return np.concatenate([rgb, np.full((*rgb.shape[:2], 1), 255, np.uint8)], -1)

    def close(self) -> None:
        """Frees what `open` made; it may be opened again. Harmless when already closed."""
        self._stream = self._state = self._core = self._drawn = None
        self._motions.clear()
        if self.config.device != "cpu" and torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _draw(self, motion: MotionFrame) -> tuple[Bytes, MotionFrame]:
        if self._stream is None or self._state is None:
            raise RuntimeError("VideoRenderer: drawn before it was opened; call open() on its thread")
        usable = self._usable(motion)
        delay = self._stream.delay
        while len(self._motions) < delay:  # a stream begins full of its first frame
            self._motions.append(usable)
        self._motions.append(usable)
        still = len(self._motions) > delay + 1 and all(_alike(m, usable) for m in self._motions)
        shown = self._motions[-1 - delay]
        while len(self._motions) > delay + 1:
            self._motions.popleft()
        if still and self._drawn is not None:
            self.skipped += 1
            return self._drawn, shown
        try:
            out = self._stream.advance(draw_maps([usable], self._map_size, self._stream.device), self._state)
            drawn = out[0].float().cpu()
        except RuntimeError as error:
            raise _lost(error) from error
        if not torch.isfinite(drawn).all():  # it would be told this picture, and draw black for ever
            raise DeviceLost("video renderer: the network gave no numbers; it is opened anew")
        rgb = ((drawn + 1) * 127.5).round_().clamp_(0, 255).byte().permute(1, 2, 0).numpy()
        self._drawn = np.ascontiguousarray(rgb)
        return self._drawn, shown

    def _usable(self, motion: MotionFrame) -> MotionFrame:
        """The motion, or the last one of numbers in its place."""
        if all(np.isfinite(getattr(motion, name)).all() for name in _FIELDS):
            self._finite = motion
            return motion
        self.held += 1
        if self.held == 1:
            log.warning(
                "video renderer: motion %d holds NaN or infinity; the pose before is kept", motion.seq
            )
        last = self._finite
        return MotionFrame(
            motion.seq, motion.pts_ns, last.pose, last.hands, last.smplx, last.expression, motion.gloss
        )


def _device(wanted: str) -> torch.device:
    """Raises RuntimeError where it is not there, naming the remedy."""
    there = torch.cuda.is_available()
    if wanted.startswith("cuda"):
        text = wanted.partition(":")[2] or "0"
        number = int(text) if text.isdigit() else -1
        if not there or not 0 <= number < torch.cuda.device_count():
            raise RuntimeError(
                f"video renderer: no device {wanted} (PyTorch sees "
                f"{torch.cuda.device_count() if there else 0} CUDA devices); "
                "install a CUDA build of PyTorch and the driver, or use --renderer avatar"
            )
    return torch.device("cuda" if wanted == "auto" and there else "cpu" if wanted == "auto" else wanted)


def _alike(a: MotionFrame, b: MotionFrame) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in _FIELDS)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _lost(error: RuntimeError) -> RuntimeError:
    """Out of memory and errors of the driver are the device's; it is opened again later."""
    text: Any = str(error)
    if isinstance(error, torch.OutOfMemoryError) or "CUDA error" in text or "out of memory" in text:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return DeviceLost(f"video renderer: its device is lost or out of memory ({_first_line(error)})")
    return error
