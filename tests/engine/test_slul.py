"""The learned glosser: names survive, lines are kept, nothing said is taken back, damage is told."""

from __future__ import annotations

import io
import itertools
import json
import logging
import shutil
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.checkpoint import open_checkpoint, save_checkpoint
from engine.glossing import Glossed, PlainGlosser
from engine.glossing.slul import SlulGlosser, open_glosser
from engine.glossing.slul_model import SlulModel
from engine.glossing.slul_stream import Policy
from engine.glossing.slul_subwords import START, Subwords, learn_merges
from engine.glossing.slul_text import read_text, segments, understood
from engine.glossing.slul_vocabulary import END, SEATS, Vocabulary, spelled
from engine.lexicon import Lexicon
from engine.lexicon.lexicon import default_folder
from engine.signals import Caption
from engine.signer import Signer
from stream import gloss_command
from tests.trainer.synthetic import pairs, trained


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("slul")
    trained(place)
    return place


@pytest.fixture(scope="module")
def model(folder: Path) -> SlulModel:
    torch.set_num_threads(1)
    return SlulModel.open(folder)


@pytest.fixture(scope="module")
def lexicon(tmp_path_factory: pytest.TempPathFactory):
    """REGEN, NORD and NICHT have signs (a recording of a letter stands for them); the rest is spelled."""
    place = tmp_path_factory.mktemp("signs")
    shutil.copy(next((default_folder() / "ase").glob("*.pose")), place / "sign.pose")
    rows = ["path,spoken_language,signed_language,start,end,words,glosses,priority"]
    rows += [
        f"sign.pose,de,gsg,0,{4000 + i},{w},{w.upper()},0" for i, w in enumerate(("regen", "nord", "nicht"))
    ]
    (place / "index.csv").write_text("\n".join(rows) + "\n")
    made = Lexicon.stack([Lexicon.open(place), Lexicon.default()])
    yield made
    made.close()


def lines_of(model: SlulModel, *sentences: str, beam: int = 5) -> list[str]:
    return [" ".join(glosses) for glosses in model.gloss(sentences, "gsg", beam=beam)]


def test_it_learned_the_grammar(model: SlulModel) -> None:
    unseen = pairs(20, seed=99)
    texts = [" ".join(pair.words) for pair in unseen]
    for beam in (1, 5):
        said = lines_of(model, *texts, beam=beam)
        right = sum(line == " ".join(pair.glosses) for line, pair in zip(said, unseen, strict=True))
        assert right >= 18


def test_company_and_order_change_nothing(model: SlulModel) -> None:
    texts = [" ".join(pair.words) for pair in pairs(12, seed=4)]
    assert lines_of(model, *texts) == [lines_of(model, text)[0] for text in texts]
    assert lines_of(model, *texts[::-1]) == lines_of(model, *texts)[::-1]


@pytest.mark.parametrize("beam", [1, 5])
def test_names_survive_spelled_exactly_once(model: SlulModel, beam: int) -> None:
    said = lines_of(model, "morgen regnet es im Zaphodistan", "heute schneit Quixote es im Xanadu", beam=beam)
    assert said[0].split().count(spelled("zaphodistan")) == 1
    assert said[1].split().count(spelled("quixote")) == said[1].split().count(spelled("xanadu")) == 1
    assert all(f"<name{i}>" not in line for i in (1, 2, 3, 4) for line in said)


def test_another_alphabet_is_spelled(model: SlulModel) -> None:
    said = lines_of(model, "погода завтра 天気", "🙂 ... !", "heute schneit es im norden")
    assert {spelled("погода"), spelled("завтра"), spelled("天気")} <= set(said[0].split())
    assert said[1] == ""
    assert said[2] == "HEUTE NORD SCHNEE"


def test_a_very_long_sentence_is_glossed_in_parts(model: SlulModel) -> None:
    sentence = " ".join(["morgen regnet es im norden"] * 400)
    started = time.monotonic()
    (said,) = lines_of(model, sentence, beam=1)
    assert time.monotonic() - started < 240
    assert said.split().count("REGEN") >= 40
    (names,) = lines_of(model, " ".join(f"Zx{a}q{b}v" for a in "bcdfg" for b in "hjklm"), beam=1)
    assert len([g for g in names.split() if g.startswith("Z+X")]) == 25  # more names than seats, none is lost


def test_a_word_without_end_is_no_trouble(model: SlulModel) -> None:
    (said,) = lines_of(model, "x" * 5000, beam=1)
    assert said.replace("+", "").strip("X ") == "" or said


def test_unknown_languages_are_refused_with_the_known_ones(model: SlulModel) -> None:
    with pytest.raises(ValueError, match="knows gsg"):
        model.gloss([""], "ase")
    with pytest.raises(ValueError, match="knows gsg"):
        model.language("en")
    assert model.language("de") == model.language(None) == model.language("gsg") == "gsg"


def gloss_lines(folder: Path, data: bytes, monkeypatch: pytest.MonkeyPatch, capsys, *words: str) -> list[str]:
    import argparse

    parser = argparse.ArgumentParser()
    gloss_command.add_arguments(parser)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert gloss_command.main(parser.parse_args(["--model", str(folder), *words])) == 0
    return capsys.readouterr().out.split("\n")[:-1]


def test_the_command_keeps_every_line(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    data = "morgen regnet es im norden\n\n   \nheute schneit es im süden\r\nA\x0bB\u2028C\x85D\n".encode()
    data += b"\xff\xfe broken\n" + "погода".encode()  # and no newline at the end
    lines = gloss_lines(folder, data, monkeypatch, capsys, "--language", "de")
    assert len(lines) == 7
    assert lines[:4] == ["MORGEN NORD REGEN", "", "", "HEUTE SUED SCHNEE"]
    assert gloss_lines(folder, b"", monkeypatch, capsys) == []
    many = b"\n".join(b"" if i % 3 else b"heute schneit es im norden" for i in range(200)) + b"\n"
    lines = gloss_lines(folder, many, monkeypatch, capsys, "--beam", "1")
    assert [bool(line) for line in lines] == [i % 3 == 0 for i in range(200)]


# --- damage


def test_a_damaged_model_says_so(folder: Path, tmp_path: Path, lexicon: Lexicon, caplog) -> None:
    weights = next(folder.glob("weights-*.safetensors"))
    cases = {
        "truncated": (lambda p: (p / weights.name).write_bytes(weights.read_bytes()[:-100]), "truncated"),
        "no weights": (lambda p: (p / weights.name).unlink(), "missing"),
        "no config": (lambda p: (p / "config.json").unlink(), "cannot read config.json"),
        "half a config": (lambda p: (p / "config.json").write_text('{"kind": "hand'), "damaged"),
        "other kind": (lambda p: rewrite(p, kind="something-else"), "something-else"),
        "no vocabulary": (lambda p: rewrite(p, vocabulary={}), "vocabulary"),
        "a gloss less": (lambda p: shorten(p), "do not belong together"),
        "other sizes": (lambda p: rewrite(p, model={"source_tokens": 5, "target_tokens": 5}), "do not fit"),
    }
    for name, (damage, message) in cases.items():
        place = tmp_path / name
        shutil.copytree(folder, place, ignore=shutil.ignore_patterns("state"))
        damage(place)
        with pytest.raises(ValueError, match=message):
            SlulModel.open(place)
        with caplog.at_level(logging.WARNING):
            assert isinstance(open_glosser(lexicon, place), PlainGlosser)
        assert "word for word" in caplog.text
        caplog.clear()


def rewrite(place: Path, **changes: object) -> None:
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | changes))


def shorten(place: Path) -> None:
    vocabulary = json.loads((place / "config.json").read_text())["vocabulary"]
    vocabulary["glosses"].pop()
    rewrite(place, vocabulary=vocabulary)


def test_a_save_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, {"a": torch.zeros(3)}, {"n": 1})

    def crash(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.checkpoint.json.dumps", crash)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, {"a": torch.ones(3)}, {"n": 2})
    monkeypatch.undo()
    tensors, config = open_checkpoint(tmp_path)
    assert (float(tensors["a"].sum()), config["n"]) == (0.0, 1)
    save_checkpoint(tmp_path, {"a": torch.ones(3)}, {"n": 2})
    assert float(open_checkpoint(tmp_path)[0]["a"].sum()) == 3
    assert len(list(tmp_path.glob("weights-*"))) == 1


# --- in the engine


def push_all(glosser: SlulGlosser, pieces: list[str], language: str = "gsg") -> Glossed:
    state, whole = glosser.open(language), Glossed()
    for at, piece in enumerate(pieces):
        part = glosser.push(piece, state, final=at == len(pieces) - 1)
        whole.glosses.extend(part.glosses)
        whole.unspellable.extend(part.unspellable)
        whole.omitted.extend(part.omitted)
    return whole


TEXT = "Morgen regnet es im Norden. Heute schneit es nicht im Zaphodistan, abends stürmt es im Süden!"


@pytest.fixture(scope="module")
def whole(lexicon: Lexicon, model: SlulModel) -> Glossed:
    return push_all(SlulGlosser(lexicon, model), [TEXT])


@settings(deadline=None, max_examples=8)
@given(cuts=st.lists(st.integers(0, len(TEXT)), max_size=8))
def test_glosses_do_not_depend_on_how_the_text_is_cut(lexicon, model, whole, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(TEXT)]
    pieces = [TEXT[a:b] for a, b in itertools.pairwise(edges)]
    assert push_all(SlulGlosser(lexicon, model), pieces) == whole


def test_signs_letters_and_their_places(whole: Glossed) -> None:
    labels = [g.label for g in whole.glosses]
    assert "".join(labels[:6]) == "MORGEN"  # no sign of its own here
    assert {"REGEN", "NICHT"} <= {g.label for g in whole.glosses if not g.spelled}
    assert "".join(g.label for g in whole.glosses if g.spelled).count("ZAPHODISTAN") == 1
    name = [TEXT[g.start : g.end] for g in whole.glosses if g.spelled]
    assert "Zaphodistan" in name
    assert all(0 <= g.start < g.end <= len(TEXT) for g in whole.glosses)


def test_a_sentence_is_said_while_it_arrives_and_never_taken_back(lexicon: Lexicon, model: SlulModel) -> None:
    glosser = SlulGlosser(lexicon, model, Policy(agreement=1, margin=0))
    state = glosser.open("gsg")
    early = [
        g for word in ("morgen", "regnet", "es", "im") for g in glosser.push(word + " ", state, False).glosses
    ]
    rest = glosser.push("norden", state, final=True).glosses
    assert early
    assert (early + rest)[: len(early)] == early
    again = glosser.push("morgen regnet es im norden", glosser.open("gsg"), final=True).glosses
    assert [g.label for g in early + rest] == [g.label for g in again]


def test_a_state_is_new_after_the_end(lexicon: Lexicon, model: SlulModel) -> None:
    glosser = SlulGlosser(lexicon, model)
    state = glosser.open("gsg")
    first = glosser.push("morgen regnet es im norden", state, final=True)
    assert glosser.push("morgen regnet es im norden", state, final=True).glosses == first.glosses


def test_other_languages_are_left_to_the_plain_glosser_and_it_says_so(lexicon, model, caplog) -> None:
    glosser = SlulGlosser(lexicon, model)
    with caplog.at_level(logging.WARNING):
        glossed = push_all(glosser, ["hello"], "ase")
    assert glossed == push_all(PlainGlosser(lexicon), ["hello"], "ase")  # type: ignore[arg-type]
    assert "not ase" in caplog.text
    with pytest.raises(ValueError, match="no recordings"):
        glosser.open("xxx")


def test_a_not_is_never_lost(lexicon: Lexicon, model: SlulModel) -> None:
    glosser, out = SlulGlosser(lexicon, model), Glossed()
    source = read_text("kein regen", "de")[0][1]
    glosser._sign("neg-REGEN", source, "gsg", out, None)
    assert [g.label for g in out.glosses] == ["REGEN", "NICHT"]
    glosser._sign("IX", source, "gsg", out, None)
    assert [o.text for o in out.omitted] == ["IX"]


# --- words


def test_text_is_read_in_sentences_with_numbers_written_out() -> None:
    text = "Am 3. Mai sind es 25 Grad, im Süden mehr. Na gut!"
    read = read_text(text, "de")
    assert [w.text for w in read[-1]] == ["na", "gut"]
    assert "fünfundzwanzig" in [w.text for sentence in read for w in sentence]
    words = [word for sentence in read for word in sentence if text[word.start].isalpha()]
    assert all(text[word.start : word.end].lower() == word.text for word in words)
    assert len(read) == 2
    assert len(read_text("Am 3. und 4. fällt z. B. bei Dr. Maier Schnee. Ja.", "de")) == 2
    assert read_text("", "de") == read_text(" .\n!", "de") == []


def test_symbols_are_read_or_reported(lexicon: Lexicon, model: SlulModel) -> None:
    ((sentence),) = read_text("-0,5°C 🙂 20%", "de")
    assert " ".join(w.text for w in sentence) == "minus null komma fünf grad c zwanzig prozent"
    assert [(w.start, w.end) for w in sentence if w.text in ("grad", "prozent")] == [(4, 5), (11, 12)]
    glosser = SlulGlosser(lexicon, model)
    told = glosser.push("morgen 20° 🙂 regen", glosser.open("gsg")).unspellable
    assert [(u.text, u.start, u.end) for u in told] == [("🙂", 11, 12)]


def test_segments_lose_no_word_and_keep_their_seats() -> None:
    words = [
        w for s in read_text(" ".join(f"wort{'abcdefghij'[i % 10]}" for i in range(300)), "de") for w in s
    ]
    parts = segments(words, lambda word: word.text[-1] in "abcdefg", SEATS)
    assert [w for part in parts for w in part] == words
    assert all(len({w.text for w in part if w.text[-1] in "abcdefg"}) <= SEATS for part in parts)


def test_what_can_be_read_from_known_words_is_no_name() -> None:
    known = frozenset({"regen", "wetter", "oster", "temperatur", "mittag", "stark"})
    for word in ("osterwetter", "mittagstemperaturen", "starkem", "starker"):
        assert understood(word, known), word
    for word in ("zaphod", "xanadu", "merkel"):
        assert not understood(word, known), word


@given(words=st.lists(st.text("abcdeäß", min_size=1, max_size=12), min_size=1, max_size=20))
def test_pieces_join_to_the_word(words: list[str]) -> None:
    subwords = Subwords(learn_merges(dict.fromkeys(words, 2), 30))
    import random

    for word in words:
        for pieces in (subwords.cut(word), subwords.cut(word, 0.5, random.Random(1))):
            assert "".join(pieces) == START + word


def test_a_vocabulary_survives_its_json() -> None:
    made = Vocabulary.learn([(p.language, p.words, p.glosses) for p in pairs(40)], 60)
    again = Vocabulary.from_json(json.loads(json.dumps(made.to_json())))
    assert again.to_json() == made.to_json()
    assert again.source(["morgen", "regnet"], "gsg") == made.source(["morgen", "regnet"], "gsg")
    tokens = made.target(["MORGEN", "REGEN"])
    assert tokens[-1] == END
    assert made.glosses(tokens) == ["MORGEN", "REGEN"]


def test_a_signer_signs_with_it(lexicon: Lexicon, model: SlulModel) -> None:
    signer = Signer(lexicon, SlulGlosser(lexicon, model), language="gsg")
    said = signer.say(Caption("morgen regnet es im norden", "gsg"))
    assert "REGEN" in [gloss.label for _, gloss in said.glosses]
    assert signer.step(0).smplx.shape == (55, 3)


def test_a_lost_not_is_told(lexicon: Lexicon, model: SlulModel, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "morgen regnet es nicht im norden"
    said = SlulGlosser(lexicon, model).push(text, SlulGlosser(lexicon, model).open("gsg"))
    assert "NICHT" in model.gloss([text], "gsg")[0]
    assert not [left for left in said.omitted if left.text == "nicht"]
    monkeypatch.setattr("engine.glossing.slul.read_on", lambda *_: [[]])
    monkeypatch.setattr("engine.glossing.slul.read_out", lambda *_: [])
    glosser = SlulGlosser(lexicon, model)
    (lost,) = glosser.push(text, glosser.open("gsg")).omitted
    assert (lost.text, text[lost.start : lost.end]) == ("nicht", "nicht")
    assert "opposite" in str(lost)
