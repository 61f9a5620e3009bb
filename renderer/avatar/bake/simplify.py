# mypy: disable-error-code="no-any-return, type-arg"
"""Fewer triangles by half-edge collapse with quadric error (Garland and Heckbert 1997): survivors do not
move.

Enters: a mesh and how much each vertex matters. Leaves: faces and texture corners over the same vertices,
so that
weights, morphs and every signer's positions stay valid. Texture seams and open borders are kept as they are.
"""

from __future__ import annotations

import heapq

import numpy as np

from renderer.avatar.bake.geometry import boundary
from renderer.avatar.bake.makehuman import Array, Indices

_LENGTH_WEIGHT = 2e-3
"""A little of the squared edge length in the cost, so that flat regions thin out evenly."""
_MIN_COSINE = 0.35
"""A collapse may not turn a face by more than about 70 degrees."""


def simplify(
    points: Array, faces: Indices, corners: Indices, importance: Array, target_faces: int
) -> tuple[Indices, Indices]:
    """points [V, 3], faces and corners [F, 3], importance [V] (1 usual, more = keep). Returns faces,
    corners."""
    mesh = _Mesh(points, faces, corners, importance)
    heap = [(mesh.cost(v, u), v, u) for v in range(len(points)) for u in mesh.around(v) if mesh.free[v]]
    heapq.heapify(heap)
    while heap and mesh.count > target_faces:
        cost, v, u = heapq.heappop(heap)
        if not mesh.free[v] or not mesh.faces_of[v] or u not in mesh.around(v):
            continue
        now = mesh.cost(v, u)
        if now > cost * (1 + 1e-9):
            heapq.heappush(heap, (now, v, u))
        elif mesh.collapse(v, u):
            for w in sorted(mesh.around(u)):
                if mesh.free[u]:
                    heapq.heappush(heap, (mesh.cost(u, w), u, w))
                if mesh.free[w]:
                    heapq.heappush(heap, (mesh.cost(w, u), w, u))
    alive = [f for f in range(len(mesh.faces)) if mesh.alive[f]]
    return np.array([mesh.faces[f] for f in alive]), np.array([mesh.corners[f] for f in alive])


class _Mesh:
    def __init__(self, points: Array, faces: Indices, corners: Indices, importance: Array) -> None:
        self.points = points
        self.faces: list[list[int]] = faces.tolist()
        self.corners: list[list[int]] = corners.tolist()
        self.alive = [True] * len(faces)
        self.count = len(faces)
        self.importance = importance
        self.faces_of: list[set[int]] = [set() for _ in points]
        seen: list[set[int]] = [set() for _ in points]
        for f, (triangle, texture) in enumerate(zip(self.faces, self.corners, strict=True)):
            for v, t in zip(triangle, texture, strict=True):
                self.faces_of[v].add(f)
                seen[v].add(t)
        self.free = [len(t) == 1 for t in seen]
        for v in boundary(faces).tolist():
            self.free[v] = False
        self.quadric = self._quadrics(faces)

    def _quadrics(self, faces: Indices) -> Array:
        a, b, c = (self.points[faces[:, i]] for i in range(3))
        normal = np.cross(b - a, c - a)
        area = np.linalg.norm(normal, axis=1, keepdims=True)
        normal = normal / np.maximum(area, 1e-14)
        plane = np.c_[normal, -(normal * a).sum(1)]
        each = plane[:, :, None] * plane[:, None, :] * area[:, :, None]
        out = np.zeros((len(self.points), 4, 4))
        for i in range(3):
            np.add.at(out, faces[:, i], each)
        return out

    def around(self, v: int) -> set[int]:
        return {w for f in self.faces_of[v] for w in self.faces[f]} - {v}

    def cost(self, v: int, u: int) -> float:
        x, y, z = self.points[u]
        q = self.quadric[v]
        error = (
            q[0, 0] * x * x + q[1, 1] * y * y + q[2, 2] * z * z + q[3, 3]
            + 2 * (q[0, 1] * x * y + q[0, 2] * x * z + q[1, 2] * y * z + q[0, 3] * x + q[1, 3] * y
                + q[2, 3] * z)
        )  # fmt: skip
        step = self.points[u] - self.points[v]
        length = float(step @ step)
        return float(max(error, 0.0) + _LENGTH_WEIGHT * length * length) * float(self.importance[v])

    def collapse(self, v: int, u: int) -> bool:
        shared = self.faces_of[v] & self.faces_of[u]
        if len(shared) != 2 or len(self.around(v) & self.around(u)) != 2:
            return False
        textures = {self.corners[f][self.faces[f].index(u)] for f in shared}
        if len(textures) != 1:
            return False
        moved = self.faces_of[v] - shared
        if any(self._turns(f, v, u) for f in moved):
            return False
        texture = textures.pop()
        for f in shared:
            self.alive[f] = False
            for w in self.faces[f]:
                self.faces_of[w].discard(f)
        for f in moved:
            place = self.faces[f].index(v)
            self.faces[f][place], self.corners[f][place] = u, texture
            self.faces_of[u].add(f)
        self.faces_of[v] = set()
        self.quadric[u] += self.quadric[v]
        self.importance[u] = max(self.importance[u], self.importance[v])
        self.count -= 2
        return True

    def _turns(self, f: int, v: int, u: int) -> bool:
        before = self.points[self.faces[f]]
        after = self.points[[u if w == v else w for w in self.faces[f]]]
        old = np.cross(before[1] - before[0], before[2] - before[0])
        new = np.cross(after[1] - after[0], after[2] - after[0])
        return bool(old @ new < _MIN_COSINE * np.linalg.norm(old) * np.linalg.norm(new) + 1e-18)
