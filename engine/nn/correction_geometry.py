"""What each modality says in the terms of another: forward kinematics in torch, with gradients.

Enters: motion vectors (see `engine.features`). Leaves: points, and where the modalities disagree.
Does not know networks or time.

The same arithmetic as `engine.body.Body` (a test holds them together), arranged for few kernel calls: the
body's 55 joints and the MANO hands' 32 are one forest of 87 nodes; rotations are multiplied up to the root
in four rounds, each node taking over what its ancestor 1, 2, 4, 8 levels up has gathered; all points then
follow from the turned bones by one matrix. Distances are shoulder widths; x to the right of the picture, y
down, z to the camera.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from engine.body import WRIST_SHIFT, Body, load_body
from engine.features import SLICES
from engine.nn.correction_arms import DAMPING, STEPS, arm_steps
from engine.signals import FloatArray
from engine.skeleton import COCO18, HAND, HAND21, JOINT, PARENTS, SIDES, WRIST

KEYPOINTS = slice(0, 60)
"""Points that follow from the body's pose, in the order of `MotionFrame.pose`; from the middle of the
shoulders."""
FINGERS = slice(60, 100)
"""Points that follow from the MANO hands: 2 x 20, left first, from the wrist as a detector would see it."""
DISAGREEMENTS = 120 + 192 + 80 + STEPS
_JOINTS, _POINTS, _NODES = 55, 21, 87
_ROUNDS = 4


def _forest() -> list[int]:
    """Parents of the 87 nodes, -1 for roots: SMPL-X joints, then each MANO hand (wrist, 15 joints)."""
    parents = list(PARENTS)
    for side in SIDES:
        wrist = len(parents)
        parents.append(-1)
        for joint in range(HAND[side].start, HAND[side].stop):
            above = PARENTS[joint]
            parents.append(wrist if above == WRIST[side] else wrist + 1 + above - HAND[side].start)
    return parents


def _bones(body: Body) -> tuple[list[int], list[FloatArray], FloatArray]:
    """Each bone's turning node and rest vector, and the points [100] as sums of bones, in shoulder widths."""
    places = np.concatenate([body.rest_joints, body.rest_points])
    above = [*PARENTS, *(int(j) for j in body.point_joint)]
    owners, vectors = [], []
    for joint in range(_JOINTS + _POINTS):
        owners.append(max(above[joint], 0))
        vectors.append(places[joint] - places[above[joint]] if above[joint] >= 0 else places[joint] * 0)
    reach = np.zeros((_JOINTS + _POINTS, _JOINTS + _POINTS))  # joint = sum of the bones from the pelvis
    for joint in range(_JOINTS + _POINTS):
        if above[joint] >= 0:
            reach[joint] = reach[above[joint]]
        reach[joint, joint] = 1
    middle = (reach[JOINT["left_shoulder"]] + reach[JOINT["right_shoulder"]]) / 2
    rows = [middle if joint < 0 else reach[joint] for joint in COCO18]
    for side in SIDES:
        hand = reach[list(HAND21[side])]
        hand[0] += WRIST_SHIFT * (hand[9] - hand[0])
        rows += list(hand)
    keypoints = np.stack(rows) - middle
    fingers = np.zeros((40, 40))
    for h, side in enumerate(SIDES):
        wrist, start = _JOINTS + 16 * h, HAND[side].start
        for f in range(5):
            chain = (WRIST[side], *HAND21[side][4 * f + 1 : 4 * f + 5])
            for k, (inner, outer) in enumerate(pairwise(chain)):
                owners.append(wrist if k == 0 else wrist + 1 + inner - start)
                vectors.append(places[outer] - places[inner])
                fingers[20 * h + 4 * f + k, 20 * h + 4 * f : 20 * h + 4 * f + k + 1] = 1
        seen = WRIST_SHIFT * fingers[20 * h + 8]  # towards the middle knuckle
        fingers[20 * h : 20 * h + 20] -= seen
    points = np.zeros((100, _JOINTS + _POINTS + 40))
    points[:60, : _JOINTS + _POINTS], points[60:, _JOINTS + _POINTS :] = keypoints, fingers
    return owners, vectors, (points / body.shoulder_width_m).astype(np.float32)


class Geometry(nn.Module):
    """A body's bones as buffers (not part of checkpoints)."""

    ancestors: Tensor
    owners: Tensor
    vectors: Tensor
    sums: Tensor
    axes: Tensor
    copied: Tensor
    damping: Tensor

    def __init__(self, body: Body | None = None) -> None:
        super().__init__()
        parents = np.array([*(p if p >= 0 else _NODES for p in _forest()), _NODES])  # node 87 is the identity
        rounds = []
        for _ in range(_ROUNDS):
            rounds.append(parents[:_NODES])
            parents = parents[parents]
        owners, vectors, sums = _bones(body or load_body())
        fingers = [[WRIST[side], *range(HAND[side].start, HAND[side].stop)] for side in SIDES]
        for name, value in (
            ("ancestors", np.stack(rounds)),
            ("owners", np.array(owners)),
            ("vectors", np.stack(vectors)[..., None].astype(np.float32)),
            ("sums", sums),
            ("axes", np.array([1, -1, 1], np.float32)),
            ("copied", np.array(fingers).reshape(-1)),
            ("damping", DAMPING),
        ):
            self.register_buffer(name, torch.from_numpy(value), persistent=False)

    def turn(self, local: Tensor) -> Tensor:
        """Local rotations [..., 87, 3, 3] -> global ones."""
        still = torch.eye(3, dtype=local.dtype, device=local.device).expand(*local.shape[:-3], 1, 3, 3)
        turned = local
        for ancestor in self.ancestors:
            padded = torch.cat([turned, still], -3)
            turned = padded.index_select(-3, ancestor) @ turned
        return turned

    def points(self, turned: Tensor) -> Tensor:
        """Global rotations [..., 87, 3, 3] -> points [..., 100, 3] (see `KEYPOINTS` and `FINGERS`)."""
        bones = (turned.index_select(-3, self.owners) @ self.vectors)[..., 0]
        summed = nn.functional.linear(bones.transpose(-1, -2).contiguous(), self.sums)  # one large product
        return summed.transpose(-1, -2) * self.axes

    def rotations(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors [..., 694] -> local and global rotations of the 87 nodes."""
        body, hands = vectors[..., 312:642], vectors[..., SLICES["hands"]]
        local = proper(folded(torch.cat([body, hands], -1), _NODES, 6))
        return local, self.turn(local)

    def disagreements(self, vectors: Tensor) -> Tensor:
        """Vectors [..., 694] -> [..., 440], see `compare`."""
        return self.compare(vectors)[0]

    def compare(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors [..., 694] -> how far the modalities are from each other [..., 440], and points [..., 100,
        3].

        120: the pose as the body has it, less the pose. 192: the hands as the body has them, less the hands.
        80: the hands' finger points seen flat from their wrists, less the pose's. 48: how the body's arms
        would have to turn (`correction_arms`).
        """
        local, turned = self.rotations(vectors)
        solid = self.points(turned)
        points = solid[..., :2]
        wrists = turned[..., WRIST["left"] : WRIST["right"] + 1, :, :]
        hands = local.index_select(-3, self.copied)
        hands = hands.reshape(*hands.shape[:-3], 2, 16, 3, 3)
        hands = torch.cat([wrists.unsqueeze(-3), hands[..., 1:, :, :]], -3)  # [..., 2, 16, 3, 3]
        hands = hands[..., :2].transpose(-1, -2).flatten(-4)
        pose = vectors[..., SLICES["pose"]]
        seen = folded(pose[..., 36:], 2, 21, 2)
        relative = (seen[..., 1:, :] - seen[..., :1, :]).flatten(-3)
        other = torch.cat(
            [points[..., KEYPOINTS, :].flatten(-2), hands, points[..., FINGERS, :].flatten(-2)], -1
        )
        apart = other - torch.cat([pose, vectors[..., SLICES["hands"]], relative], -1)
        steps = arm_steps(torch, local, turned, solid, folded(pose, 60, 2), self.axes, self.damping)
        return torch.cat([apart, steps], -1), solid


def folded(x: Tensor, *sizes: int) -> Tensor:
    """The last axis as several."""
    return x.reshape(*x.shape[:-1], *sizes)


def proper(sixd: Tensor) -> Tensor:
    """[..., 6] -> [..., 3, 3] by Gram-Schmidt; as `features.rotation_matrices`, in fewer calls."""
    first, second = sixd[..., :3], sixd[..., 3:]
    first = first * ((first * first).sum(-1, keepdim=True) + 1e-12).rsqrt()
    second = second - first * (first * second).sum(-1, keepdim=True)
    second = second * ((second * second).sum(-1, keepdim=True) + 1e-12).rsqrt()
    a, b, c = first.unbind(-1)
    d, e, f = second.unbind(-1)
    third = torch.stack([b * f - c * e, c * d - a * f, a * e - b * d], -1)
    return torch.stack([first, second, third], -1)


class QuickGeometry:
    """`Geometry.disagreements` in numpy: on a CPU and for few rows four times as fast, for nothing but
    calls."""

    def __init__(self, geometry: Geometry) -> None:
        def held(tensor: Tensor) -> FloatArray:
            return np.asarray(tensor.cpu().numpy())

        self._ancestors = [held(a) for a in geometry.ancestors]
        self._owners, self._vectors = held(geometry.owners), held(geometry.vectors)
        self._sums, self._copied = held(geometry.sums), held(geometry.copied)
        self._axes = held(geometry.axes)
        self._sixd = np.r_[312:642, SLICES["hands"]]

    def disagreements(self, vectors: FloatArray) -> FloatArray:
        """Vectors [R, 694] -> [R, 440]."""
        rows = len(vectors)
        turned = np.empty((rows, _NODES + 1, 3, 3), np.float32)
        turned[:, _NODES] = np.eye(3)
        _proper(vectors[:, self._sixd].reshape(rows, _NODES, 6), turned[:, :_NODES])
        local = turned[:, :_NODES].copy()
        hands = local[:, self._copied].reshape(rows, 2, 16, 3, 3)
        for ancestors in self._ancestors:
            turned[:, :_NODES] = turned[:, ancestors] @ turned[:, :_NODES]
        points = self._sums @ (turned[:, self._owners] @ self._vectors)[..., 0]
        points = points * self._axes
        flat = points[..., :2]
        hands[:, :, 0] = turned[:, WRIST["left"] : WRIST["right"] + 1]
        pose = vectors[:, SLICES["pose"]]
        seen = pose[:, 36:].reshape(rows, 2, 21, 2)
        out = np.empty((rows, DISAGREEMENTS), np.float32)
        out[:, :120] = flat[:, KEYPOINTS].reshape(rows, 120) - pose
        out[:, 120:312] = hands[..., :2].swapaxes(-1, -2).reshape(rows, 192) - vectors[:, SLICES["hands"]]
        out[:, 312:392] = flat[:, FINGERS].reshape(rows, 80) - (seen[:, :, 1:] - seen[:, :, :1]).reshape(
            rows, 80
        )
        out[:, 392:] = arm_steps(np, local, turned, points, pose.reshape(rows, 60, 2), self._axes)
        return out


def _proper(sixd: FloatArray, out: FloatArray) -> None:
    """`proper` into `out` [..., 3, 3]."""
    first, second = sixd[..., :3], sixd[..., 3:]
    first = first / np.sqrt(np.einsum("...i,...i->...", first, first) + 1e-12)[..., None]
    second = second - first * np.einsum("...i,...i->...", first, second)[..., None]
    second = second / np.sqrt(np.einsum("...i,...i->...", second, second) + 1e-12)[..., None]
    out[..., 0], out[..., 1] = first, second
    (a, b, c), (d, e, f) = np.moveaxis(first, -1, 0), np.moveaxis(second, -1, 0)
    out[..., 0, 2], out[..., 1, 2], out[..., 2, 2] = b * f - c * e, c * d - a * f, a * e - b * d
