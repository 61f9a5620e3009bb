# mypy: disable-error-code="no-any-return, type-arg"
"""Triangle-mesh tools of the bake: normals, edges, smoothing, subdivision, clipping.

Subdividing and clipping give back a sparse matrix from old to new vertices, so that whatever
was known of the old ones (positions of every signer, weights) carries over linearly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from renderer.avatar.bake.makehuman import Array, Indices


def smoothstep(low: float, high: float, x: Any) -> Any:
    """0 below `low`, 1 above `high`, smooth between; x is a number or an array."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def normals(points: Array, faces: Indices) -> Array:
    """Area-weighted unit vertex normals [V, 3]; zero where no face touches a vertex."""
    a, b, c = (points[faces[:, i]] for i in range(3))
    face = np.cross(b - a, c - a)
    corner = faces.T.ravel()
    out = np.stack([np.bincount(corner, np.tile(face[:, i], 3), len(points)) for i in range(3)], 1)
    length = np.linalg.norm(out, axis=1, keepdims=True)
    return out / np.where(length < 1e-14, 1, length)


def edges(faces: Indices) -> Indices:
    """Every edge once, [E, 2], lower vertex first."""
    both = np.vstack([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(both, 1), axis=0)


def boundary(faces: Indices) -> Indices:
    """Vertices on an edge that only one face has."""
    both = np.sort(np.vstack([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
    unique, count = np.unique(both, axis=0, return_counts=True)
    return np.unique(unique[count == 1])


def neighbour_mean(faces: Indices, count: int) -> sparse.csr_matrix:
    """[V, V]: the mean over neighbours; rows of lone vertices are the identity."""
    e = edges(faces)
    ij = np.vstack([e, e[:, ::-1]])
    adjacency = sparse.csr_matrix((np.ones(len(ij)), (ij[:, 0], ij[:, 1])), shape=(count, count))
    degree = np.asarray(adjacency.sum(1)).ravel()
    lone = sparse.diags((degree == 0).astype(float))
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(degree, 1)) @ adjacency + lone)


def smooth(points: Array, faces: Indices, rounds: int, strength: Array | float = 0.5) -> Array:
    """Moves vertices towards the mean of their neighbours, `rounds` times."""
    mean = neighbour_mean(faces, len(points))
    by = np.asarray(strength)[..., None] if np.ndim(strength) else strength
    for _ in range(rounds):
        points = points + by * (mean @ points - points)
    return points


def subdivide(faces: Indices, count: int) -> tuple[Indices, sparse.csr_matrix]:
    """Every triangle into four. Returns new faces and [V', V] old to new vertices."""
    sides = np.sort(np.vstack([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
    unique, back = np.unique(sides, axis=0, return_inverse=True)
    n = len(faces)
    ab, bc, ca = (back.ravel()[i * n : (i + 1) * n] + count for i in range(3))
    a, b, c = faces.T
    new = np.vstack([np.c_[a, ab, ca], np.c_[b, bc, ab], np.c_[c, ca, bc], np.c_[ab, bc, ca]])
    rows = np.repeat(np.arange(len(unique)), 2)
    middle = sparse.csr_matrix((np.full(len(rows), 0.5), (rows, unique.ravel())), shape=(len(unique), count))
    return new, sparse.vstack([sparse.identity(count), middle], format="csr")


def clip(faces: Indices, distance: Array) -> tuple[Indices, sparse.csr_matrix]:
    """Keeps what has distance >= 0, cutting triangles on the zero line. Returns as `subdivide` does."""
    inside = distance >= 0
    count = inside[faces].sum(1)
    cuts: dict[tuple[int, int], int] = {}
    entries: list[tuple[int, int, float]] = []

    def cut(i: int, j: int) -> int:
        key = (min(i, j), max(i, j))
        if key not in cuts:
            row = len(distance) + len(cuts)
            cuts[key] = row
            t = distance[key[0]] / (distance[key[0]] - distance[key[1]])
            entries.extend([(row, key[0], 1 - t), (row, key[1], t)])
        return cuts[key]

    extra: list[tuple[int, int, int]] = []
    for triangle in faces[(count == 1) | (count == 2)].tolist():
        polygon: list[int] = []
        for i, j in zip(triangle, triangle[1:] + triangle[:1], strict=True):
            if inside[i]:
                polygon.append(i)
            if inside[i] != inside[j]:
                polygon.append(cut(i, j))
        extra += [(polygon[0], polygon[k], polygon[k + 1]) for k in range(1, len(polygon) - 1)]
    kept = np.vstack([faces[count == 3], np.array(extra, np.int64).reshape(-1, 3)])
    total = len(distance) + len(cuts)
    diagonal = np.arange(len(distance))
    rows, columns, values = (
        (np.array(x) for x in zip(*entries, strict=True)) if entries else (diagonal[:0],) * 3
    )
    full = sparse.csr_matrix(
        (
            np.r_[np.ones(len(distance)), values],
            (np.r_[diagonal, rows].astype(int), np.r_[diagonal, columns].astype(int)),
        ),
        shape=(total, len(distance)),
    )
    return compact(kept, full)


def compact(faces: Indices, rows: sparse.csr_matrix) -> tuple[Indices, sparse.csr_matrix]:
    """Drops the vertices no face uses."""
    used = np.unique(faces)
    where = np.full(rows.shape[0], -1)
    where[used] = np.arange(len(used))
    return where[faces], rows[used]
