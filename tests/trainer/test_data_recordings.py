"""Corpora of recordings: what the reader makes of them is where the recording says, and what is broken is
told.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from engine.body import Body, load_body
from engine.lexicon import Lexicon
from engine.signals import Motion
from engine.skeleton import POSE_HAND
from stream.cli import main
from trainer.data.compositions import Composer, CompositionConfig
from trainer.data.recordings import dgs_sentences, pose_folder, skels
from trainer.data.sequences import SequenceStore, even_spans


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon.default()


@pytest.fixture(scope="module")
def recordings(lexicon: Lexicon) -> list[Path]:
    """Three real recordings of one source: letters of the German alphabet."""
    return [lexicon.entry(lexicon.alphabet("gsg")[letter]).path for letter in "alv"]


def sentence(folder: Path, name: str, recording: Path) -> None:
    """One sentence in the layout of the DGS data, its glosses timed in the document's milliseconds."""
    marks = {"gloss": ["ICH1", "$INDEX1*"], "start": [10_000, 10_410], "end": [10_200, 99_000]}
    data = {"document_id": "117", "sentence": {"start": 10_000, "german": "Ich bin's.", "glosses": marks}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}_metadata.json").write_text(json.dumps(data))
    shutil.copy(recording, folder / f"{name}_original.pose")


def test_dgs_sentences_with_gloss_times(tmp_path: Path, recordings: list[Path], lexicon: Lexicon) -> None:
    for i, recording in enumerate(recordings):
        sentence(tmp_path / "dgs", f"train_{i}", recording)
    (tmp_path / "dgs" / "train_2_original.pose").write_bytes(b"cut off")
    assert main(["train", "prepare", "dgs", str(tmp_path / "dgs"), "--out", str(tmp_path / "out")]) == 0
    store = SequenceStore(tmp_path / "out")
    assert [s.name for s in store] == ["train_0", "train_1"]  # the broken one is left out, and told
    one = store[1]
    assert (one.language, one.signer, one.text) == ("gsg", "117", "Ich bin's.")
    assert one.glosses == ("ICH1", "$INDEX1*")
    assert one.timed
    fps = one.motion.fps
    assert one.spans.tolist() == [
        [0, round(0.2 * fps)],
        [round(0.41 * fps), len(one)],
    ]  # cut at the clip's end
    known = lexicon.motion(lexicon.alphabet("gsg")["l"])  # the same recording, as the lexicon retargets it
    rate = one.motion.fps / known.fps
    assert len(one) == pytest.approx(len(known) * rate, abs=2)
    even = np.linspace(0, 1, 50)
    heights = [np.interp(even, np.linspace(0, 1, len(m)), m.pose[:, 4, 1]) for m in (one.motion, known)]
    assert np.corrcoef(heights)[0, 1] > 0.95


def test_dgs_troubles_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no \*_metadata\.json"):
        dgs_sentences(tmp_path)
    (tmp_path / "x_metadata.json").write_text('{"sentence": 1}')
    with pytest.raises(ValueError, match=r"x_metadata\.json: not the metadata"):
        dgs_sentences(tmp_path)
    with pytest.raises(ValueError, match="original or updated"):
        dgs_sentences(tmp_path, "other")


def skeleton(motion: Motion, body: Body) -> np.ndarray:
    """[T, 50, 3] as in `.skels`: x to the right of the picture, y down, z to the camera, arbitrary size."""
    at = body.keypoints(*body.fk(motion.smplx))
    at = (at - at[:, 1:2]) * [1, -1, 1]
    coco = (0, 1, 5, 6, 7, 2, 3, 4)  # nose, neck, left arm, right arm
    joints = [at[:, coco], at[:, POSE_HAND["right"]], at[:, POSE_HAND["left"]]]
    return np.concatenate(joints, axis=1) * 0.7


def line(joints: np.ndarray) -> str:
    counter = np.linspace(0, 1, len(joints))[:, None]
    rows = np.concatenate([joints.reshape(len(joints), 150), counter], axis=1)
    return " ".join(f"{value:.5f}" for value in rows.ravel())


def test_skels_are_the_same_signing(tmp_path: Path, lexicon: Lexicon) -> None:
    """Our own motion written as a skeleton and read again: the wrists and fingers are where they were."""
    body = load_body()
    composer = Composer(lexicon, CompositionConfig(language="gsg", rest_frames=1))
    truth = [composer.spell(word, name=word, rate=1.2).motion for word in ("ja", "lv")]
    path = tmp_path / "dev.skels"
    path.write_text("\n".join(line(skeleton(motion, body)) for motion in truth) + "\n")
    path.with_suffix(".files").write_text("dev/one\ndev/two\n")
    path.with_suffix(".text").write_text("ja .\nnein .\n")
    path.with_suffix(".gloss").write_text("JA\nNEIN DOCH\n")
    corpus = skels(path)
    assert corpus.names == ("dev/one", "dev/two")
    for name, wanted in zip(corpus.names, truth, strict=True):
        found = corpus.make(name)
        assert len(found) == len(wanted)
        seen = found.motion.pose
        raised = wanted.pose[:, 4, 1] < 1.0  # the right wrist is above the waist
        assert raised.sum() > 10
        for joint in (4, POSE_HAND["right"].start + 8, POSE_HAND["right"].start + 20):
            error = np.linalg.norm(seen[raised, joint] - wanted.pose[raised, joint], axis=-1)
            assert np.median(error) < 0.2  # shoulder widths
        left = np.linalg.norm(seen[:, 7] - wanted.pose[:, 7], axis=-1)
        assert np.median(left) < 0.3  # and the left one stays down
    assert found.glosses == ("NEIN", "DOCH")
    assert not found.timed
    assert np.array_equal(found.spans, even_spans(2, len(found)))
    assert found.text == "nein ."


def test_skels_troubles_are_told(tmp_path: Path) -> None:
    path = tmp_path / "x.skels"
    with pytest.raises(ValueError, match=r"x\.skels: cannot be read"):
        skels(path)
    joints = np.zeros((4, 50, 3))
    bad = joints.copy()
    bad[2, 7] = np.nan
    path.write_text("\n".join([line(joints)[:-30], line(bad), "one two"]) + "\n")
    corpus = skels(path)
    reasons = ("expected a multiple of 151", "NaN or infinity in 1 of 4 frames", "not a line of numbers")
    for i, why in enumerate(reasons):
        with pytest.raises(ValueError, match=why):
            corpus.make(corpus.names[i])
    path.with_suffix(".text").write_text("one\n")
    with pytest.raises(ValueError, match=r"3 clips but 1 lines in x\.text"):
        skels(path)


def test_a_folder_of_recordings_with_and_without_a_table(tmp_path: Path, recordings: list[Path]) -> None:
    for name, recording in zip("abc", recordings, strict=True):
        shutil.copy(recording, tmp_path / f"{name}.pose")
    plain = pose_folder(tmp_path, "gsg")
    assert plain.names == ("a", "b", "c")
    clip = plain.make("b")
    assert (clip.language, clip.text, clip.glosses) == ("gsg", "", ())
    heading = "name\tlanguage\tsigner\ttext\tglosses\ttimes\n"
    rows = ["a\tgsg\teva\tLa la\tA B\t0-200 200-5000", "b\tgsg\teva\tso\tS\t", "c\tgsg\teva\tso\tS T\t0-1"]
    (tmp_path / "sequences.tsv").write_text(heading + "\n".join(rows) + "\n")
    told = pose_folder(tmp_path)
    clip = told.make("a")
    assert (clip.signer, clip.text, clip.glosses, clip.timed) == ("eva", "La la", ("A", "B"), True)
    at = round(0.2 * clip.motion.fps)
    assert clip.spans.tolist() == [[0, at], [at, len(clip)]]
    assert not told.make("b").timed
    with pytest.raises(ValueError, match="c has 2 glosses and 1 times"):
        told.make("c")
    (tmp_path / "sequences.tsv").write_text("name\tlanguage\n")
    with pytest.raises(ValueError, match="expected name, language, signer"):
        pose_folder(tmp_path)
    with pytest.raises(ValueError, match=r"no \.pose files"):
        pose_folder(tmp_path / "nowhere")
