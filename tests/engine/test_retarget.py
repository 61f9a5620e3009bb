"""Recordings become motion: what is recovered, what is measured against the source, what bad input does."""

from __future__ import annotations

import csv
import dataclasses
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.body import load_body
from engine.retarget import Recording, Source, estimate_alpha, measure_source, read_pose, retarget
from engine.retarget.arms import rest_arm
from engine.retarget.face import load_basis, solve_face
from engine.retarget.hand import ANGLES, CMC, LOWER, UPPER, forward, hand_rig, rotations, smplx_joints
from engine.retarget.model import HandModel
from engine.retarget.recording import BODY, BODY_POINTS
from engine.retarget.source import own_hand
from engine.retarget.touching import own_face
from engine.signals import Motion
from engine.skeleton import COCO18_NAMES, FACE, JOINT, POSE_HAND, SIDES, WRIST, mirror_smplx

ALPHABETS = Path(str(files("spoken_to_signed"))) / "assets" / "fingerspelling_lexicon"
DATA = Path(__file__).parents[3] / "shared" / "data"
PIXELS_PER_M, ALPHA, CENTRE = 500.0, 650.0, (250.0, 220.0)


def alphabet(language: str) -> dict[str, Path]:
    with (ALPHABETS / "index.csv").open() as file:
        return {
            row["words"]: ALPHABETS / row["path"]
            for row in csv.DictReader(file)
            if row["signed_language"] == language
        }


@pytest.fixture(scope="module")
def asl() -> dict[str, Recording]:
    return {letter: read_pose(path) for letter, path in alphabet("ase").items()}


@pytest.fixture(scope="module")
def asl_source(asl: dict[str, Recording]) -> Source:
    return measure_source(asl.values())


@pytest.fixture(scope="module")
def asl_motions(asl: dict[str, Recording], asl_source: Source) -> dict[str, Motion]:
    return {letter: retarget(recording, source=asl_source) for letter, recording in asl.items()}


def record(smplx: np.ndarray, fps: float = 25.0) -> Recording:
    """What a perfect detector would record of our own body in these poses."""
    body = load_body()
    points = body.keypoints(*body.fk(smplx.astype(np.float32))).astype(np.float64)

    def picture(metres: np.ndarray) -> np.ndarray:
        x, y, z = np.moveaxis(metres * PIXELS_PER_M, -1, 0)
        return np.stack([CENTRE[0] + x, CENTRE[1] - y, -z / ALPHA], -1)

    track = np.full((len(smplx), len(BODY_POINTS), 3), np.nan)
    for name in ("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"):
        track[:, BODY[name.upper()]] = picture(points[:, COCO18_NAMES.index(name)])
    face = np.broadcast_to(picture(own_face(body)), (len(smplx), 468, 3)).copy()
    hands = {side: picture(points[:, POSE_HAND[side]]) for side in SIDES}
    return Recording(fps, track, face, hands, np.isfinite(track).all(-1) * 1.0, "our own body")


def raised(side: str, turn: Rotation, angles: np.ndarray) -> np.ndarray:
    """A pose [55, 3] with one hand raised before the shoulder, the palm turned, the fingers at `angles`."""
    pose = np.zeros((55, 3))
    for other in SIDES:
        for joint, value in rest_arm(other).items():
            pose[joint] = value
    s = 1.0 if side == "left" else -1.0
    upper = Rotation.from_rotvec([0, 0, -s * 1.25])
    fore = Rotation.from_rotvec([0, -s * 0.5, 0]) * Rotation.from_rotvec([0, 0, s * 1.3])
    pose[JOINT[f"{side}_shoulder"]] = upper.as_rotvec()
    pose[JOINT[f"{side}_elbow"]] = (upper.inv() * fore).as_rotvec()
    pose[WRIST[side]] = (fore.inv() * turn).as_rotvec()
    local = rotations(hand_rig(load_body()), angles[None])[0].reshape(15, 3, 3)
    flip = np.array([1, -1, -1]) if side == "left" else np.ones(3)
    pose[smplx_joints(side)] = Rotation.from_matrix(local).as_rotvec() * flip
    return pose


UPRIGHT = {  # fingers up, palm to the camera
    "right": Rotation.from_matrix(np.stack([[0, -1, 0], [0, 0, -1], [1, 0, 0]], 1)),
    "left": Rotation.from_matrix(np.stack([[0, 1, 0], [0, 0, -1], [-1, 0, 0]], 1)),
}


def handshapes(count: int, rng: np.random.Generator) -> np.ndarray:
    """Angles a hand takes: each finger straight, curved or folded; the thumb beside or across."""
    angles = np.zeros((count, ANGLES))
    for row in angles:
        for finger in range(4):
            curl = rng.choice([0.0, 0.35, 0.9])
            flex, pip = np.radians(75 * curl + rng.uniform(0, 8)), np.radians(95 * curl + rng.uniform(0, 8))
            row[4 * finger : 4 * finger + 4] = flex, rng.normal(0, 0.05), pip, 0.6 * pip
        row[CMC] = rng.normal(0, 0.15, 3)
        row[19:] = np.radians([rng.uniform(0, 40), 0, rng.uniform(0, 40)])
    return np.clip(angles, LOWER, UPPER)


def degrees_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees((Rotation.from_rotvec(a).inv() * Rotation.from_rotvec(b)).magnitude())


def test_known_angles_come_back() -> None:
    rng = np.random.default_rng(0)
    errors: dict[str, list[float]] = {"1": [], "2": [], "3": [], "wrist": []}
    for angles in handshapes(12, rng):
        turn = Rotation.from_rotvec(rng.normal(0, 0.3, 3)) * UPRIGHT["right"]
        truth = np.repeat(raised("right", turn, angles)[None], 8, 0)
        solved = retarget(record(truth), alpha=ALPHA, contacts=False).smplx[4]
        for finger in ("index", "middle", "ring", "pinky"):
            for k in "123":
                joint = JOINT[f"right_{finger}{k}"]
                errors[k].append(float(degrees_between(truth[4, joint], solved[joint])))
        body = load_body()
        rotation = [body.fk(p[None].astype(np.float32))[0][0, WRIST["right"]] for p in (truth[4], solved)]
        errors["wrist"].append(
            float(np.degrees(Rotation.from_matrix(rotation[0].T @ rotation[1]).magnitude()))
        )
    mean = {name: float(np.mean(values)) for name, values in errors.items()}
    # RETARGET's prototype reached 12, 10.5, 8.8 and 14.5 degrees.
    assert mean["1"] < 12.0
    assert mean["2"] < 10.5
    assert mean["3"] < 8.8
    assert mean["wrist"] < 14.5


def test_hand_model_is_the_hand_of_the_body_and_its_gradient_is_right() -> None:
    rng = np.random.default_rng(1)
    rig = hand_rig(load_body())
    angles = handshapes(3, rng)
    thumb = Rotation.from_rotvec(angles[:, CMC]).as_matrix()
    start = angles.T.copy()
    start[CMC] = 0.0
    model = HandModel(rig, *own_hand(rig), thumb)
    own = forward(rig, rotations(rig, angles), np.broadcast_to(np.eye(3), (3, 3, 3)))
    points = model.points(start)
    assert (
        np.abs((own - own[:, :1]) / rig.palm_m - points.T).max() < 0.05
    )  # tips are not quite on the bones' lines
    weight = rng.normal(size=points.shape)
    gradient = model.pull(start, weight)
    for i in range(ANGLES):
        step = np.zeros_like(start)
        step[i] = 1e-6
        numeric = ((model.points(start + step) - model.points(start - step)) * weight).sum((0, 1)) / 2e-6
        assert np.abs(numeric - gradient[i]).max() < 1e-6


def distances(motions: dict[str, Motion], recordings: dict[str, Recording]) -> dict[str, float]:
    """Mean distance of source and projection in shoulder widths, where hands were seen."""
    found: dict[str, list[float]] = {"wrist": [], "tips": [], "elbow": []}
    for name, motion in motions.items():
        recording = recordings[name]
        left, right = recording.point("LEFT_SHOULDER")[:, :2], recording.point("RIGHT_SHOULDER")[:, :2]
        middle = np.nanmedian((left + right) / 2, 0)
        width = np.nanmedian(np.linalg.norm(left - right, axis=1))
        for side in SIDES:
            seen = recording.hand_seen(side)
            if seen.sum() < 2:
                continue
            source = (recording.hands[side][seen][..., :2] - middle) / width
            off = np.linalg.norm(source - motion.pose[seen][:, POSE_HAND[side]], axis=-1)
            found["wrist"].append(off[:, 0].mean())
            found["tips"].append(off[:, [4, 8, 12, 16, 20]].mean())
            elbow = (recording.point(f"{side.upper()}_ELBOW")[seen][:, :2] - middle) / width
            ours = motion.pose[seen][:, COCO18_NAMES.index(f"{side}_elbow")]
            found["elbow"].append(np.nanmean(np.linalg.norm(elbow - ours, axis=-1)))
    return {name: float(np.mean(values)) for name, values in found.items()}


def test_hands_are_where_the_signer_had_them(
    asl: dict[str, Recording], asl_motions: dict[str, Motion]
) -> None:
    found = distances(asl_motions, asl)
    assert found["wrist"] < 0.042
    assert found["tips"] < 0.068
    assert found["elbow"] < 0.20


def test_whole_signs_are_where_the_signer_had_them() -> None:
    folder = DATA / "whole_signs_sgg" / "sgg"
    if not folder.is_dir():
        pytest.skip(f"development data absent: {folder}")
    recordings = {path.stem: read_pose(path) for path in sorted(folder.glob("*.pose"))}
    source = measure_source(recordings.values())
    motions = {name: retarget(recording, source=source) for name, recording in recordings.items()}
    found = distances(motions, recordings)
    assert found["wrist"] < 0.045
    assert found["tips"] < 0.072  # 0.064 before contacts are settled
    assert found["elbow"] < 0.21
    assert 1000 < source.alpha < 2200  # this source stores depth in another unit than the alphabets
    for motion in motions.values():
        assert motion.expression[:, FACE["jawOpen"]].max() > 0.15  # mouthings survive


def test_fingers_do_not_tremble(asl_motions: dict[str, Motion]) -> None:
    joints = [joint for joint in smplx_joints("right") if joint != JOINT["right_thumb1"]]
    second = [np.diff(np.degrees(m.smplx[:, joints]), n=2, axis=0) for m in asl_motions.values()]
    assert np.mean([np.linalg.norm(s, axis=-1).mean() for s in second]) < 4.5  # unsmoothed closed form: 8.3


def test_modalities_agree(asl_motions: dict[str, Motion]) -> None:
    body, motion = load_body(), asl_motions["W"]
    again = body.motion(motion.smplx, motion.expression, motion.fps)
    assert np.array_equal(again.pose, motion.pose)
    assert np.array_equal(again.hands, motion.hands)


def test_the_same_recording_gives_the_same_motion(asl: dict[str, Recording], asl_source: Source) -> None:
    first, second = (retarget(asl["R"], source=asl_source, letter="R") for _ in range(2))
    assert np.array_equal(first.smplx, second.smplx)
    assert np.array_equal(first.expression, second.expression)


def test_source_survives_json(asl: dict[str, Recording], asl_source: Source) -> None:
    again = Source.from_json(asl_source.as_json())
    assert again.as_json() == asl_source.as_json()
    off = retarget(asl["B"], source=again).smplx - retarget(asl["B"], source=asl_source).smplx
    assert np.abs(off).max() < 0.05


def test_anonymised_sources_are_known_by_their_first_frames(
    asl: dict[str, Recording], asl_source: Source
) -> None:
    assert asl_source.anonymised
    assert not measure_source([asl["A"]]).anonymised  # one recording cannot tell
    moved = [dataclasses.replace(r, body=r.body + i) for i, r in enumerate(asl.values())]
    assert not measure_source(moved).anonymised


def test_alpha_is_found_from_many_clips_and_not_absurd_from_one(asl: dict[str, Recording]) -> None:
    assert 550 < estimate_alpha(asl.values()) < 750
    assert all(350 < estimate_alpha([recording]) < 1200 for recording in asl.values())


def mirrored(recording: Recording) -> Recording:
    """The same signer seen in a mirror; the face is left out (its mesh has no mirrored numbering)."""
    flip = np.array([-1.0, 1, 1])
    swap = [
        BODY[name.replace("LEFT", "x").replace("RIGHT", "LEFT").replace("x", "RIGHT")] for name in BODY_POINTS
    ]
    hands = {"left": recording.hands["right"] * flip, "right": recording.hands["left"] * flip}
    face = np.full_like(recording.face, np.nan)
    return Recording(
        recording.fps, recording.body[:, swap] * flip, face, hands, recording.body_confidence[:, swap]
    )


def test_a_mirrored_recording_gives_mirrored_motion(asl: dict[str, Recording]) -> None:
    for letter in "LP":
        there = mirrored(asl[letter])
        back = retarget(mirrored(there), alpha=ALPHA)
        assert np.abs(mirror_smplx(retarget(there, alpha=ALPHA).smplx) - back.smplx).max() < 0.02
        assert there.hand_seen("left").any()
        assert not there.hand_seen("right").any()


def test_a_hand_never_seen_hangs_and_says_so(asl: dict[str, Recording]) -> None:
    motion = retarget(asl["A"])
    assert np.array_equal(motion.confidence[:, 0], np.zeros(len(motion), np.float32))
    assert (motion.confidence[asl["A"].hand_seen("right"), 1] == 1).all()
    assert motion.pose[:, COCO18_NAMES.index("left_wrist"), 1].min() > 0.8


def test_a_hand_lost_for_a_while_is_carried_over_with_less_confidence(asl: dict[str, Recording]) -> None:
    whole = asl["B"]
    hands = {side: hand.copy() for side, hand in whole.hands.items()}
    hands["right"][8:14] = np.nan
    motion = retarget(dataclasses.replace(whole, hands=hands))
    full = retarget(whole)
    assert motion.confidence[7, 1] == 1
    assert 0 < motion.confidence[11, 1] < 0.8
    assert np.abs(np.diff(motion.smplx[6:16], axis=0)).max() < 0.6  # no jump
    off = np.linalg.norm(motion.pose[8:14, POSE_HAND["right"]] - full.pose[8:14, POSE_HAND["right"]], axis=-1)
    assert off.mean() < 0.15


def test_nothing_seen_at_all_is_rest_with_confidence_zero(asl: dict[str, Recording]) -> None:
    blank = asl["A"]
    nothing = dataclasses.replace(
        blank,
        body=np.full_like(blank.body, np.nan),
        face=np.full_like(blank.face, np.nan),
        hands={side: np.full_like(hand, np.nan) for side, hand in blank.hands.items()},
        body_confidence=np.zeros_like(blank.body_confidence),
    )
    motion = retarget(nothing)
    assert not motion.confidence.any()
    assert not motion.expression.any()
    assert np.abs(motion.smplx - motion.smplx[:1]).max() == 0
    assert (motion.pose[:, [COCO18_NAMES.index(f"{s}_wrist") for s in SIDES], 1] > 0.8).all()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_short_clips(asl: dict[str, Recording], count: int) -> None:
    whole = asl["V"]
    middle = len(whole) // 2
    cut = slice(middle, middle + count)
    short = Recording(
        whole.fps,
        whole.body[cut],
        whole.face[cut],
        {side: hand[cut] for side, hand in whole.hands.items()},
        whole.body_confidence[cut],
    )
    motion = retarget(short)
    assert len(motion) == count
    assert np.isfinite(motion.smplx).all()
    assert motion.confidence[:, 1].min() == 1


def test_units_put_onto_our_own_face_are_read_back() -> None:
    basis = load_basis()
    for unit, threshold in (("jawOpen", 0.5), ("mouthPucker", 0.4), ("browDownLeft", 0.4)):
        face = np.repeat(basis.neutral[None], 12, 0)
        face[8:] += basis.response[FACE[unit]]
        units = solve_face(face * np.array([300.0, -300.0, -300.0 / ALPHA]), ALPHA, 5.0).units
        assert units[-1, FACE[unit]] > threshold
        assert units[0].max() < 0.2
    nodded = np.repeat(basis.neutral[None], 12, 0)
    nodded[6:] = Rotation.from_rotvec([0.2, 0, 0]).apply(nodded[6:].reshape(-1, 3)).reshape(-1, 468, 3)
    head = solve_face(nodded * np.array([300.0, -300.0, -300.0 / ALPHA]), ALPHA, 5.0).head
    assert head[-1, 0] - head[0, 0] == pytest.approx(0.3, abs=0.05)  # pitch gain 1.5
