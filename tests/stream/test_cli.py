"""The command line as a user types it: real subprocesses, real files, read back by other programs."""

import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

SHARED = Path(__file__).parents[3] / "shared" / "data"


def handstream(*args: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stream.cli", *args], input=stdin, capture_output=True, text=True, timeout=240
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("said")


@pytest.fixture(scope="module")
def hello(folder):
    out = folder / "hello.npz"
    done = handstream("say", "HELLO WORLD", "--language", "ase", "--out", str(out), "--quiet")
    assert done.returncode == 0, done.stderr
    return np.load(out)


def test_npz_holds_the_three_modalities_and_the_glosses(hello):
    frames = len(hello["pose"])
    assert frames > 50
    assert hello["pose"].shape == (frames, 60, 2)
    assert hello["hands"].shape == (frames, 2, 16, 3)
    assert hello["smplx"].shape == (frames, 55, 3)
    assert hello["expression"].shape == (frames, 52)
    assert hello["gloss_index"].shape == (frames,)
    assert float(hello["fps"]) == 25
    assert hello["glosses"].tolist() == list("HELLOWORLD")
    assert "machine-generated" in str(hello["label"]).lower()
    for name in ("pose", "hands", "smplx", "expression"):
        assert np.isfinite(hello[name]).all()


def test_every_gloss_is_performed_in_order(hello):
    performed = hello["gloss_index"][hello["gloss_index"] >= 0]
    assert (np.diff(performed) >= 0).all()
    assert sorted(set(performed.tolist())) == list(range(10))


def test_video_is_read_back_by_another_decoder(folder):
    out = folder / "hi.mp4"
    done = handstream("say", "HI", "--out", str(out), "--quiet", "--size", "320x320")
    assert done.returncode == 0, done.stderr
    with av.open(str(out)) as container:
        frames = [f.to_ndarray(format="gray") for f in container.decode(video=0)]
        assert "machine-generated" in container.metadata["comment"].lower()
    assert frames[0].shape == (320, 320)
    moved = max(np.abs(a.astype(int) - frames[0].astype(int)).mean() for a in frames)
    assert moved > 1  # the picture changes: somebody signs
    probe = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", str(out)], capture_output=True, text=True
    )
    assert "codec_name=h264" in probe.stdout


def test_pose_opens_in_pose_format_with_its_keypoints(folder):
    from pose_format import Pose

    out = folder / "hi.pose"
    done = handstream("say", "HI", "--out", str(out), "--quiet")
    assert done.returncode == 0, done.stderr
    pose = Pose.read(out.read_bytes())
    assert [c.name for c in pose.header.components] == ["BODY", "LEFT_HAND_LANDMARKS", "RIGHT_HAND_LANDMARKS"]
    assert pose.body.data.shape[1:] == (1, 60, 3)
    assert pose.body.fps == 25
    width = pose.header.dimensions.width
    shoulders = pose.body.data[:, 0, [2, 5], 0]
    assert (shoulders > 0).all()
    assert (shoulders < width).all()


def test_pose_is_drawn_by_pose_formats_own_viewer(folder):
    from pose_format import Pose
    from pose_format.pose_visualizer import PoseVisualizer

    out = folder / "hi.pose"
    if not out.exists():
        assert handstream("say", "HI", "--out", str(out), "--quiet").returncode == 0
    frame = next(iter(PoseVisualizer(Pose.read(out.read_bytes())).draw()))
    assert (frame != frame[0, 0]).any()


def test_contact_sheet_has_a_picture_a_letter(folder):
    from PIL import Image

    out = folder / "sheet.png"
    done = handstream("say", "AB", "--out", str(out), "--quiet", "--size", "256x256")
    assert done.returncode == 0, done.stderr
    sheet = Image.open(out)
    assert sheet.width >= 512


def test_lines_are_read_from_a_pipe(folder):
    out = folder / "pipe.npz"
    done = handstream("say", "--pipe", "--out", str(out), "--quiet", stdin="ab\n\ncd\n")
    assert done.returncode == 0, done.stderr
    assert np.load(out)["glosses"].tolist() == list("ABCD")


@pytest.mark.skipif(not SHARED.exists(), reason="the shared recordings are not here")
def test_words_come_from_a_sign_lexicon_and_the_rest_is_spelled(folder):
    out = folder / "kinder.npz"
    lexicon = str(SHARED / "whole_signs_sgg")
    text = "Kleine Kinder essen Pizza in Zürich"
    done = handstream("say", text, "--language", "sgg", "--lexicon", lexicon, "--out", str(out), "--quiet")
    assert done.returncode == 0, done.stderr
    glosses = [str(g) for g in np.load(out)["glosses"]]
    assert [g.lower() for g in glosses[:4]] == ["kleine", "kinder", "essen", "pizza"]
    assert "".join(glosses[4:]) == "ZÜRICH"  # CH is one letter of this alphabet
    assert "in" in done.stderr.lower()  # the left-out preposition is reported, not dropped in silence


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["say", "hi", "--out", "x.gif"], ".mp4"),
        (["say", "--out", "x.npz"], "--pipe"),
        (["say", "hi", "--language", "xxx", "--out", "x.npz"], "ase"),
        (["say", "🙂🙂", "--out", "x.npz"], "nothing to sign"),
        (["say", "hi", "--out", "no/such/folder/x.npz"], "folder"),
        (["say", "hi", "--out", "x.mp4", "--size", "333x200"], "even"),
        (["say", "hi", "--out", "x.mp4", "--background", "transparent"], ".webm"),
        (["say", "hi", "--lexicon", "no-such-folder", "--out", "x.npz"], "index.csv"),
    ],
)
def test_bad_arguments_teach(arguments, expected, folder):
    done = handstream(*arguments, "--quiet")
    assert done.returncode == 1, done.stdout
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("x.npz").exists()


def test_doctor_tells_what_is_there():
    done = handstream("doctor", "--json")
    findings = {f["what"]: f for f in json.loads(done.stdout)}
    assert {"Python", "OpenGL", "codecs", "GPU", "lexicons", "cache"} <= set(findings)
    assert findings["models"]["ok"] is True
    assert "cogeneration" in findings["models"]["detail"]
    assert done.returncode == (0 if all(f["ok"] for f in findings.values() if f["needed"]) else 1)


def test_help_is_quick_because_commands_are_imported_lazily():
    heavy = "('torch', 'aiortc', 'moderngl', 'scipy')"
    code = f"import sys, stream.cli; print(sorted(m for m in sys.modules if m in {heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_glosser_model_falls_back_and_says_so(folder):
    out = folder / "plain.npz"
    model = str(folder / "no-such-model")
    done = handstream(
        "say", "ab", "--glosser", "slul", "--glosser-model", model, "--out", str(out), "--quiet"
    )
    assert done.returncode == 0, done.stderr
    assert "word for word" in done.stderr
    assert np.load(out)["glosses"].tolist() == ["A", "B"]
