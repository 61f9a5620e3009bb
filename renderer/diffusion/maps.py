"""Motion to the three conditioning maps: what the video renderer sees of a pose, in training and in serving.

Enters: `MotionFrame`s or a `Motion`, a picture size. Leaves: RGB maps on any device. Does not know models.

One modality a map, each drawn from its own numbers, so that the pose gate can weigh them against each
other: POSE, DWPose-like lines between the 60 keypoints; HANDS, MANO hands coloured by bone and side; BODY,
the SMPL-X body coloured by its normals and depth, with the lines of the face. All are seen by the avatar's
camera, so a map lies on the avatar's picture of the same motion. Where a modality has no depth (keypoints)
or no place (hands) it is lent the body's.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.body import Body, load_body
from engine.rotations import matrix_from_rotvec
from engine.signals import FloatArray, Motion, MotionFrame
from engine.skeleton import HAND, HAND21, HAND_BONES, JOINT, MANO_FINGERS, POINT_NAMES, SIDES, WRIST
from renderer.avatar.framing import projection
from renderer.diffusion import figure as fig
from renderer.diffusion.face_lines import COLOURS as FACE_COLOURS
from renderer.diffusion.face_lines import face_lines
from renderer.diffusion.strokes import FLAT, LIT, NORMAL, Strokes, draw

MODALITIES = ("pose", "hands", "body")
_TIPS = {name: number for number, name in enumerate(POINT_NAMES) if name.endswith("_tip")}
_ORDER_M = 1e-3
"""Flat lines on the face and in the pose map are ordered by number, so much apart."""


@dataclass(frozen=True, eq=False)
class _Capsules:
    """Capsules of T frames in the world: ends [T, N, 2, 3], radii [N, 2], colour [N, 3], shade, lift [N]: how
    much nearer than it is a capsule counts (metres)."""

    ends: FloatArray
    radii: FloatArray
    colour: FloatArray
    shade: int
    lift: FloatArray | float = 0.0


def draw_maps(
    motion: Motion | Sequence[MotionFrame], size: int, device: torch.device | str = "cpu"
) -> Tensor:
    """Maps [T, 3, 3, size, size] float32 0..1: frame, modality (`MODALITIES`), RGB.

    Raises ValueError where a number of the motion is not finite, naming the field.
    """
    fields = {name: _field(motion, name) for name in ("pose", "hands", "smplx", "expression")}
    for name, values in fields.items():
        if not np.isfinite(values).all():
            raise ValueError(f"maps: {name} of the motion holds NaN or infinity; send finite motion")
    body = load_body()
    rotation, joints = body.fk(fields["smplx"])
    flat = _pose(fields["pose"], body.keypoints(rotation, joints), body)
    groups = [
        flat,
        _hands(fields["hands"], joints, body),
        [*_body(rotation, joints, body), _face(fields["expression"], rotation, joints)],
    ]
    frames = len(fields["smplx"])
    strokes = _strokes(groups, frames, size, torch.device(device))
    return draw(strokes, frames * 3, size).reshape(frames, 3, 3, size, size)


def hand_points_seen(motion: Motion | Sequence[MotionFrame], size: int) -> FloatArray:
    """Where the avatar's camera has the 21 points of each hand: pixels [T, 2, 21, 2], left then right."""
    body = load_body()
    pixels, _ = _project(body.keypoints(*body.fk(_field(motion, "smplx"))), size)
    return pixels[:, 18:].reshape(len(pixels), 2, 21, 2)


def hand_places(motion: Motion | Sequence[MotionFrame], size: int) -> FloatArray:
    """Where the hands are: [T, 2, 3], pixel x and y of each hand's middle and its reach, left then right."""
    smplx = _field(motion, "smplx")
    body = load_body()
    keypoints = body.keypoints(*body.fk(smplx))
    pixels, metres = _project(keypoints, size)
    out = np.empty((len(smplx), 2, 3), np.float32)
    for number, hand in enumerate((slice(18, 39), slice(39, 60))):
        low, high = pixels[:, hand].min(1), pixels[:, hand].max(1)
        out[:, number, :2] = (low + high) / 2
        out[:, number, 2] = (high - low).max(-1) / 2 + 0.02 / metres[:, hand].mean(1)
    return out


def _field(motion: Motion | Sequence[MotionFrame], name: str) -> FloatArray:
    if isinstance(motion, Motion):
        return np.asarray(getattr(motion, name), np.float32)
    return np.stack([getattr(frame, name) for frame in motion])


def _project(points: FloatArray, size: int) -> tuple[FloatArray, FloatArray]:
    """World [..., 3] to pixels [..., 2] and the metres that a pixel spans there [...]."""
    matrix = projection(size, size)
    clip = points @ matrix[:, :3].T + matrix[:, 3]
    away = np.maximum(clip[..., 3], 0.2)
    pixels = (clip[..., :2] / away[..., None] + 1) / 2 * size
    return pixels.astype(np.float32), (away / (matrix[0, 0] * size / 2)).astype(np.float32)


def _pose(pose: FloatArray, keypoints: FloatArray, body: Body) -> list[_Capsules]:
    """The 2D keypoints where they say, at the depth of the body's: perspective moves near hands outwards."""
    middle = keypoints[:, 1:2]
    points = keypoints.copy()
    points[..., :2] = middle[..., :2] + pose * np.array([1, -1], np.float32) * body.shoulder_width_m
    made = []
    for pairs, colours, radius, first in (
        (np.array(fig.LIMBS), fig.LIMB_COLOURS, fig.LIMB_M, 0),
        (fig.HAND_LINES, fig.HAND_LINE_COLOURS, fig.FINGER_LINE_M, len(fig.LIMBS)),
    ):
        order = (first + np.arange(len(pairs))) * _ORDER_M
        radii = np.full((len(pairs), 2), radius, np.float32)
        made.append(_Capsules(points[:, pairs], radii, colours, FLAT, order + 3.0))
    return made


def _hands(hands: FloatArray, joints: FloatArray, body: Body) -> list[_Capsules]:
    """hands [T, 2, 16, 3]: forward kinematics from the body's wrists, with the hands' own rotations."""
    local = matrix_from_rotvec(hands)
    made = []
    for number, side in enumerate(SIDES):
        points = hand_points(local[:, number], joints[:, WRIST[side]], side, body)
        ends = points[:, np.array(HAND_BONES)]
        made.append(_Capsules(ends, fig.HAND_RADII_M, fig.HAND_COLOURS[number], LIT))
    return made


def hand_points(local: FloatArray, wrist: FloatArray, side: str, body: Body) -> FloatArray:
    """[T, 16, 3, 3] (global wrist, then 15 finger joints) and wrists [T, 3] -> 21 points [T, 21, 3], in the
    order of hand keypoints: wrist, then four a finger from the thumb on."""
    rest, rotation = body.rest_joints, {-1: local[:, 0]}
    base = WRIST[side]
    position = np.empty((len(local), 15, 3), np.float32)
    for n in range(15):
        above = n - 1 if n % 3 else -1
        start = position[:, above] if n % 3 else wrist
        parent = HAND[side].start + above if n % 3 else base
        offset = rest[HAND[side].start + n] - rest[parent]
        position[:, n] = start + rotation[above] @ offset
        rotation[n] = rotation[above] @ local[:, 1 + n]
    out = np.empty((len(local), 21, 3), np.float32)
    for place, joint in enumerate(HAND21[side]):
        if joint == base:
            out[:, place] = wrist
        elif joint < 55:
            out[:, place] = position[:, joint - HAND[side].start]
        else:  # a fingertip, fixed to the last joint of its finger
            last = int(body.point_joint[joint - 55])
            offset = body.rest_points[joint - 55] - rest[last]
            out[:, place] = position[:, last - HAND[side].start] + rotation[last - HAND[side].start] @ offset
    return out


def _body(rotation: FloatArray, joints: FloatArray, body: Body) -> list[_Capsules]:
    limbs = joints[:, fig.BODY_JOINTS]
    turned = rotation[:, fig.RIGID_JOINTS] @ fig.RIGID_OFFSETS_M[..., None]
    rigid = joints[:, fig.RIGID_JOINTS] + turned[..., 0]
    points = body.points(rotation, joints)
    fingers, radii = [], []
    for side in SIDES:
        for number, finger in enumerate(MANO_FINGERS):
            first = HAND[side].start + 3 * number
            name = f"{side}_{finger}_tip"
            chain = [joints[:, first], joints[:, first + 1], joints[:, first + 2], points[:, _TIPS[name]]]
            fingers += [np.stack(pair, 1) for pair in itertools.pairwise(chain)]
            radii += list(itertools.pairwise(fig.FINGER_M))
    grey = np.ones(3, np.float32)
    return [
        _Capsules(ends, np.asarray(wide, np.float32), np.tile(grey, (ends.shape[1], 1)), NORMAL)
        for ends, wide in (
            (limbs, fig.BODY_RADII_M),
            (rigid, fig.RIGID_RADII_M),
            (np.stack(fingers, 1), radii),
        )
    ]


def _face(expression: FloatArray, rotation: FloatArray, joints: FloatArray) -> _Capsules:
    head = JOINT["head"]
    lines = face_lines(np.clip(expression, 0, 1))
    ends = (rotation[:, None, None, head] @ lines[..., None])[..., 0] + joints[:, None, None, head]
    count = len(FACE_COLOURS)
    radii = np.full((count, 2), fig.FACE_LINE_M, np.float32)
    return _Capsules(ends, radii, FACE_COLOURS, FLAT, 0.03 + np.arange(count) * _ORDER_M)


def _strokes(groups: Sequence[list[_Capsules]], frames: int, size: int, device: torch.device) -> Strokes:
    rows: dict[str, list[np.ndarray]] = {name: [] for name in Strokes.__annotations__}  # type: ignore[type-arg]
    for canvas, group in enumerate(groups):
        for capsules in group:
            count = capsules.ends.shape[1]
            pixels, metres = _project(capsules.ends, size)
            radii = np.maximum(capsules.radii / metres, fig.MIN_RADIUS_PX)
            depth = capsules.ends[..., 2] + np.reshape(capsules.lift, (-1, 1))
            rows["ends"].append(pixels.reshape(-1, 2, 2))
            rows["radii"].append(radii.reshape(-1, 2))
            rows["depth"].append(depth.reshape(-1, 2))
            rows["metres"].append(metres.reshape(-1, 2) * (capsules.shade != FLAT))
            rows["colour"].append(np.tile(capsules.colour, (frames, 1)))
            rows["shade"].append(np.full(frames * count, capsules.shade, np.int64))
            rows["canvas"].append(np.repeat(np.arange(frames, dtype=np.int64) * 3 + canvas, count))
    whole = {name: np.concatenate(parts) for name, parts in rows.items()}
    tensors = {
        name: torch.from_numpy(values if values.dtype == np.int64 else values.astype(np.float32)).to(device)
        for name, values in whole.items()
    }
    return Strokes(**tensors)
