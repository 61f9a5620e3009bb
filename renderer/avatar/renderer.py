"""Draws a baked signer: `MotionFrame` in, `Picture` out, on software or hardware GL.

Enters: motion. Leaves: pictures. Does not know choreography, encoders or the network. One thread per
instance; instances on one thread share its GL context.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.signals import FloatArray, MotionFrame
from renderer.avatar import context
from renderer.avatar.assets import Mesh, load_mesh
from renderer.avatar.bones import Bones, drawn
from renderer.avatar.config import AvatarConfig
from renderer.avatar.scene import Scene
from renderer.avatar.shrink import Shrinker
from renderer.avatar.skinning import morphed
from renderer.base import Bytes, Picture


class AvatarRenderer:
    """A `renderer.base.Renderer`. `open` raises RuntimeError (naming the Debian packages) where GL is
    absent."""

    def __init__(self, config: AvatarConfig | None = None, mesh: Mesh | None = None) -> None:
        """mesh: drawn instead of the configured signer's (a licensed body, see
        `renderer.avatar.licensed`)."""
        self.config = config or AvatarConfig()
        self._mesh = mesh or load_mesh(self.config.signer)
        self._bones = Bones(self._mesh.fold, self._mesh.rest_joints)
        self._device: context.Device | None = None
        self._scene: Scene | None = None
        self._shrinker = Shrinker(self.config.width, self.config.height)
        self._face: FloatArray | None = None
        self._last: tuple[FloatArray, FloatArray] = (
            np.zeros((55, 3), np.float32),
            np.zeros(52, np.float32),
        )

    def open(self) -> None:
        """Makes or joins this thread's GL context. Harmless when already open."""
        if self._scene is not None:
            return
        device = context.acquire()
        try:
            self._scene = Scene(device, self._mesh, self.config)
        except BaseException:
            context.release(device)
            raise
        self._device, self._face = device, None

    def close(self) -> None:
        """Frees what `open` made; it may be opened again. Harmless when already closed."""
        if self._scene is not None and self._device is not None:
            self._scene.release()
            context.release(self._device)
        self._scene = self._device = None

    @property
    def device(self) -> str:
        """What draws, such as `llvmpipe (LLVM 15.0.6, 256 bits)`; empty while closed."""
        return self._device.name if self._device is not None else ""

    def render(self, motion: MotionFrame) -> Picture:
        """Raises RuntimeError when not open."""
        i420, alpha = self._shrinker.i420(self._draw(motion), self.config.background == "transparent")
        return Picture(
            motion.seq, motion.pts_ns, self.config.width, self.config.height, i420, alpha, motion.gloss
        )

    def rgba(self, motion: MotionFrame) -> Bytes:
        """[H, W, 4] uint8, straight alpha. Raises RuntimeError when not open."""
        return self._shrinker.rgba(self._draw(motion))

    def _finite(self, motion: MotionFrame) -> tuple[FloatArray, FloatArray]:
        """Pose and face of the motion; where it holds no numbers, those of the last that did."""
        if np.isfinite(motion.smplx).all() and np.isfinite(motion.expression).all():
            self._last = (motion.smplx, motion.expression)
        return self._last

    def _draw(self, motion: MotionFrame) -> Any:
        if self._scene is None:
            raise RuntimeError(
                "AvatarRenderer: drawn before it was opened; call open() on the rendering thread"
            )
        pose, units = drawn(*self._finite(motion), self._mesh.rest)
        if self._face is None or not np.array_equal(units, self._face):
            self._scene.set_face(morphed(self._mesh, units))
            self._face = units
        matrices, joints = self._bones.matrices(pose)
        self._scene.set_bones(matrices, joints)
        return self._scene.draw()
