"""One signer's buffers on the GPU (or on llvmpipe): what is uploaded, and the one draw call of a frame.

Enters: a mesh, joint matrices, morphed vertices. Leaves: RGBA rows, top row first. Does not know motion.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.signals import FloatArray
from engine.skeleton import JOINT
from renderer.avatar.assets import CLOTH, EYES, HAIR, MOUTH, SKIN, TOOTH, Bytes, Mesh
from renderer.avatar.config import AvatarConfig
from renderer.avatar.context import Device
from renderer.avatar.framing import EYE, projection
from renderer.avatar.hidden import visible_faces
from renderer.avatar.shading import SPHERES
from renderer.base import DeviceLost

SMALL_PX = 640
"""Up to this size of picture the mesh with fewer triangles is drawn: the full one's would be three pixels
large."""
GREEN = (0, 177, 64)
"""The chroma key of `background="green"`, sRGB."""
_FIXED = {
    EYES: (0.75, 0.72, 0.70),
    TOOTH: (0.86, 0.83, 0.77),
    MOUTH: (0.66, 0.36, 0.35),
}
_CASTERS = (("elbow", "wrist", 0.35, 0.040), ("elbow", "wrist", 0.75, 0.034), ("wrist", "middle1", 0.5,
0.042),
            ("middle1", "middle2", 0.6, 0.034), ("middle2", "middle3", 1.0, 0.026))  # fmt: skip
"""Shadow spheres of an arm: between two joints, how far along, radius in metres."""
_BACKDROP_GRID = 12
_NEVER_DRAWN = np.array([1, 2, 3, 0], np.uint8)
"""Colour without opacity: no background draws that."""
LOST = (
    "the OpenGL context was lost (the driver was reset, or the display it lived on is gone); "
    "close the renderer and open it again"
)


class Scene:
    """Buffers of one signer at one size. The device must be current on this thread, and outlive the scene."""

    def __init__(self, device: Device, mesh: Mesh, config: AvatarConfig) -> None:
        gl = device.gl
        self._gl, self._device, self._config = gl, device, config
        width, height = self.size = config.drawn_size
        moving = mesh.unit_moves.shape[1] // 6
        self._dynamic = gl.buffer(
            np.concatenate([mesh.points, mesh.normals], 1).astype("f4").tobytes(), dynamic=True
        )
        self._face_bytes = moving * 24
        self._static = gl.buffer(_static(mesh).tobytes())
        self._bones = gl.buffer(reserve=59 * 48, dynamic=True)
        seen = visible_faces(mesh, small=max(config.width, config.height) <= SMALL_PX)
        plain = (mesh.uv[seen] == mesh.uv[seen[:, :1]]).all((1, 2))
        self._vertices, self._indices = [], []
        for program, faces in ((device.body, seen[~plain]), (device.plain, seen[plain])):
            textured = program is device.body
            layout = [(self._dynamic, "3f 3f", "point", "normal"),
                      (self._static, "2f 4u1 4f1 4f1" if textured else "2x4 4u1 4f1 4f1",
                       *(["uv"] if textured else []), "joints", "weights", "surface")]  # fmt: skip
            index = gl.buffer(faces.astype("u4").tobytes())
            self._indices.append(index)
            self._vertices.append(gl.vertex_array(program, layout, index))
        rows, columns = mesh.texture.shape[:2]
        self._texture = gl.texture((columns, rows), 3, mesh.texture.tobytes())
        device.build_mipmaps(self._texture)
        self._texture.filter = (gl.LINEAR_MIPMAP_NEAREST, gl.LINEAR)
        self._colour, self._depth = gl.texture((width, height), 4), gl.depth_renderbuffer((width, height))
        self._target = gl.framebuffer([self._colour], self._depth)
        self._empty_colour = gl.texture((width, height), 4)
        self._empty_depth = gl.depth_renderbuffer((width, height))
        self._empty = gl.framebuffer([self._empty_colour], self._empty_depth)
        self._draw_empty()
        self._projection = projection(config.width, config.height).T.tobytes()
        self._colours = _linear_colours(mesh).tobytes()
        self._casters = _caster_joints()
        self._pixels = np.empty((height, width, 4), np.uint8)
        self._spheres = np.zeros((SPHERES, 4), np.float32)

    def _draw_empty(self) -> None:
        """The picture without a signer, once: copying it is ten times as fast as drawing it each frame."""
        self._empty.use()
        self._empty.clear(*self._clear_colour(), depth=1.0)
        if self._config.background == "plain":
            points = self._gl.buffer(_backdrop(self._config).tobytes())
            grid = self._gl.vertex_array(self._device.backdrop, [(points, "2f 3f", "corner", "tint")])
            self._gl.enable_only(self._gl.NOTHING)
            grid.render(self._gl.TRIANGLES)
            grid.release()
            points.release()

    def set_face(self, vertices: FloatArray) -> None:
        """vertices [M, 6]: position and normal of those that morph."""
        self._dynamic.write(vertices.tobytes())

    def set_bones(self, matrices: FloatArray, joints: FloatArray) -> None:
        """matrices [59, 3, 4], joints [59, 3]."""
        self._bones.write(matrices.tobytes())
        first, second, share, radius = self._casters
        self._spheres[:, :3] = joints[first] + (joints[second] - joints[first]) * share
        self._spheres[:, 3] = radius

    def draw(self) -> Bytes:
        """[h, w, 4] at the drawn size; the array is reused by the next call. Raises DeviceLost."""
        if self._device.lost:
            raise DeviceLost(LOST)
        gl = self._gl
        gl.copy_framebuffer(self._target, self._empty)
        self._target.use()
        gl.front_face = "cw"  # the projection turns pictures over
        gl.enable_only(gl.DEPTH_TEST | gl.CULL_FACE)
        self._bones.bind_to_uniform_block(0)
        self._texture.use(0)
        for program, vertices in zip((self._device.body, self._device.plain), self._vertices, strict=True):
            program["projection"].write(self._projection)
            program["colours"].write(self._colours)
            program["spheres"].write(self._spheres.tobytes())
            program["eye"] = tuple(EYE)
            vertices.render()
        self._pixels[0, 0] = _NEVER_DRAWN  # without a context GL calls do nothing, and report no error
        self._target.read_into(self._pixels, components=4)
        if (self._pixels[0, 0] == _NEVER_DRAWN).all():
            self._device.lost = True
            raise DeviceLost(LOST)
        return self._pixels

    def _clear_colour(self) -> tuple[float, ...]:
        if self._config.background == "green":
            return (*(c / 255 for c in GREEN), 1.0)
        return (0.0, 0.0, 0.0, 0.0)

    def release(self) -> None:
        if self._device.lost:
            return  # its things are gone with it, and their numbers may be those of a newer context's
        made: list[Any] = [
            *self._vertices,
            *self._indices,
            self._empty,
            self._empty_colour,
            self._empty_depth,
            self._target,
        ]
        made += [self._colour]
        made += [self._depth, self._texture, self._bones, self._static, self._dynamic]
        for thing in made:
            thing.release()


def _static(mesh: Mesh) -> np.ndarray[Any, Any]:
    kind = [("uv", "f4", 2), ("joints", "u1", 4), ("weights", "u1", 4), ("surface", "u1", 4)]
    out = np.zeros(len(mesh.points), dtype=kind)
    out["uv"], out["joints"], out["weights"] = mesh.uv, mesh.joints, mesh.weights
    out["surface"][:, 0], out["surface"][:, 1] = mesh.material, mesh.light
    out["surface"][:, 2] = _arm_of(mesh)
    return out


def _arm_of(mesh: Mesh) -> Bytes:
    """1 on the left arm, 2 on the right, 0 elsewhere."""
    sides = np.zeros(59, np.uint8)
    for number, side in enumerate(("left", "right"), 1):
        names = [n for n in JOINT if n.startswith(f"{side}_") and n.split("_")[1] not in
                 ("hip", "knee", "ankle", "foot", "eye", "collar", "shoulder")]  # fmt: skip
        sides[[JOINT[n] for n in names]] = number
    sides[55], sides[56] = 1, 2
    strongest = np.take_along_axis(mesh.joints, mesh.weights.argmax(1)[:, None], 1)[:, 0]
    return np.asarray(sides[strongest])


def _linear_colours(mesh: Mesh) -> FloatArray:
    out = np.ones((6, 3), np.float32)
    for material, colour in {
        SKIN: mesh.colours[0],
        CLOTH: mesh.colours[1],
        HAIR: mesh.colours[2],
        **_FIXED,
    }.items():
        out[material] = np.maximum(colour, 0.03)
    return np.asarray(out**2.2, dtype=np.float32)


def _caster_joints() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], FloatArray, FloatArray]:
    both = [
        (JOINT[f"{s}_{a}"], JOINT[f"{s}_{b}"], t, r) for s in ("left", "right") for a, b, t, r in _CASTERS
    ]
    first, second, share, radius = (np.array(x) for x in zip(*both, strict=True))
    return first, second, share[:, None].astype(np.float32), radius.astype(np.float32)


def _backdrop(config: AvatarConfig) -> FloatArray:
    """A soft light behind the signer: a grid of triangles [n, 5], clip-space corner and colour."""
    line = np.linspace(-1, 1, _BACKDROP_GRID + 1)
    x, y = np.meshgrid(line, line)
    away = np.hypot(x, (y + 0.2) * 0.9)
    fade = np.clip((away - 0.15) / 1.25, 0, 1)
    fade = fade * fade * (3 - 2 * fade)
    middle = np.array(config.colour) / 255
    tint = middle * (1 - fade[..., None] * (1 - np.array([0.76, 0.79, 0.82])))
    grid = np.concatenate([x[..., None], y[..., None], tint], -1)
    a, b, c, d = grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]
    triangles = np.stack([a, b, c, c, b, d], 2).reshape(-1, 5)
    return np.asarray(triangles, dtype=np.float32)
