"""PHOENIX14T+: result files become the motion they were made from, videos become motion, killed runs go
on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from engine.lexicon import Lexicon
from engine.rotations import matrix_from_rotvec
from engine.signals import Motion
from renderer.avatar import AvatarConfig, AvatarRenderer
from stream.cli import main
from trainer.data.compositions import Composer, CompositionConfig
from trainer.data.parts import Part, dwpose, hamer, smplerx, together
from trainer.data.phoenix_videos import read_clips
from trainer.data.sequences import SequenceStore

HEADING = "name|video|start|end|speaker|orthography|translation\n"
MEAN = np.random.default_rng(0).normal(0, 0.2, (2, 15, 3)).astype(np.float32)
_CAMERA = np.diag([1.0, -1.0, -1.0])
_MIRROR = np.diag([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def motion() -> Motion:
    """Both hands signing: the right one spells, the left one mirrors another word."""
    lexicon = Lexicon.default()
    composer = Composer(lexicon, CompositionConfig(language="gsg", rest_frames=1))
    right, left = (composer.spell(word, name=word, rate=1.2).motion for word in ("ja", "ich"))
    frames = min(len(right), len(left))
    from engine.body import load_body
    from engine.skeleton import JOINT_NAMES, mirror_smplx

    smplx, other = right.smplx[:frames].copy(), mirror_smplx(left.smplx[:frames])
    arm = [i for i, joint in enumerate(JOINT_NAMES) if joint.startswith("left_") and i not in (1, 4, 7, 10)]
    smplx[:, arm] = other[:, arm]
    smplx[:, 23:25] = 0  # no estimator here sees where the eyes look
    return load_body().motion(smplx, right.expression[:frames], 25.0)


def write_dwpose(path: Path, motion: Motion, missing: int | None = None) -> None:
    """COCO whole body in pixels, as MMPose writes it; beside the signer somebody unsure."""
    coco = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)
    points = np.zeros((len(motion), 133, 2))
    points[:, :17] = motion.pose[:, coco]
    points[:, 91:] = motion.pose[:, 18:]
    pixels = 160 + 55 * points
    frames = []
    for t, keypoints in enumerate(pixels.tolist()):
        signer = {"keypoints": keypoints, "keypoint_scores": [0.9] * 133}
        nobody = {"keypoints": [[0, 0]] * 133, "keypoint_scores": [0.4] * 133}
        frames.append({"frame_id": t + 1, "instances": [] if t == missing else [nobody, signer]})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"meta_info": {}, "instance_info": frames}))


def write_hamer(path: Path, motion: Motion, missing: int | None = None) -> None:
    rows = [(t, right) for t in range(len(motion)) for right in (0, 1) if t != missing]
    turns = []
    for t, right in rows:
        matrices = matrix_from_rotvec(motion.hands[t, right]).astype(np.float64)
        matrices[0] = _CAMERA @ matrices[0]
        if not right:  # HaMeR sees a left hand as the right hand of the mirrored picture
            matrices = _MIRROR @ matrices @ _MIRROR
        turns.append(matrices)
    path.parent.mkdir(parents=True, exist_ok=True)
    frame, right = np.array(rows).T
    stacked = np.stack(turns)
    np.savez(path, frame=frame, right=right, global_orient=stacked[:, :1], hand_pose=stacked[:, 1:])


def write_smplerx(folder: Path, motion: Motion, missing: int | None = None) -> None:
    from scipy.spatial.transform import Rotation

    (folder / "smplx").mkdir(parents=True, exist_ok=True)
    for t, pose in enumerate(motion.smplx):
        if t == missing:
            continue
        root = Rotation.from_matrix(_CAMERA @ Rotation.from_rotvec(pose[0]).as_matrix()).as_rotvec()
        named = {
            "global_orient": root[None],
            "body_pose": pose[1:22],
            "jaw_pose": pose[22:23],
            "left_hand_pose": pose[25:40] - MEAN[0],
            "right_hand_pose": pose[40:55] - MEAN[1],
            "betas": np.zeros((1, 10)),
        }
        np.savez(folder / "smplx" / f"{t + 1:05}_0.npz", **named)
        np.savez(folder / "smplx" / f"{t + 1:05}_1.npz", **{k: v + 1 for k, v in named.items()})


def matrices(rotvecs: np.ndarray) -> np.ndarray:
    return matrix_from_rotvec(np.ascontiguousarray(rotvecs, dtype=np.float32))


@pytest.mark.parametrize("missing", [None, 4])
def test_result_files_give_back_the_motion_they_were_made_from(
    tmp_path: Path, motion: Motion, missing: int | None
) -> None:
    """A frame without detections is filled from its neighbours: near, and of confidence 0."""
    write_dwpose(tmp_path / "d.json", motion, missing)
    write_hamer(tmp_path / "h.npz", motion, missing)
    write_smplerx(tmp_path / "s", motion, missing)
    parts = [
        dwpose(tmp_path / "d.json"),
        hamer(tmp_path / "h.npz"),
        smplerx(tmp_path / "s", (MEAN[0], MEAN[1])),
    ]
    found = together(parts, "x")
    seen = np.arange(len(motion)) != missing
    np.testing.assert_allclose(found["pose"][seen], motion.pose[seen], atol=2e-2)
    np.testing.assert_allclose(matrices(found["hands"])[seen], matrices(motion.hands)[seen], atol=1e-4)
    np.testing.assert_allclose(matrices(found["smplx"])[seen], matrices(motion.smplx)[seen], atol=1e-4)
    assert found["confidence"].tolist() == np.repeat(seen[:, None], 2, 1).astype(float).tolist()
    for name in ("hands", "smplx"):
        np.testing.assert_allclose(matrices(found[name]), matrices(getattr(motion, name)), atol=0.35)
    assert all(np.isfinite(value).all() for value in found.values())


def test_the_openpose_order_of_dwpose_is_the_same_body(tmp_path: Path, motion: Motion) -> None:
    write_dwpose(tmp_path / "a.json", motion)
    points = np.zeros((len(motion), 134, 2))
    points[:, :18], points[:, 92:] = motion.pose[:, :18], motion.pose[:, 18:]
    np.savez(tmp_path / "b.npz", keypoints=160 + 55 * points, scores=np.full((len(motion), 134), 0.9))
    np.testing.assert_allclose(dwpose(tmp_path / "a.json").pose, dwpose(tmp_path / "b.npz").pose, atol=1e-4)


def test_what_no_estimator_sees_follows_from_the_body(motion: Motion) -> None:
    found = together([Part(smplx=motion.smplx, sparse=True)], "x")
    np.testing.assert_allclose(found["pose"], motion.pose, atol=1e-5)
    np.testing.assert_allclose(found["hands"], motion.hands, atol=1e-5)
    dense = Part(pose=np.repeat(motion.pose, 2, axis=0)[: len(motion) + 3])
    longer = together([dense, Part(smplx=motion.smplx, sparse=True)], "x")  # nobody seen in the last frames
    assert len(longer["smplx"]) == len(motion) + 3
    assert np.array_equal(longer["smplx"][-1], motion.smplx[-1])
    with pytest.raises(ValueError, match="expected as many"):
        together([Part(smplx=motion.smplx), Part(pose=motion.pose[:-9])], "x")
    with pytest.raises(ValueError, match="no body pose"):
        together([Part(pose=motion.pose)], "x")


def test_broken_results_are_told(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"instance_info": [{"instances": [{"keypoints": [1]}]}]}')
    with pytest.raises(ValueError, match="133 keypoints"):
        dwpose(bad)
    np.savez(tmp_path / "none.npz", keypoints=np.zeros((2, 133, 2)), scores=np.zeros((2, 133)))
    with pytest.raises(ValueError, match="shoulders are never seen"):
        dwpose(tmp_path / "none.npz")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ValueError, match="cannot be read"):
        hamer(tmp_path / "cut.npz")
    rows = {"frame": [0], "right": np.array([1]), "hand_pose": np.full((1, 15, 3, 3), np.nan)}
    np.savez(tmp_path / "nan.npz", global_orient=np.zeros((1, 3, 3)), **rows)
    with pytest.raises(ValueError, match="NaN or infinity"):
        hamer(tmp_path / "nan.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no results of SMPLer-X"):
        smplerx(tmp_path / "empty", (MEAN[0], MEAN[1]))
    with pytest.raises(ValueError, match=r"corpus\.csv"):
        read_clips(tmp_path)


def corpus(folder: Path, motion: Motion, names: tuple[str, ...]) -> Path:
    """A small corpus in the released layout, with result files for every clip."""
    (folder / "annotations").mkdir(parents=True)
    table = folder / "annotations" / "PHOENIX-2014-T.train.corpus.csv"
    rows = [
        f'{name}|x|-1|-1|Signer0{i % 2}|WETTER {name.upper()}|das "wetter' for i, name in enumerate(names)
    ]
    table.write_text(HEADING + "\n".join(rows) + "\n")
    for i, name in enumerate(names):
        clip = motion[i : i + 8]
        write_dwpose(folder / "dwpose" / "train" / f"{name}.json", clip)
        write_hamer(folder / "hamer" / f"{name}.npz", clip)
        write_smplerx(folder / "smplerx" / name, clip)
    np.savez(folder / "model.npz", hands_meanl=MEAN[0].ravel(), hands_meanr=MEAN[1].ravel())
    return folder


KILLED = """
    import os, signal, sys
    from trainer.data import phoenix_videos
    made = phoenix_videos.Results.__call__
    count = 0
    def killed(self, clip):
        global count
        count += 1
        if count == 8:      # three extractors a clip: in the midst of the third clip
            os.kill(os.getpid(), signal.SIGKILL)
        return made(self, clip)
    phoenix_videos.Results.__call__ = killed
    from stream.cli import main
    main(sys.argv[1:])
"""


def test_the_command_goes_on_where_it_was_killed(
    tmp_path: Path, motion: Motion, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = corpus(tmp_path / "phoenix", motion, ("a", "b", "c", "d"))
    os.remove(folder / "hamer" / "d.npz")  # no hands for this one: they follow from the body
    command = ["train", "prepare", "phoenix14t", str(folder), "--no-video", "--out", str(tmp_path / "out")]
    command += ["--smplx-model", str(folder / "model.npz")]
    script = textwrap.dedent(KILLED)
    died = subprocess.run([sys.executable, "-c", script, *command], check=False, capture_output=True)
    assert died.returncode == -9, died.stderr.decode()
    assert len(SequenceStore(tmp_path / "out" / "train")) == 2
    assert main(command) == 0
    assert "4 sequences, 2 of them new; 0 left out" in capsys.readouterr().out
    store = SequenceStore(tmp_path / "out" / "train")
    store.check()
    assert [s.name for s in store] == ["train/a", "train/b", "train/c", "train/d"]
    one = store[1]
    assert (one.glosses, one.text, one.signer) == (("WETTER", "B"), 'das "wetter', "Signer01")
    assert not one.timed
    assert one.spans.tolist() == [[0, 4], [4, 8]]
    np.testing.assert_allclose(matrices(one.motion.smplx), matrices(motion.smplx[1:9]), atol=1e-4)
    np.testing.assert_allclose(matrices(store[3].motion.hands), matrices(motion.hands[3:11]), atol=1e-3)


def test_without_the_mean_hand_smplerx_is_refused_and_the_clip_left_out(
    tmp_path: Path, motion: Motion, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = corpus(tmp_path / "phoenix", motion, ("a",))
    command = ["train", "prepare", "phoenix14t", str(folder), "--no-video", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "0 sequences, 0 of them new; 1 left out" in told
    assert "--smplx-model SMPLX_NEUTRAL.npz" in told


def test_real_videos_of_our_own_avatar_become_motion_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through MediaPipe, from a video and from pictures: the right wrist rises and falls where it does in
    truth.
    """
    composer = Composer(Lexicon.default(), CompositionConfig(language="gsg", rest_frames=1))
    truth = composer.spell("l", name="l", rate=1.4).motion[:24]
    folder = tmp_path / "phoenix"
    (folder / "annotations").mkdir(parents=True)
    rows = "film|x|-1|-1|Signer01|L|l\nstills|x|-1|-1|Signer01|L|l\n"
    (folder / "annotations" / "x.dev.corpus.csv").write_text(HEADING + rows)
    renderer = AvatarRenderer(AvatarConfig(width=320, height=320))
    renderer.open()
    try:
        pictures = [np.ascontiguousarray(renderer.rgba(frame)[..., :3]) for frame in truth.frames()]
    finally:
        renderer.close()
    (folder / "videos").mkdir()
    with av.open(str(folder / "videos" / "film.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "18"})
        stream.width = stream.height = 320
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(stream.encode())
    place = folder / "features" / "fullFrame-210x260px" / "dev" / "stills"
    place.mkdir(parents=True)
    for i, picture in enumerate(pictures[8:18], 1):
        Image.fromarray(picture).save(place / f"images{i:04}.png")
    assert main(["train", "prepare", "phoenix14t", str(folder), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "2 sequences, 2 of them new; 0 left out" in told, told
    assert (tmp_path / "out" / "recordings" / "dev" / "film.pose").exists()
    film, stills = (sequence.motion for sequence in SequenceStore(tmp_path / "out" / "dev"))
    assert (len(film), len(stills)) == (len(truth), 10)
    assert film.fps == stills.fps == 25.0
    assert film.confidence[:, 1].mean() > 0.5
    assert stills.confidence[:, 1].mean() > 0.5
    heights = [clip.pose[:, 4, 1] for clip in (film, truth)]
    assert np.corrcoef(heights)[0, 1] > 0.8
