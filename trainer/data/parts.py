"""Result files of pose estimators, as modalities: DWPose keypoints, HaMeR hands, SMPLer-X bodies.

Enters: files the user has. Leaves: `Part`s: some modalities of one clip, in our axes and units. Does not know
corpora. Frames without a detection are filled from their neighbours and have confidence 0.

Axes: estimators place the body before a camera, y down and z away from it; ours has y up and z to the camera:
the first rotation of every chain is turned half round x. Shapes (beta) and translations are left out:
identity and place enter at rendering only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from engine.body import load_body
from engine.choreography.rest import rest_pose
from engine.rotations import matrix_from_rotvec, rotvec_from_matrix, slerp_rotvec
from engine.signals import FloatArray

CERTAIN = 0.3
"""Keypoints of a lower score count as not seen."""
_CAMERA = np.array([1, -1, -1], np.float32)
_MIRROR = np.array([1, -1, -1], np.float32)
# The 17 COCO keypoints as our 18: nose, neck (5 and 6), right arm, left arm, right leg, left leg, eyes, ears.
_COCO = (0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
_WHOLEBODY_HANDS, _OPENPOSE_HANDS = 91, 92


@dataclass(frozen=True, eq=False)
class Part:
    """What one estimator says of a clip of T frames; None for what it does not see.

    pose [T, 60, 2], hands [T, 2, 16, 3], smplx [T, 55, 3], expression [T, 52] as in `MotionFrame`; confidence
    [T, 2]: how well the left and the right hand were seen. sparse: results are there only where something was
    detected, so the clip may go on after T. fps: where the estimator knows it.
    """

    pose: FloatArray | None = None
    hands: FloatArray | None = None
    smplx: FloatArray | None = None
    expression: FloatArray | None = None
    confidence: FloatArray | None = None
    sparse: bool = False
    fps: float | None = None

    def __len__(self) -> int:
        return min(len(v) for v in (self.pose, self.hands, self.smplx, self.expression) if v is not None)


def dwpose(path: Path) -> Part:
    """Keypoints of DWPose or another whole-body estimator.

    `.json`: as MMPose's inferencer writes (`instance_info`: frames with `instances` of 133 `keypoints` and
    `keypoint_scores`); of several people the surest is taken. `.npz`: `keypoints` [T, 133, 2] (COCO whole
    body) or [T, 134, 2] (DWPose's own, OpenPose order) in pixels, and `scores` [T, 133 or 134].
    """
    points, scores = _mmpose(path) if path.suffix == ".json" else _arrays(path, "keypoints", "scores")
    if points.ndim != 3 or points.shape[1] not in (133, 134) or scores.shape != points.shape[:2]:
        raise ValueError(
            f"{path}: got keypoints {points.shape} and scores {scores.shape}, expected [T, 133 or 134, 2] "
            "and their "
            "scores [T, 133 or 134]"
        )
    points = points[..., :2]
    hands = _WHOLEBODY_HANDS if points.shape[1] == 133 else _OPENPOSE_HANDS
    body = list(_COCO if points.shape[1] == 133 else range(18))
    kept = np.r_[body, hands : hands + 42]
    shown, sure = points[:, kept].astype(np.float64), scores[:, kept].astype(np.float64)
    if points.shape[1] == 133:
        shown[:, 1], sure[:, 1] = points[:, [5, 6]].mean(1), scores[:, [5, 6]].min(1)
    seen = (sure > CERTAIN) & np.isfinite(shown).all(-1)
    shoulders = seen[:, 2] & seen[:, 5]
    if not shoulders.any():
        raise ValueError(
            f"{path}: both shoulders are never seen, so there is no measure of size; leave it out"
        )
    middle = np.median(shown[shoulders][:, [2, 5]].mean(1), axis=0)
    width = np.median(np.linalg.norm(shown[shoulders, 2] - shown[shoulders, 5], axis=-1))
    if not width > 0:
        raise ValueError(
            f"{path}: the shoulders lie on one another; is this a clip of one signer, from before?"
        )
    pose = ((shown - middle) / width).astype(np.float32)
    rest = load_body().pose(*load_body().fk(rest_pose()))
    for joint in range(60):
        pose[:, joint] = _filled(pose[:, joint], seen[:, joint], rest[joint])
    confidence = np.stack(
        [np.where(seen[:, h], sure[:, h], 0).mean(1) for h in (slice(18, 39), slice(39, 60))], 1
    )
    return Part(pose=pose, confidence=np.clip(confidence, 0, 1).astype(np.float32))


def _mmpose(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    try:
        frames = json.loads(path.read_text("utf-8"))["instance_info"]
        points = np.full((len(frames), 133, 2), np.nan)
        scores = np.zeros((len(frames), 133))
        for t, frame in enumerate(frames):
            people = frame["instances"]
            if people:
                best = max(people, key=lambda person: float(np.mean(person["keypoint_scores"])))
                points[t], scores[t] = np.array(best["keypoints"])[:, :2], best["keypoint_scores"]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(
            f"{path}: not whole-body keypoints of MMPose ({error!r}); expected instance_info with 133 "
            "keypoints a person"
        ) from error
    return points, scores


def _arrays(path: Path, *names: str) -> list[npt.NDArray[np.float64]]:
    try:
        with np.load(path, allow_pickle=False) as data:
            return [np.asarray(data[name]) for name in names]
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise ValueError(
            f"{path}: cannot be read ({error}); expected an .npz with {', '.join(names)}"
        ) from error


def _filled(track: FloatArray, seen: npt.NDArray[np.bool_], otherwise: FloatArray) -> FloatArray:
    """[T, 2] with what was not seen interpolated; never seen: `otherwise`."""
    if not seen.any():
        return np.broadcast_to(otherwise, track.shape).astype(np.float32)
    at = np.arange(len(track))
    columns = [np.interp(at, at[seen], track[seen, i]) for i in range(track.shape[1])]
    return np.stack(columns, 1).astype(np.float32)


def hamer(path: Path) -> Part:
    """Hands of HaMeR: an `.npz` with one row a detected hand.

    `frame` [N] number of the picture from 0; `right` [N] 1 or 0, as HaMeR has it; `global_orient` [N, 3, 3]
    and `hand_pose` [N, 15, 3, 3] of `pred_mano_params`, unchanged: a left hand is that of its mirror image,
    and is turned over here.
    """
    number, right, orient, pose = _arrays(path, "frame", "right", "global_orient", "hand_pose")
    rows = len(number)
    orient, pose = orient.reshape(rows, -1), pose.reshape(rows, -1)
    if not rows or orient.shape[1] != 9 or pose.shape[1] != 135 or right.shape != (rows,):
        raise ValueError(
            f"{path}: got global_orient {orient.shape} and hand_pose {pose.shape}, expected [N, 3, 3] and "
            "[N, 15, 3, 3] rotation matrices, one row a hand"
        )
    if not (np.isfinite(orient).all() and np.isfinite(pose).all()):
        raise ValueError(f"{path}: holds NaN or infinity; leave those rows out")
    turns = np.concatenate([orient, pose], 1).reshape(rows, 16, 3, 3).astype(np.float32)
    rotvecs = rotvec_from_matrix(turns)
    left = right == 0
    rotvecs[left] *= _MIRROR  # first back to the left hand as the camera sees it ...
    rotvecs[:, 0] = from_camera(rotvecs[:, 0])  # ... then to our axes
    frames = int(number.max()) + 1
    hands, seen = np.zeros((frames, 2, 16, 3), np.float32), np.zeros((frames, 2), bool)
    for side in (0, 1):
        rows_of = np.flatnonzero(right == side)
        hands[number[rows_of].astype(int), side] = rotvecs[rows_of]
        seen[number[rows_of].astype(int), side] = True
        hands[:, side] = filled_rotations(hands[:, side], seen[:, side])
    return Part(hands=hands, confidence=seen.astype(np.float32), sparse=True)


def from_camera(rotvec: FloatArray) -> FloatArray:
    """A rotation seen by a camera (y down, z away) in the body's axes (y up, z to the camera): [..., 3]."""
    turned: FloatArray = rotvec_from_matrix(_CAMERA[:, None] * matrix_from_rotvec(rotvec))
    return turned


def smplerx(folder: Path, mean_hands: tuple[FloatArray, FloatArray]) -> Part:
    """Bodies of SMPLer-X: a folder with `NNNNN_P.npz` a picture and person, counted from 1, as its inference
    script writes.

    mean_hands: left and right [15, 3], what SMPL-X adds to its hand poses (see `mean_hands_of`). Of several
    people the first is taken. The expression (10 numbers of a licensed basis) is left out.
    """
    where = folder / "smplx" if (folder / "smplx").is_dir() else folder
    files: dict[int, Path] = {}
    for path in sorted(where.glob("*_*.npz"), reverse=True):
        counted = path.stem.partition("_")[0]
        if counted.isdecimal():
            files[int(counted) - 1] = path
    if not files:
        raise ValueError(f"{where}: no results of SMPLer-X; expected files like 00001_0.npz")
    frames = max(files) + 1
    smplx, seen = np.zeros((frames, 55, 3), np.float32), np.zeros(frames, bool)
    names = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "jaw_pose")
    for number, path in files.items():
        root, body, left, right, jaw = (part.reshape(-1, 3) for part in _arrays(path, *names))
        sizes = tuple(map(len, (root, body, left, right, jaw)))
        if sizes != (1, 21, 15, 15, 1):
            raise ValueError(f"{path}: got {sizes} joints of {', '.join(names)}, expected (1, 21, 15, 15, 1)")
        hands = [left + mean_hands[0], right + mean_hands[1]]
        frame = np.concatenate([from_camera(root.astype(np.float32)), body, jaw, np.zeros((2, 3)), *hands])
        if not np.isfinite(frame).all():
            raise ValueError(f"{path}: holds NaN or infinity; delete the file, and its frame is filled")
        smplx[number], seen[number] = frame, True
    confidence = np.repeat(seen[:, None], 2, axis=1).astype(np.float32)
    return Part(smplx=filled_rotations(smplx, seen), confidence=confidence, sparse=True)


def mean_hands_of(model: Path) -> tuple[FloatArray, FloatArray]:
    """`hands_meanl` and `hands_meanr` [15, 3] of the user's own SMPLX_NEUTRAL.npz."""
    left, right = _arrays(model, "hands_meanl", "hands_meanr")
    return left.reshape(15, 3).astype(np.float32), right.reshape(15, 3).astype(np.float32)


def filled_rotations(track: FloatArray, seen: npt.NDArray[np.bool_]) -> FloatArray:
    """Axis-angle [T, J, 3] with frames that were not seen turned evenly between their neighbours (slerp)."""
    at = np.flatnonzero(seen)
    if not len(at) or seen.all():
        return track
    places = np.arange(len(track))
    after = np.searchsorted(at, places).clip(0, len(at) - 1)
    before = np.where(at[after] == places, after, (after - 1).clip(0))
    before = np.where(places > at[-1], len(at) - 1, before)
    gap = np.maximum(at[after] - at[before], 1)
    share = ((places - at[before]) / gap).clip(0, 1).astype(np.float32)
    turned: FloatArray = slerp_rotvec(track[at[before]], track[at[after]], share[:, None])
    return np.where(seen[:, None, None], track, turned).astype(np.float32)


def together(parts: Sequence[Part], name: str, slack_frames: int = 2) -> Mapping[str, FloatArray]:
    """All modalities of one clip: each from the first part that has it; what none has follows from the SMPL-X
    pose.

    Dense parts may differ by a few frames at the end, sparse ones may end before. Raises ValueError where
    they differ by more, or where there is no body.
    """
    dense = [len(part) for part in parts if not part.sparse]
    frames = min(dense, default=max(map(len, parts)))
    if max(map(len, parts)) > frames + slack_frames or min(map(len, parts)) < frames / 2:
        raise ValueError(f"{name}: results of {[len(p) for p in parts]} frames; expected as many of each")
    found: dict[str, FloatArray] = {}
    for field in ("pose", "hands", "smplx", "expression"):
        given = next((v for v in (getattr(p, field) for p in parts) if v is not None), None)
        if given is not None:
            found[field] = _held(given, frames)
    if "smplx" not in found:
        raise ValueError(
            f"{name}: no body pose; expected a video (with the vision extra) or results of SMPLer-X beside it"
        )
    body = load_body()
    rotation, position = body.fk(found["smplx"])
    found.setdefault("pose", body.pose(rotation, position))
    found.setdefault("hands", body.hands(found["smplx"], rotation))
    found.setdefault("expression", np.zeros((frames, 52), np.float32))
    hand = next((p for p in parts if p.hands is not None), parts[0])
    seen = np.ones((frames, 2), np.float32) if hand.confidence is None else hand.confidence[:frames]
    unseen = np.zeros((frames - len(seen), 2), np.float32)
    return found | {"confidence": np.concatenate([seen, unseen])}


def _held(values: FloatArray, frames: int) -> FloatArray:
    """The first `frames` of a track; one that ends before stays as it is at its end."""
    held: FloatArray = values[np.minimum(np.arange(frames), len(values) - 1)]
    return held
