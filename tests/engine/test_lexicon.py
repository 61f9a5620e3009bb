"""Lexicons: opened as they are, degraded where they are broken, and never silent about it."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.lexicon import Lexicon
from engine.lexicon.index import COLUMNS
from engine.lexicon.languages import LANGUAGES, backup_chain, language_info
from engine.lexicon.letters import fold
from engine.lexicon.lexicon import default_folder
from engine.retarget import read_pose

SHARED = next(
    (p / "shared" / "data" for p in Path(__file__).resolve().parents if (p / "shared" / "data").is_dir()),
    None,
)
NINETEEN = [
    "ase",
    "asq",
    "bzs",
    "cse",
    "csq",
    "eso",
    "gsg",
    "gss",
    "ise",
    "jos",
    "lls",
    "mfs",
    "psr",
    "sgg",
    "ssp",
    "svk",
    "swl",
    "tsm",
    "ukl",
]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HANDSTREAM_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def alphabets():
    lexicon = Lexicon.default()
    yield lexicon
    lexicon.close()


def folder_with(tmp_path: Path, *rows: str, header: str = ",".join(COLUMNS)) -> Path:
    """A lexicon folder whose recordings are letters of the ASL alphabet: a.pose, b.pose, c.pose."""
    (tmp_path / "ase").mkdir(exist_ok=True)
    for name, source in zip("abc", sorted((default_folder() / "ase").glob("*.pose")), strict=False):
        shutil.copy(source, tmp_path / "ase" / f"{name}.pose")
    (tmp_path / "index.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return tmp_path


def words(lexicon: Lexicon, text: str, language: str) -> list[str | None]:
    return [s.clip and lexicon.entry(s.clip).words[0] for s in lexicon.letters(text, language)]


def test_the_default_holds_every_alphabet_of_the_package(alphabets):
    assert set(NINETEEN) <= set(alphabets.languages())
    assert alphabets.problems() == []
    for code in alphabets.languages():
        assert language_info(code).name != code
        assert all(alphabets.entry(clip).letter for clip in alphabets.alphabet(code).values())


def test_french_letters_are_the_american_recordings(alphabets):
    fsl, ase = (alphabets.entry(alphabets.letter("k", code)) for code in ("fsl", "ase"))
    assert fsl.path == ase.path
    assert fsl.language == "fsl"


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("sgg", "Schach", ["SCH", "A", "CH"]),
        ("cse", "CHléb", ["Ch", "L", "E", "B"]),
        ("csq", "Ljubav", ["Lj", "U", "B", "A", "V"]),
        ("mfs", "Llorar perro", ["Ll", "O", "R", "A", "R", None, "P", "E", "Rr", "O"]),
        ("ise", "pizza", ["P", "I", "zz", "A"]),
        ("ase", "Émile", ["E", "M", "I", "L", "E"]),
        ("ase", "E\u0301mile", ["E", "M", "I", "L", "E"]),
        ("ase", "Straße Æ", [*"STRASSE", None, *"AE"]),
        ("gsg", "Straße", ["S", "T", "R", "A", "ß", "E"]),
        ("asq", "Maß", ["M", "A", "ẞ"]),
        ("sgg", "Maß", ["M", "A", "S", "S"]),
        ("tsm", "ILIK ılık", [*"ILIK", None, *"ILIK"]),
        ("tsm", "İZİN izin", [*"İZİN", None, *"İZİN"]),
        ("tsm", "taxi web", ["T", "A", "K", "S", "İ", None, "V", "E", "B"]),
        ("gss", "ΐσως", ["Ι", "Σ", "Ω", "Σ"]),
        ("jos", "السلام", ["ال", "س", "لا", "م"]),
        ("jos", "سؤال", ["س", "ؤ", "ا", "ل"]),
        ("jos", "مَدْرَسَة", ["م", "د", "ر", "س", "ه"]),
        ("ukl", "Їжак", ["Ї", "Ж", "А", "К"]),
        ("ase", "ﬁﬀ Ａ", ["F", "I", "F", "F", None, "A"]),
        ("ase", "Ж", [None]),
        ("ssr", "Oui", ["O", "U", "I"]),
    ],
)  # fmt: skip
def test_letters(alphabets, language, text, expected):
    assert words(alphabets, text, language) == expected


def test_letters_cover_the_word_without_gaps(alphabets):
    for language, text in (("sgg", "Schächzö"), ("ase", "naïve"), ("jos", "السلام"), ("tsm", "İğ")):
        spelled = alphabets.letters(text, language)
        assert spelled[0].start == 0
        assert spelled[-1].end == len(text)
        assert all(b.start in (a.end, a.start) for a, b in itertools.pairwise(spelled))


def test_every_language_spells_its_own_alphabet(alphabets):
    for code in alphabets.languages():
        for letter, clip in alphabets.alphabet(code).items():
            if letter != "ئـ":  # the form inside a word, chosen by its place
                assert [s.clip for s in alphabets.letters(letter, code)] == [clip], (code, letter)
            assert None not in [s.clip for s in alphabets.letters(f"{letter}{letter}", code)]


def test_folding_is_idempotent():
    for spoken in {info.spoken for info in LANGUAGES.values()}:
        for text in ("İIıi", "ẞß", "ΣΑΣ", "É", "E\u0301", "ﬁ", "Ǆ"):
            assert fold(fold(text, spoken), spoken) == fold(text, spoken)


def test_backups_as_in_spoken_to_signed():
    from spoken_to_signed.gloss_to_pose.languages import LANGUAGE_BACKUP

    for language, backup in LANGUAGE_BACKUP.items():
        assert backup_chain(language)[:2] == (language, backup)


def test_words_before_glosses_lower_priority_first_exact_case_among_equals(tmp_path):
    lexicon = Lexicon.open(
        folder_with(
            tmp_path,
            "ase/a.pose,en,ase,0,0,polish,POLISH,1",
            "ase/b.pose,en,ase,0,0,Polish,POLISH,1",
            "ase/c.pose,en,ase,0,0,turkey,FOO,1",
            "ase/a.pose,en,ase,0,0,foo,BAR+,0",
            "ase/b.pose,en,ase,0,400,house,HOUSE,2",
            "ase/c.pose,en,ase,0,400,house,HOUSE,0",
            "ase/c.pose,en,ase,400,0,Good Morning,GOOD-MORNING,0",
        )
    )
    name = {
        word: lexicon.entry(lexicon.sign(word, "ase")).path.stem
        for word in ("polish", "Polish", "POLISH", "foo", "house", "bar")
    }
    assert name == {"polish": "a", "Polish": "b", "POLISH": "a", "foo": "a", "house": "c", "bar": "a"}
    assert lexicon.sign("good-morning", "ase") == lexicon.sign("GOOD_MORNING", "ase") is not None
    assert lexicon.sign("morning", "ase") is None
    assert lexicon.letter("a", "ase") is None  # a folder of signs is no alphabet


def test_sharp_s_is_ss_unless_both_are_there(tmp_path):
    rows = (
        "a.pose,de,gsg,0,0,Masse,MASSE,0",
        "b.pose,de,gsg,0,0,Maße,MASSE2,1",
        "c.pose,de,gsg,0,0,Straße,X,0",
    )
    lexicon = Lexicon.open(folder_with(tmp_path, *(f"ase/{row}" for row in rows)))
    name = {
        word: lexicon.entry(lexicon.sign(word, "gsg")).path.stem
        for word in ("Masse", "Maße", "maße", "MASSE", "Straße", "STRASSE", "strasse")
    }
    assert list(name.values()) == ["a", "b", "b", "a", "c", "c", "c"]


def test_start_and_end_are_honoured(tmp_path):
    lexicon = Lexicon.open(
        folder_with(
            tmp_path,
            "ase/a.pose,en,ase,0,0,whole,,0",
            "ase/a.pose,en,ase,200,400,part,,0",
            "ase/a.pose,en,ase,0,9999,over,,0",
        )
    )
    whole = read_pose(lexicon.entry(lexicon.sign("whole", "ase")).path)
    assert len(lexicon.motion(lexicon.sign("whole", "ase"))) == len(whole)
    assert len(lexicon.motion(lexicon.sign("part", "ase"))) == 5
    assert len(lexicon.motion(lexicon.sign("over", "ase"))) == len(whole)
    lexicon.close()


def test_the_first_lexicon_wins_then_the_backup_then_letters(tmp_path, alphabets):
    (tmp_path / "1").mkdir(), (tmp_path / "2").mkdir()
    first = folder_with(tmp_path / "1", "ase/a.pose,it,ise,0,0,ciao,CIAO,0")
    second = folder_with(
        tmp_path / "2", "ase/b.pose,it,ise,0,0,ciao,CIAO,0", "ase/c.pose,it,slf,0,0,casa,CASA,0"
    )
    lexicon = Lexicon.stack([Lexicon.open(first), Lexicon.open(second), Lexicon.default()])
    assert lexicon.entry(lexicon.sign("Ciao", "ise")).path.stem == "a"
    assert lexicon.entry(lexicon.sign("Ciao", "slf")).language == "ise"
    assert lexicon.entry(lexicon.sign("casa", "slf")).path.stem == "c"
    assert lexicon.sign("casa", "ise") is None  # a backup goes one way
    assert words(lexicon, "sole", "slf") == ["S", "O", "L", "E"]


def test_broken_rows_are_left_out_and_named(tmp_path):
    folder = folder_with(
        tmp_path,
        "ase/a.pose,en,ase,0,0,good,GOOD,0",
        "ase/gone.pose,en,ase,0,0,gone,GONE,0",
        "ase/b.pose,en,ase,zero,0,number,NUMBER,0",
        "ase/b.pose,en,ase,500,100,backwards,BACKWARDS,0",
        "ase/b.pose,en,ase,0,0,,,0",
        "../outside.pose,en,ase,0,0,outside,OUTSIDE,0",
        "gs://bucket/x.pose,en,ase,0,0,cloud,CLOUD,0",
        "ase/a.pose,en,ase,0,0,good,GOOD,0",
        "ase/a.pose,en",
        "",
        "ase/c.pose,en,ase,0,0,last,LAST,0",
    )
    lexicon = Lexicon.open(folder)
    problems = {problem.line: problem for _, problem in lexicon.problems()}
    assert sorted(problems) == [3, 4, 5, 6, 7, 8, 9, 10]
    assert all(problem.what and problem.remedy for problem in problems.values())
    assert "gone.pose is missing" in str(problems[3])
    assert lexicon.sign("good", "ase")
    assert lexicon.sign("last", "ase")
    assert lexicon.sign("gone", "ase") is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "index.csv"),
        (b"", "columns"),
        (b"\0\xff\xfe garbage", "columns"),
        (b"path,signed_language,words\n", "no usable row"),
        (b"path,signed_language,words\nnone.pose,ase,x\n", "none.pose is missing"),
        (b'"' + b"x" * 200_000, "columns"),
    ],
)
def test_an_unusable_lexicon_teaches(tmp_path, content, expected):
    if content is not None:
        (tmp_path / "index.csv").write_bytes(content)
    with pytest.raises(ValueError, match=expected):
        Lexicon.open(tmp_path)


def test_a_broken_quote_or_encoding_costs_only_its_rows(tmp_path):
    folder = folder_with(tmp_path, "ase/a.pose,en,ase,0,0,good,GOOD,0")
    with (folder / "index.csv").open("ab") as file:
        file.write(b"ase/b.pose,en,ase,0,0,caf\xe9,CAFE,0\nase/c.pose,en,ase,0,0,fine,FINE,0\n")
    lexicon = Lexicon.open(folder)
    assert {problem.line for _, problem in lexicon.problems()} == {3}
    assert lexicon.sign("fine", "ase")


@settings(deadline=None, max_examples=80)
@given(
    st.lists(
        st.one_of(st.binary(max_size=80), st.sampled_from([b",", b'"', b"\n", b"../" * 30, b"x" * 400])),
        max_size=12,
    )
)
def test_any_index_opens_or_teaches(junk):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.pose").write_bytes(b"")
        start = b"path,signed_language,words,start\na.pose,ase,fine,0\n"
        (Path(folder) / "index.csv").write_bytes(start + b"".join(junk))
        lexicon = Lexicon.open(Path(folder))
        assert "ase" in lexicon.languages()
        assert all(str(problem) for _, problem in lexicon.problems())


@pytest.mark.parametrize("damage", [lambda d: d[: len(d) // 2], lambda d: b"", lambda d: b"\0" * len(d)])
def test_a_corrupt_recording_is_passed_over(tmp_path, damage, caplog):
    folder = folder_with(
        tmp_path, "ase/a.pose,en,ase,0,0,house,HOUSE,0", "ase/b.pose,en,ase,0,0,house,HOUSE,1"
    )
    path = folder / "ase" / "a.pose"
    path.write_bytes(damage(path.read_bytes()))
    lexicon = Lexicon.open(folder)
    assert lexicon.entry(lexicon.sign("house", "ase")).path.stem == "b"
    assert "a.pose" in caplog.text
    with pytest.raises(ValueError, match=r"a\.pose"):
        lexicon.motion(next(clip for clip in lexicon.shelves[0].entries if "a.pose" in clip))


def test_unknown_clips_teach(alphabets):
    with pytest.raises(ValueError, match="no clip"):
        alphabets.motion("nothing")


def test_an_unregistered_language_is_named_by_its_code(tmp_path):
    lexicon = Lexicon.open(folder_with(tmp_path, "ase/a.pose,pl,pso,0,0,dom,DOM,0"))
    assert lexicon.languages() == ("pso",)
    assert (language_info("pso").name, lexicon.spoken("pso")) == ("pso", "pl")
    assert lexicon.sign("Dom", "pso")


@pytest.mark.skipif(SHARED is None, reason="the shared recordings are not here")
def test_the_swiss_signs_open_as_they_are():
    lexicon = Lexicon.open(SHARED / "whole_signs_sgg")
    assert lexicon.problems() == []
    for word in ("Kleine", "kinder", "ESSEN", "Pizza"):
        motion = lexicon.motion(lexicon.sign(word, "sgg"))
        assert len(motion) > 10
        assert motion.confidence.max() > 0.9
        assert np.isfinite(motion.smplx).all()
    lexicon.close()
