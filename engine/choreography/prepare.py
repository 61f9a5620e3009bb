"""Dictionary recordings become clips at signing speed.

Enters: a recorded `Motion`. Leaves: a `Clip`. Does not know lexicons or neighbouring signs.

The part between rise and fall is found (`trimming`); a still letter keeps only its stillest moment,
everything else keeps its movement, sped up where it dwells (`tempo`). A hand that does not sign is put to
rest. What was recorded with the left hand alone is turned over: clips are those of a right-handed signer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.body import Body
from engine.choreography.clip import Clip
from engine.choreography.config import Timing
from engine.choreography.rest import ARM_JOINTS, rest_pose, rest_quaternions
from engine.choreography.tempo import resample, signing_times
from engine.choreography.trimming import (
    Flags,
    find_climb,
    find_raised,
    hand_speed,
    lively,
    stillest,
    travels,
    used_hands,
)
from engine.rotations import quaternion_from_rotvec, slerp
from engine.signals import FloatArray, Motion
from engine.skeleton import SIDES, WRIST, mirror_expression, mirror_smplx

_FINGERTIPS = slice(11, 21)
_LETTER_WINDOW = 1
"""Frames a seam may cut from a letter: the first stroke of a Z is the Z."""
_STAND_S = 0.1
"""How long a moving letter stands before and after its movement."""
_HAND = slice(3, None)
"""Wrist and fingers among `ARM_JOINTS`."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A recording laid out for preparing: wrists [T, 2, 3] and tips [T, 2, 5, 3] in metres; used [2]."""

    smplx: FloatArray
    expression: FloatArray
    confidence: FloatArray
    wrists: FloatArray
    tips: FloatArray
    used: Flags


def prepare(motion: Motion, body: Body, timing: Timing, *, fps: float, letter: bool) -> Clip:
    """See the module. Raises ValueError for a recording without frames or with broken numbers."""
    if len(motion) == 0:
        raise ValueError("choreography: the recording has no frames; record it again or remove its entry")
    if not (np.isfinite(motion.smplx).all() and np.isfinite(motion.expression).all()):
        raise ValueError("choreography: the recording's motion holds NaN or infinity; clear the motion cache")
    seen = _right_handed(motion, body)
    used = seen.used
    at, enter, moving = _choose(seen, motion.fps, timing, fps, letter)
    quaternions = continuous(quaternion_from_rotvec(seen.smplx))
    for i, side in enumerate(SIDES):
        if not used[i]:
            quaternions[:, ARM_JOINTS[side]] = rest_quaternions()[ARM_JOINTS[side]]
    posed = resample(quaternions, at.astype(np.float32))
    ease_into(posed, enter)
    wrists, confidence = _at(seen.wrists, at), _at(seen.confidence, at)
    wrists[:, ~used], confidence[:, ~used] = rest_wrists(body)[~used], 1.0
    window = round(min(timing.window_s * fps, timing.window_share * (len(at) - 1 - enter)))
    if letter:
        window = min(window, _LETTER_WINDOW)
    return Clip(
        quaternions=posed,
        expression=np.clip(_at(seen.expression, at), 0, 1),
        wrists=wrists,
        confidence=confidence,
        enter=enter,
        leave=len(at) - 1,
        used=(bool(used[0]), bool(used[1])),
        moving=moving,
        entry=window,
        exit=window,
    )


def _right_handed(motion: Motion, body: Body) -> _Seen:
    smplx, expression, confidence = motion.smplx, motion.expression, motion.confidence
    for _ in range(2):
        rotation, position = body.fk(smplx)
        wrists = position[:, [WRIST[side] for side in SIDES]]
        used = used_hands(confidence, wrists)
        if used[1] or not used[0]:
            break
        smplx, expression, confidence = (
            mirror_smplx(smplx),
            mirror_expression(expression),
            confidence[:, ::-1],
        )
    tips = body.points(rotation, position)[:, _FINGERTIPS].reshape(len(motion), 2, 5, 3)
    return _Seen(smplx, expression, confidence, wrists, tips, used)


def _choose(
    seen: _Seen, source_fps: float, timing: Timing, fps: float, letter: bool
) -> tuple[npt.NDArray[np.float64], int, bool]:
    """Which (fractional) frames to show [n], how many of them lead up to the core, and whether it moves."""
    height = seen.wrists[:, seen.used, 1].max(1) if seen.used.any() else np.zeros(len(seen.smplx), np.float32)
    first, last = find_raised(height, source_fps)
    speed = hand_speed(seen.wrists, seen.tips, seen.used, source_fps)
    moving = not letter or travels(seen.tips, seen.used, first, last)
    if moving:
        if letter:
            first, last = lively(speed, first, last, round(_STAND_S * source_fps))
        cap_s = timing.letter_cap_s if letter else timing.sign_cap_s
        squeeze = timing.max_squeeze * (2 if letter else 1)
        core = first + signing_times(speed[first : last + 1], source_fps, cap_s, squeeze, out_fps=fps)
    else:
        start, stop = stillest(speed, first, last, max(2, round(timing.letter_hold_s * source_fps) + 1))
        core = np.linspace(start, stop, max(2, round(timing.letter_hold_s * fps) + 1))
    step = source_fps / fps
    steps = int(min(first - find_climb(height, first), timing.preparation_s * source_fps) / step)
    rise = first - step * np.arange(steps, 0, -1)
    return np.concatenate([rise, core]), len(rise), moving


def _at(values: FloatArray, at: npt.NDArray[np.float64]) -> FloatArray:
    """[T, ...] at fractional frames [n] -> [n, ...]."""
    first = np.minimum(at.astype(int), len(values) - 1)
    second = np.minimum(first + 1, len(values) - 1)
    share = (at - first).reshape(-1, *[1] * (values.ndim - 1))
    return np.ascontiguousarray(values[first] * (1 - share) + values[second] * share, dtype=np.float32)


def rest_wrists(body: Body) -> FloatArray:
    """Both wrists at rest [2, 3], metres."""
    _, position = body.fk(rest_pose())
    return position[[WRIST[side] for side in SIDES]]


def continuous(quaternions: FloatArray) -> FloatArray:
    """[T, J, 4] with signs chosen so that neighbours lie in one hemisphere."""
    flips = np.where((quaternions[1:] * quaternions[:-1]).sum(-1) < 0, -1.0, 1.0)
    result = quaternions.copy()
    result[1:] *= np.cumprod(flips, axis=0)[..., None].astype(quaternions.dtype)
    return result


def ease_into(quaternions: FloatArray, enter: int) -> None:
    """Lead the rise into the core's first frame, in place: the arms bend to it, the hands have its shape
    already.

    Recorded hands tumble while they are raised; a signer who is about to sign forms the sign on the way up.
    """
    if enter == 0:
        return
    first = quaternions[enter]
    share = np.linspace(0, 1, enter + 1, dtype=np.float32)[:-1]
    share = share * share * (3 - 2 * share)
    quaternions[:enter] = slerp(
        quaternions[:enter], np.broadcast_to(first, quaternions[:enter].shape), share[:, None]
    )
    for side in SIDES:
        hand = ARM_JOINTS[side][_HAND]
        quaternions[:enter, hand] = first[hand]
    quaternions[:] = continuous(quaternions)
