"""`handstream eval cogeneration`: the measure measured, and that no inference path sees the truth."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import engine
from engine.choreography import LexiconChoreography
from engine.lexicon import Lexicon
from engine.signals import IDLE
from stream.cli import main
from trainer.data.compositions import Composer, CompositionConfig
from trainer.motion_eval import compare, figures, measure_stream, perform, perform_long, stream_figures
from trainer.motion_eval_command import table
from trainer.plots import plot_log, read_log
from trainer.recogniser import Recogniser, RecogniserConfig


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer(Lexicon.default(), CompositionConfig(rest_frames=1))


@pytest.fixture(scope="module")
def judge() -> Recogniser:
    return Recogniser.new(RecogniserConfig(width=8), {"ase": [chr(c) for c in range(65, 91)]})


def test_recordings_against_themselves_are_perfect(composer: Composer, judge: Recogniser) -> None:
    """The lexicon's own choreography differs from the composed truth by its idle life only."""
    choreography = LexiconChoreography(composer.lexicon)
    compared = compare(choreography, composer, ["all", "zoo", "jazz"])
    for one in compared:
        assert one.ours.spans().tolist() == one.theirs.spans.tolist()
        assert one.ours.pending.any()
    found = figures(compared, judge, "ase")
    assert found["duration_ratio"] == pytest.approx(1, abs=1e-9)
    assert found["path_length_ratio"] == pytest.approx(1, abs=0.05)
    assert found["own_over_random"] < 0.25
    assert found["dtw_mje_42_hand_joints"] < 0.05
    assert found["seam_jerk"] == pytest.approx(found["true_seam_jerk"], rel=0.05)
    assert found["letter_error"] == pytest.approx(found["true_letter_error"], abs=40)
    shown = table(found | {"longest_freeze_s": 3.0})
    assert "MISSED" in shown.split("longest_freeze_s")[1]
    assert "MISSED" not in shown.split("duration_ratio")[1].split("\n")[0]


def test_a_long_stream_is_fed_and_measured(composer: Composer, judge: Recogniser) -> None:
    texts = [composer.glosses(word) for word in ("ab", "zoo")]
    long = perform_long(LexiconChoreography(composer.lexicon), texts, 0.4)
    assert len(long.motion) == 600
    shown = [i for i, _ in itertools.groupby(long.labels[long.labels != IDLE])]
    assert shown == list(range(len(shown)))  # one after the other, none left out
    assert long.pending.all()
    signed = [gloss for text in texts for gloss in text]
    one = measure_stream(long, signed, judge, "ase", window_s=8.0)
    assert len(one.errors) == 3
    found = stream_figures([one, one], 8.0)
    assert found["stream_letter_error"] == pytest.approx(np.mean(one.errors))
    assert found["stream_error_trend_low"] < found["stream_error_trend"] < found["stream_error_trend_high"]
    assert found["longest_freeze_s"] < 1
    assert found["drift_place"] < 0.5
    assert found["stream_minutes"] == pytest.approx(0.4)


class Endless(LexiconChoreography):
    """A choreography that never comes to rest, as a model that does not learn to stop."""

    def step(self, state, pts_ns):  # type: ignore[no-untyped-def]
        frame = super().step(state, pts_ns)
        if state.resting:
            self.append([(1, self.again)], state)
        return frame


def test_a_model_that_never_stops_is_told(composer: Composer) -> None:
    choreography = Endless(composer.lexicon)
    glosses = composer.glosses("a")
    choreography.again = glosses[0]
    with pytest.raises(ValueError, match=r"A: still signing after \d+ frames; the model does not"):
        perform(choreography, glosses)


def test_the_command_prints_figures_and_draws_plots(
    judge: Recogniser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge.save(tmp_path / "judge")
    (tmp_path / "log.csv").write_text("epoch,step,seconds,loss,dev\n1,10,1,3.5,\n2,20,2,2.5,40\n")
    command = ["eval", "cogeneration", "--choreography", "lexicon", "--words", "2", "--minutes", "0"]
    command += ["--recogniser", str(tmp_path / "judge"), "--out", str(tmp_path / "out")]
    assert main([*command, "--losses", str(tmp_path / "log.csv")]) == 0
    printed = capsys.readouterr().out.strip().splitlines()
    record = json.loads(printed[-1])
    assert record == json.loads((tmp_path / "out" / "figures.json").read_text())
    assert record["duration_ratio"] == 1
    for name in ("trajectories", "durations", "losses"):
        picture = np.asarray(Image.open(tmp_path / "out" / f"{name}.png").convert("L"))
        assert min(picture.shape) > 200
        assert (picture < 128).mean() > 1e-3  # something is drawn
    assert main([*command[:2], "--words", "1"]) == 1
    assert "at least 2 words" in capsys.readouterr().err
    assert main([*command, "--language", "gsg"]) == 1
    assert "trained on: ase" in capsys.readouterr().err


def test_logs_with_gaps_are_read(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("epoch,step,seconds,loss,dev\n1,10,1,3.5,\n2,20,2,2.5,40\n")
    assert read_log(tmp_path / "log.csv") == {"loss": ([10, 20], [3.5, 2.5]), "dev": ([20], [40])}
    (tmp_path / "log.csv").write_text("epoch,step,seconds\n")
    with pytest.raises(ValueError, match="train for at least one epoch"):
        plot_log(tmp_path / "log.csv", tmp_path / "x.png")


def test_without_matplotlib_plots_say_what_to_install() -> None:
    script = "import sys; sys.modules['matplotlib'] = None; from trainer.plots import figure; figure()"
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert "pip install 'handstream[metrics]'" in done.stderr


# -- timing is generated, never read -------------------------------------------------------------

ENGINE = Path(engine.__file__).parent
INFERENCE = [
    *sorted((ENGINE / "choreography").glob("cogeneration*.py")),
    *sorted((ENGINE / "nn").glob("*.py")),
    ENGINE / "corrector.py",
    ENGINE / "features.py",
]
TRUTH = {"target", "targets", "truth", "ground_truth", "reference", "references", "teacher", "spans"}
NAMED = {ast.arg: "arg", ast.Name: "id", ast.Attribute: "attr", ast.keyword: "arg"}
RECORDED = {"MotionSequence", "SequenceStore", "read_pose", "retarget"}


@pytest.mark.parametrize("path", INFERENCE, ids=lambda path: path.stem)
def test_inference_reads_no_target(path: Path) -> None:
    """No module that generates imports the trainer, takes anything called a target, or reads a recording's
    motion.
    """
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not any(module.split(".")[0] == "trainer" for module in modules), path
            assert not RECORDED & set(modules), path
        if path.stem.startswith("cogeneration") or path.parent == ENGINE:
            named = {ast.arg: "arg", ast.Name: "id", ast.Attribute: "attr", ast.keyword: "arg"}.get(
                type(node)
            )
            if named is not None:
                assert getattr(node, named) not in TRUTH, f"{path}:{node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr != "motion" or "cogeneration" not in path.stem, f"{path}:{node.lineno}"


def test_evaluation_gives_a_choreography_glosses_rate_and_seed_only() -> None:
    assert list(inspect.signature(perform).parameters) == ["choreography", "glosses", "rate", "seed"]
    tree = ast.parse(inspect.getsource(compare))
    lines = {
        node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id: node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name)
    }
    assert lines["perform"] < lines["spell"]  # everything is generated before any truth is composed


def test_two_videos_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (6, 6, 8, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    for name, shown in (("a", pictures), ("b", pictures // 2), ("small", pictures[:, :32])):
        with av.open(str(tmp_path / f"{name}.mkv"), "w") as out:
            stream = out.add_stream("ffv1", rate=25)
            stream.height, stream.width = shown.shape[1:3]
            stream.pix_fmt = "bgr0"
            for picture in shown:
                out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
            out.mux(stream.encode())
    a, b = str(tmp_path / "a.mkv"), str(tmp_path / "b.mkv")
    assert main(["eval", "pictures", a, a]) == 0
    same = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert same["ssim"] == pytest.approx(1)
    assert same["psnr"] is None  # infinite
    assert same["fid"] == pytest.approx(0, abs=1e-4)
    assert main(["eval", "pictures", b, a]) == 0
    darker = json.loads(capsys.readouterr().out.splitlines()[-1])
    error = np.mean([((p / 1.0 - p // 2) ** 2).mean() for p in pictures])
    assert darker["psnr"] == pytest.approx(10 * np.log10(255**2 / error), abs=0.2)
    assert darker["fid"] > 1e-3
    assert main(["eval", "pictures", a, str(tmp_path / "small.mkv")]) == 1
    assert "got pictures of 64x48 and 64x32" in capsys.readouterr().err
    (tmp_path / "no.mkv").write_bytes(b"no video")
    assert main(["eval", "pictures", a, str(tmp_path / "no.mkv")]) == 1
    assert "not a readable video" in capsys.readouterr().err
