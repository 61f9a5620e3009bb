"""Adding to a lexicon: whole or not at all, two at once, and what `check` finds."""

from __future__ import annotations

import csv
import importlib.util
import multiprocessing
import sys
from pathlib import Path

import pytest

from engine.lexicon import Lexicon
from engine.lexicon.editing import add_recording, check_folder
from engine.lexicon.index import COLUMNS
from engine.lexicon.lexicon import default_folder
from engine.retarget import read_pose
from stream.cli import main

CLIPS = sorted((default_folder() / "ase").glob("*.pose"))
VIDEO = next(
    (
        v
        for p in Path(__file__).resolve().parents
        if (v := p / "shared/data/webcam_clip/test_video.mp4").is_file()
    ),
    None,
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HANDSTREAM_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_added_is_found(tmp_path):
    folder = tmp_path / "new" / "lexicon"
    path = add_recording(
        folder, CLIPS[0].read_bytes(), word='Grüezi, "du"', language="sgg", start_ms=200, end_ms=600
    )
    assert path.read_bytes() == CLIPS[0].read_bytes()
    (row,) = rows(folder)
    assert tuple(row) == COLUMNS
    assert (row["words"], row["spoken_language"], row["start"], row["end"]) == (
        'Grüezi, "du"',
        "de",
        "200",
        "600",
    )
    lexicon = Lexicon.open(folder)
    assert lexicon.entry(lexicon.sign('grüezi, "DU"', "sgg")).path == path
    assert lexicon.problems() == []
    assert check_folder(folder) == []


def test_a_row_ends_where_csv_says(tmp_path):
    """And not at the other characters that Python calls the end of a line."""
    add_recording(tmp_path, CLIPS[0].read_bytes(), word="Guten\u2028Tag", language="sgg")
    add_recording(tmp_path, CLIPS[0].read_bytes(), word="Moin", language="sgg")
    lexicon = Lexicon.open(tmp_path)
    assert lexicon.problems() == []
    assert lexicon.sign("guten tag", "sgg") is not None
    assert lexicon.sign("moin", "sgg") is not None


def test_the_package_reads_what_we_write(tmp_path):
    from spoken_to_signed.gloss_to_pose.lookup.csv_lookup import CSVPoseLookup

    add_recording(tmp_path, CLIPS[0].read_bytes(), word="Haus", language="gsg")
    found = CSVPoseLookup(str(tmp_path)).lookup("haus", "HAUS", "de", "gsg")
    assert len(found.pose.body.data) in (len(read_pose(CLIPS[0])), len(read_pose(CLIPS[0])) - 1)


def test_other_rows_and_columns_stay_as_they_are(tmp_path):
    before = 'words,path,signed_language,note,priority\r\nalt,x.pose,sgg,"a, b",3\r\nbroken row'
    (tmp_path / "index.csv").write_bytes(before.encode())
    add_recording(tmp_path, CLIPS[0].read_bytes(), word="neu", language="sgg", priority=2)
    text = (tmp_path / "index.csv").read_bytes().decode()
    assert text.startswith(before + "\n")
    assert (rows(tmp_path)[-1]["words"], rows(tmp_path)[-1]["priority"]) == ("neu", "2")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"word": " "}, "--word"),
        ({"word": "a\nb"}, "--word"),
        ({"language": "german"}, "--language"),
        ({"language": "../"}, "--language"),
        ({"start_ms": 500, "end_ms": 100}, "start"),
        ({"start_ms": 10**7}, "no frames"),
        ({"recording": b""}, "not a readable .pose"),
        ({"recording": CLIPS[0].read_bytes()[:5000]}, "not a readable .pose"),
    ],
)
def test_a_bad_addition_changes_nothing(tmp_path, change, expected):
    add_recording(tmp_path, CLIPS[0].read_bytes(), word="first", language="ase")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    arguments = {"recording": CLIPS[1].read_bytes(), "word": "second", "language": "ase", **change}
    with pytest.raises(ValueError, match=expected):
        add_recording(tmp_path, arguments.pop("recording"), **arguments)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def _add_many(folder: str, name: str, count: int) -> None:
    for i in range(count):
        add_recording(Path(folder), CLIPS[i % 3].read_bytes(), word=f"{name} {i}", language="ase")


def test_two_processes_add_at_once(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap(_add_many, [(str(tmp_path), "left", 12), (str(tmp_path), "right", 12)])
    assert sorted(row["words"] for row in rows(tmp_path)) == sorted(
        f"{name} {i}" for name in ("left", "right") for i in range(12)
    )
    assert check_folder(tmp_path) == []
    assert not list(tmp_path.rglob("*.tmp"))


def test_check_names_line_and_remedy(tmp_path):
    for i, word in enumerate(("one", "two", "three")):
        add_recording(tmp_path, CLIPS[i].read_bytes(), word=word, language="ase")
    first, second, _ = sorted(
        (tmp_path / "ase").glob("*.pose"), key=lambda p: ("one", "two", "thr").index(p.name[:3])
    )
    first.write_bytes(first.read_bytes()[:3000])
    second.unlink()
    done: list[tuple[int, int]] = []
    problems = check_folder(tmp_path, lambda *progress: done.append(progress))
    assert [problem.line for problem in problems] == [2, 3]
    assert "truncated" in str(problems[0])
    assert "missing" in str(problems[1])
    assert done[-1] == (2, 2)


# -- the command --------


def test_list_and_show(capsys):
    assert main(["lexicon", "list"]) == 0
    listed = capsys.readouterr().out
    assert "American Sign Language" in listed
    assert "26 letters" in listed
    assert main(["lexicon", "list", "--language", "gss"]) == 0
    assert "Ω" in capsys.readouterr().out
    assert main(["lexicon", "list", "--language", "ssr"]) == 0
    assert "borrowed from French Sign Language" in capsys.readouterr().out
    assert main(["lexicon", "show", " "]) == 1
    assert "expected a word" in capsys.readouterr().err
    assert main(["lexicon", "list", "--language", "xxx"]) == 1
    assert "ase" in capsys.readouterr().err
    assert main(["lexicon", "show", "ab🙂"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in shown[:2]] == ["A", "B"]
    assert "'🙂' is not signed" in shown[2]
    assert main(["lexicon", "show", "🙂"]) == 1


def test_add_show_and_check(tmp_path, capsys):
    folder = str(tmp_path / "lexicon")
    assert main(["lexicon", "add", folder, str(CLIPS[0]), "--word", "casa", "--language", "ise"]) == 0
    capsys.readouterr()
    assert main(["lexicon", "show", "CASA", "--language", "slf", "--lexicon", folder]) == 0
    assert "borrowed from Italian Sign Language" in capsys.readouterr().out
    assert main(["lexicon", "check", folder]) == 0
    next((tmp_path / "lexicon" / "ise").iterdir()).write_bytes(b"?")
    assert main(["lexicon", "check", folder]) == 1
    assert "index.csv line 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("recording", "expected"), [("gone.pose", "cannot be read"), ("gone.mp4", "not a readable video")]
)
def test_add_of_nothing_teaches(tmp_path, capsys, recording, expected):
    if recording.endswith("mp4"):
        pytest.importorskip("mediapipe")
    path = str(tmp_path / recording)
    assert main(["lexicon", "add", str(tmp_path / "lex"), path, "--word", "x", "--language", "ase"]) == 1
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "lex").exists()


def test_video_without_the_extra_teaches(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    monkeypatch.delitem(sys.modules, "pose_format.utils.holistic", raising=False)
    arguments = ["lexicon", "add", str(tmp_path / "lex"), "x.mp4", "--word", "x", "--language", "ase"]
    assert main(arguments) == 1
    assert "handstream[vision]" in capsys.readouterr().err


@pytest.mark.skipif(VIDEO is None, reason="the shared video is not here")
@pytest.mark.skipif(importlib.util.find_spec("mediapipe") is None, reason="the vision extra is not installed")
def test_a_video_becomes_a_sign(tmp_path):
    arguments = ["lexicon", "add", str(tmp_path), str(VIDEO), "--word", "Test", "--language", "sgg"]
    assert main(arguments) == 0
    lexicon = Lexicon.open(tmp_path)
    recording = read_pose(lexicon.entry(lexicon.sign("test", "sgg")).path)
    assert len(recording) == 58
    assert recording.hand_seen("left").any() or recording.hand_seen("right").any()
