"""A whole clip: recording in, motion out.

Enters: `Recording`. Leaves: `Motion`, all three modalities derived from one SMPL-X pose, so they agree.
Does not know lexicons, choreography or pictures.
"""

from __future__ import annotations

import numpy as np

from engine.body import Body, load_body
from engine.retarget.arms import rest_arm, solve_arm
from engine.retarget.contacts import settle
from engine.retarget.face import solve_face
from engine.retarget.geometry import Array, fade, fill, matrix, rotvec, smooth, smooth_rotation, turn
from engine.retarget.hand import (
    ANGLES,
    CMC,
    MIRROR,
    MIRROR_AXIS,
    PALM,
    closed_form,
    forward,
    hand_rig,
    orientation,
    rotations,
    smplx_joints,
)
from engine.retarget.lifting import LiftingConfig, lift
from engine.retarget.model import HandModel
from engine.retarget.placing import Place, find_place, seen_elbow, wrist_depth
from engine.retarget.recording import Recording
from engine.retarget.source import Source, measure_source, to_body_axes
from engine.retarget.touching import keep_out, touch_face
from engine.signals import Motion
from engine.skeleton import JOINT, JOINT_NAMES, SIDES, WRIST

METHOD = "6"
"""Goes into cache keys: changes whenever the same recording would give another motion."""

LETTER_LANGUAGES = ("ase", "fsl")
"""Where `letter` holds; the recordings of `fsl` in the default alphabets are those of `ase`."""

_PATIENCE_FRAMES = 4.0


def retarget(
    recording: Recording,
    *,
    source: Source | None = None,
    alpha: float | None = None,
    letter: str | None = None,
    contacts: bool = True,
    lifting: LiftingConfig | None = LiftingConfig(),  # noqa: B008 (frozen)
    body: Body | None = None,
) -> Motion:
    """Motion of our body from a recording: T frames at the recording's rate.

    source: `measure_source` over several recordings of the same source (None: over this one). alpha: its
    depth scale alone, if only that is known. letter: of the American manual alphabet (languages
    `LETTER_LANGUAGES`), if the recording is one: it then closes as that letter does. contacts False: the hand
    as lifted, even where our own then sinks into itself. lifting None: closed form, faster and coarser.
    `Motion.confidence` [T, 2] is 1 where a hand was seen and falls to 0 with the distance to the nearest such
    frame; a hand never seen hangs at the side. Deterministic.
    """
    body = body or load_body()
    source = source or measure_source([recording], alpha=alpha, body=body)
    frames = len(recording)
    pose = np.zeros((frames, len(JOINT_NAMES), 3))
    confidence = np.zeros((frames, 2), np.float32)
    place = find_place(recording, body)
    sides = [s for s in SIDES if place is not None and recording.hand_seen(s).any()]
    for side in set(SIDES) - set(sides):
        for joint, value in rest_arm(side).items():
            pose[:, joint] = value
    face = solve_face(recording.face, source.alpha, recording.fps)
    pose[:, JOINT["neck"]], pose[:, JOINT["head"]] = 0.4 * face.head, 0.6 * face.head
    pose[:, JOINT["jaw"], 0] = face.jaw
    if place is not None and sides:
        trust = {side: fade(recording.hand_seen(side), _PATIENCE_FRAMES) for side in sides}
        settling = (letter,) if contacts else None
        shapes = _solve_hands(recording, body, source, sides, trust, lifting, settling)
        for side in sides:
            confidence[:, SIDES.index(side)] = trust[side]
            touching = not source.anonymised
            _solve_arm(recording, body, place, side, trust[side], *shapes[side], touching, pose)
    return body.motion(pose.astype(np.float32), face.units.astype(np.float32), recording.fps, confidence)


def _solve_hands(
    recording: Recording,
    body: Body,
    source: Source,
    sides: list[str],
    trust: dict[str, Array],
    lifting: LiftingConfig | None,
    settling: tuple[str | None] | None,
) -> dict[str, tuple[Array, Array]]:
    """Local finger rotations [T, 5, 3, 3, 3] and wrist rotations [T, 3, 3] of each hand, as right hands."""
    rig = hand_rig(body)
    landmarks = np.concatenate(
        [
            to_body_axes(fill(recording.hands[side], recording.hand_seen(side)), source.alpha, side)
            for side in sides
        ]
    )
    clip = np.repeat(np.arange(len(sides)), len(recording))
    wrist = orientation(rig, landmarks)
    for i in range(len(sides)):
        wrist[clip == i] = smooth_rotation(wrist[clip == i], 0.8)
    if lifting is None:
        angles = closed_form(rig, landmarks, wrist)
    else:
        weight = np.square(np.concatenate([trust[side] for side in sides]))
        angles, wrist = lift(rig, source, landmarks, wrist, weight, clip, lifting)
        if settling is not None:
            thumb = matrix(angles[:, CMC])
            flat = np.where(np.isin(np.arange(ANGLES), range(*CMC.indices(ANGLES))), 0.0, angles)
            seen = HandModel(rig, source.base, source.lengths, thumb).points(flat.T)
            angles = settle(rig, angles, seen, clip, settling[0])
    return {
        side: (
            rotations(rig, smooth(angles[clip == i], 0.5)),
            smooth_rotation(wrist[clip == i], 0.8),
        )
        for i, side in enumerate(sides)
    }


def _solve_arm(
    recording: Recording,
    body: Body,
    place: Place,
    side: str,
    trust: Array,
    local: Array,
    wrist: Array,
    touching: bool,
    pose: Array,
) -> None:
    rig = hand_rig(body)
    flip, flip_axis = (MIRROR, MIRROR_AXIS) if side == "left" else (np.ones(3), np.ones(3))
    points = forward(rig, local, wrist) * flip
    offset = turn(wrist, rig.landmarks[0] - rig.joints[0]) * flip
    wrist = wrist * flip[:, None] * flip
    seen = recording.hand_seen(side)
    hand = fill(recording.hands[side], seen)

    body_wrist = recording.point(f"{side.upper()}_WRIST")
    wrist_known = seen | np.isfinite(body_wrist).all(1)
    wrist_px = fill(np.where(seen[:, None], recording.hands[side][:, 0], body_wrist), wrist_known)
    elbow, elbow_trust = seen_elbow(recording, place, side, wrist_px, body)

    # The hand's centre carries its place better than the wrist: five landmarks instead of one.
    centre = points[:, list(PALM)].mean(1)
    at_wrist = place.metres(wrist_px) - offset[:, :2]
    at_centre = place.metres(hand[:, list(PALM)].mean(1)) - centre[:, :2]
    share = smooth(trust, 1.0)[:, None]
    depth = wrist_depth(place.metres(wrist_px), elbow, elbow_trust, body, side) - 0.6 * centre[:, 2]
    target = np.c_[at_wrist * (1 - share) + at_centre * share, depth]
    if touching:
        spot, touch = touch_face(body, hand, recording.face, place.shoulders_px, points, seen)
        target += touch[:, None] * np.array([1.0, 1.0, 0.7]) * (spot - target)
    target = keep_out(smooth(target, 0.8), points)

    upper, fore = solve_arm(body, side, target, wrist, elbow, elbow_trust)
    pose[:, JOINT[f"{side}_shoulder"]] = rotvec(upper)
    pose[:, JOINT[f"{side}_elbow"]] = rotvec(np.swapaxes(upper, 1, 2) @ fore)
    pose[:, WRIST[side]] = rotvec(np.swapaxes(fore, 1, 2) @ wrist) * trust[:, None]
    fingers = rotvec(local).reshape(len(local), 15, 3) * flip_axis
    pose[:, smplx_joints(side)] = fingers * (0.35 + 0.65 * trust)[:, None, None]
