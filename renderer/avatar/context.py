"""One GL context per thread, shared by the renderers opened there, and closed with the last of them.

Enters: nothing. Leaves: a `Device` with the compiled programs. Does not know meshes.
A context that a driver took away is marked lost: whoever opens next gets a new one, and those who still hold
the old one are told at their next picture.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from typing import Any

from renderer.avatar.shading import (
    BACKDROP_FRAGMENT,
    BACKDROP_VERTEX,
    FRAGMENT,
    PLAIN_FRAGMENT,
    vertex_source,
)

NO_GL = (
    "avatar: no OpenGL context could be created without a display ({reason}). On Debian or Ubuntu install "
    "the software renderer and try again: `apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri libgl1`; "
    "`handstream doctor` shows what is missing"
)
_local = threading.local()
_TEXTURE_2D = 0x0DE1


class Device:
    """A context and the programs every signer shares. `acquire` and `release` count its users.

    lost: set by whoever finds that drawing has no effect any more.
    """

    def __init__(self) -> None:
        # llvmpipe reads this once, when its first context is made. Measured on two shared cores
        # (benchmarks/frame_budget.py, 512x512, wall p50 and p99 of a frame): in the calling thread 8.4 and
        # 13.7 ms, with one worker 11.9 and 28.4, with two 8.7 and 14.0. Workers are no faster, and the
        # encoder and other signers need the cores.
        os.environ.setdefault("LP_NUM_THREADS", "0")
        try:
            import moderngl

            create: Any = moderngl.create_context
            self.gl = create(standalone=True, backend="egl", require=330)
        except Exception as error:  # moderngl raises bare Exception when a library or a driver is absent
            raise RuntimeError(NO_GL.format(reason=error)) from error
        self.users = 0
        self.lost = False
        self.body: Any = self.gl.program(vertex_shader=vertex_source(), fragment_shader=FRAGMENT)
        self.plain: Any = self.gl.program(
            vertex_shader=vertex_source(textured=False), fragment_shader=PLAIN_FRAGMENT
        )
        self.body["Bones"].binding = self.plain["Bones"].binding = 0
        self.backdrop = self.gl.program(vertex_shader=BACKDROP_VERTEX, fragment_shader=BACKDROP_FRAGMENT)

    def build_mipmaps(self, texture: Any) -> None:
        """As `texture.build_mipmaps()`, but other threads go on meanwhile.

        A new context compiles shaders for it: 75 to 150 ms, and moderngl holds the interpreter lock in every
        call. While a signer is drawn by a spare and its renderer rebuilt, that would be four pictures late.
        """
        texture.use(0)
        try:
            address = ctypes.CDLL("libEGL.so.1").eglGetProcAddress
            address.restype = ctypes.c_void_p
            found = address(b"glGenerateMipmap")
        except (OSError, AttributeError):
            found = None
        if found:
            ctypes.CFUNCTYPE(None, ctypes.c_uint)(found)(_TEXTURE_2D)
        else:
            texture.build_mipmaps()

    @property
    def name(self) -> str:
        """What draws, such as `llvmpipe (LLVM 15.0.6, 256 bits)`."""
        return str(self.gl.info["GL_RENDERER"])


def acquire() -> Device:
    """This thread's device, made on first use and after a loss. Raises RuntimeError naming the packages when
    there is no GL."""
    device: Device | None = getattr(_local, "device", None)
    if device is None or device.lost:
        device = _local.device = Device()
    device.users += 1
    return device


def release(device: Device) -> None:
    """Gives the device back; the last user closes it."""
    device.users -= 1
    if device.users == 0:
        if not device.lost:  # what was in a lost context is gone, and its numbers may mean another's things
            device.body.release()
            device.plain.release()
            device.backdrop.release()
        device.gl.release()
        if getattr(_local, "device", None) is device:
            _local.device = None
            _let_go()


def _let_go() -> None:
    """End this thread's hold on EGL. A context that is current somewhere is destroyed only when that ends,
    and the end of a thread does not count: 16 MB stayed behind for each drawing thread.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libEGL.so.1").eglReleaseThread()
