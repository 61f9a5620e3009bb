"""Which triangles are ever seen: scalp under hair, gums, linings and the backs of everything are not.

Enters: a baked mesh. Leaves: a mask over its triangles. Every triangle is drawn in its own number, in poses
that turn head, trunk and face further than signing does; what no picture shows is left out of the drawing.
Arms and hands bend any way and keep all of theirs. Software GL, so that the same input gives the same mask.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.signals import FloatArray
from engine.skeleton import JOINT
from renderer.avatar.assets import Mesh
from renderer.avatar.bones import Bones, drawn
from renderer.avatar.framing import projection
from renderer.avatar.hidden import turning
from renderer.avatar.skinning import skinned

POSES = 400
_SIZE = 1024
_VERTEX = """#version 330
uniform mat4 projection; in vec3 point;
void main() { gl_Position = projection * vec4(point, 1.0); }
"""
_FRAGMENT = """#version 330
out uint number;
void main() { number = uint(gl_PrimitiveID) + 1u; }
"""
_ODD_JOINT_RAD = 0.08
_TRUNK_RAD = 0.15
"""Each way about each axis, for each of three joints."""
_HEAD_RAD = np.array([0.65, 0.9, 0.5])
"""Nodding, turning and tilting, neck and head together."""


def poses(count: int = POSES) -> Iterator[tuple[FloatArray, FloatArray]]:
    """SMPL-X poses [55, 3] and face units [52], arms hanging anywhere so that the trunk lies open."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        pose = rng.normal(0, _ODD_JOINT_RAD, (55, 3)).astype(np.float32)
        for name in ("spine1", "spine2", "spine3"):
            pose[JOINT[name]] = rng.uniform(-_TRUNK_RAD, _TRUNK_RAD, 3)
        pose[[JOINT["neck"], JOINT["head"]]] = rng.uniform(-_HEAD_RAD, _HEAD_RAD) / 2
        pose[[JOINT["left_eye"], JOINT["right_eye"]]] = rng.uniform(-0.6, 0.6, 3)
        for side, sign in (("left", 1), ("right", -1)):
            pose[JOINT[f"{side}_shoulder"]] = (
                rng.uniform(-0.8, 0.8), sign * rng.uniform(-1.2, 0.8), sign * rng.uniform(-1.3, 0.3)
            )  # fmt: skip
            pose[JOINT[f"{side}_elbow"]] = (0, -sign * rng.uniform(0, 2.2), 0)
        units = np.zeros(52, np.float32)
        some = rng.integers(0, 52, rng.integers(0, 9))
        units[some] = rng.uniform(0.3, 1, len(some))
        yield pose, units


def visible(mesh: Mesh, count: int = POSES) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Masks over `mesh.faces` and `mesh.small_faces`: triangles seen in any of `count` poses, their
    neighbours, and all of arms and hands. Raises RuntimeError where GL is absent."""
    import moderngl

    os.environ.setdefault("LIBGL_ALWAYS_SOFTWARE", "1")
    create: Any = moderngl.create_context
    gl: Any = create(standalone=True, backend="egl", require=330)
    try:
        program = gl.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        program["projection"].write(projection(_SIZE, _SIZE).T.tobytes())
        numbers = gl.texture((_SIZE, _SIZE), 1, dtype="u4")
        target = gl.framebuffer([numbers], gl.depth_renderbuffer((_SIZE, _SIZE)))
        points = gl.buffer(reserve=len(mesh.points) * 12)
        gl.enable_only(gl.DEPTH_TEST | gl.CULL_FACE)
        gl.front_face = "cw"  # the projection turns pictures over
        lists = [mesh.faces, mesh.small_faces]
        arrays = [
            gl.vertex_array(program, [(points, "3f", "point")], gl.buffer(f.astype("u4").tobytes()))
            for f in lists
        ]
        seen = [np.zeros(len(f) + 1, np.bool_) for f in lists]
        bones = Bones(mesh.fold, mesh.rest_joints)
        for pose, units in poses(count):
            still, lifted = drawn(pose, units, mesh.rest)
            points.write(skinned(mesh, lifted, bones.matrices(still)[0]).tobytes())
            for array, mask in zip(arrays, seen, strict=True):
                target.use()
                target.clear()
                array.render()
                mask[np.frombuffer(target.read(components=1, dtype="u4"), np.uint32)] = True
    finally:
        gl.release()
    full, small = (_generous(mesh, f, mask[1:]) for f, mask in zip(lists, seen, strict=True))
    return full, small


def _generous(
    mesh: Mesh, faces: npt.NDArray[np.uint32], seen: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """With the neighbours of what was seen, for the poses between those tried, and all of arms and hands."""
    place = np.unique(mesh.points.round(5), axis=0, return_inverse=True)[1].ravel()  # seams are two vertices
    near = np.zeros(len(place), np.bool_)
    near[place[faces[seen]].ravel()] = True
    kept: npt.NDArray[np.bool_] = near[place[faces]].any(1) | ~turning(mesh)[faces].all(1)
    return kept
