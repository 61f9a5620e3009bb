"""Glossing: the same however the text is cut, honest about what is left out, bounded whatever comes in."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.glossing import Glossed, PlainGlosser
from engine.glossing.tokens import MAX_CHUNK
from engine.lexicon import Lexicon
from engine.lexicon.lexicon import default_folder

SHARED = next(
    (p / "shared" / "data" for p in Path(__file__).resolve().parents if (p / "shared" / "data").is_dir()),
    None,
)
ROWS = {
    ("en", "ase"): ["good", "good morning", "new york city", "new", "york", "house",
                    "do", "not", "child", "go", "3",
                    "hello",
                    "e-mail", "a lot", "forty", "percent", "the end"],
    ("de", "gsg"): ["guten tag", "guten", "kind", "haus", "ist", "essen", "gehen", "straße",
                    "weiss", "minus"],
    ("it", "ise"): ["ciao"],
}  # fmt: skip


@pytest.fixture(scope="module")
def spelling():
    """Alphabets only."""
    lexicon = Lexicon.default()
    yield PlainGlosser(lexicon)
    lexicon.close()


@pytest.fixture(scope="module")
def signing(tmp_path_factory):
    """Some signs (real recordings of letters stand for them), then the alphabets."""
    folder = tmp_path_factory.mktemp("signs")
    shutil.copy(next((default_folder() / "ase").glob("*.pose")), folder / "sign.pose")
    rows = ["path,spoken_language,signed_language,start,end,words,glosses,priority"]
    for (spoken, signed), words in ROWS.items():
        rows += [f"sign.pose,{spoken},{signed},0,{4000 + i},{w},{w},0" for i, w in enumerate(words)]
    (folder / "index.csv").write_text("\n".join(rows) + "\n")
    lexicon = Lexicon.stack([Lexicon.open(folder), Lexicon.default()])
    yield PlainGlosser(lexicon)
    lexicon.close()


def push_all(glosser: PlainGlosser, language: str, pieces: list[str]) -> Glossed:
    state, whole = glosser.open(language), Glossed()
    for i, piece in enumerate(pieces):
        part = glosser.push(piece, state, final=i == len(pieces) - 1)
        whole.glosses.extend(part.glosses)
        whole.unspellable.extend(part.unspellable)
        whole.omitted.extend(part.omitted)
    return whole


def shown(glossed: Glossed) -> str:
    """`HOUSE d-o-g`: signs in capitals, spelled words with hyphens."""
    out, letters = [], []
    for gloss in glossed.glosses:
        if not gloss.spelled:
            out.append(gloss.label)
            continue
        letters.append(gloss.label.lower())
        if gloss.word_end:
            out.append("-".join(letters))
            letters = []
    assert not letters
    return " ".join(out)


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("ase", "HELLO WORLD", "HELLO w-o-r-l-d"),
        ("ase", "Good morning, children!", "GOOD MORNING CHILD"),
        ("ase", "good, morning", "GOOD m-o-r-n-i-n-g"),
        ("ase", "New York City or New York or new yorker", "NEW YORK CITY o-r NEW YORK o-r NEW y-o-r-k-e-r"),
        ("ase", "new-york–city", "NEW YORK c-i-t-y"),
        ("ase", "e-mail E-Mail email", "E-MAIL E-MAIL e-m-a-i-l"),
        ("ase", "don't can't John's rock 'n' roll", "DO NOT c-a-n-t j-o-h-n-s r-o-c-k n r-o-l-l"),
        ("ase", "went houses Going", "GO HOUSE GO"),
        ("ase", "3 33 25 007", "3 3-3 t-w-e-n-t-y f-i-v-e z-e-r-o z-e-r-o s-e-v-e-n"),
        ("ase", "40%", "FORTY PERCENT"),
        ("ase", "-5 1,000 3.5", "m-i-n-u-s f-i-v-e o-n-e t-h-o-u-s-a-n-d t-h-r-e-e p-o-i-n-t f-i-v-e"),
        ("ase", "1984", "n-i-n-e-t-e-e-n e-i-g-h-t-y f-o-u-r"),
        ("ase", "ALL", "a-l-l"),
        ("ase", "www.the.org a@b.org", "w-w-w t-h-e o-r-g a a-t b o-r-g"),
        ("ase", "so\u00adft hy\u200dphen", "s-o-f-t h-y-p-h-e-n"),
        ("gsg", "Guten Tag Kinder", "GUTEN TAG KIND"),
        ("gsg", "Guten Abend, er isst", "GUTEN a-b-e-n-d e-r ESSEN"),
        ("gsg", "Das Haus ist groß", "HAUS IST g-r-o-ß"),
        ("slf", "Ciao Anna", "CIAO a-nn-a"),
        ("fsl", "l'eau", "l-e-a-u"),
        ("ase", "dont DON´T don`t don‘t Don＇t", "DO NOT DO NOT DO NOT DO NOT DO NOT"),
        ("ase", "wont isnt", "w-o-n-t i-s-n-t"),  # no WILL, no IS
        ("ase", "child's Child´s it's", "CHILD CHILD i-t-s"),
        ("ase", "5th 21st 3 rd", "f-i-f-t-h t-w-e-n-t-y f-i-r-s-t 3 r-d"),
        ("ase", "1½ 5½%", "o-n-e a-n-d h-a-l-f f-i-v-e h-a-l-f PERCENT"),
        ("ase", "c++ 5² 2‰", "c p-l-u-s p-l-u-s f-i-v-e s-q-u-a-r-e-d t-w-o p-e-r t-h-o-u-s-a-n-d"),
        ("gsg", "STRASSE Strasse weiß", "STRAẞE STRAẞE WEISS"),
        ("gsg", "geht's, Kind's", "GEHEN KIND"),
        ("gsg", "−5 °C –5", "MINUS f-ü-n-f g-r-a-d c MINUS f-ü-n-f"),
        (
            "gsg",
            "1.000 3,5 am 12.05.",
            "e-i-n-t-a-u-s-e-n-d d-r-e-i k-o-m-m-a f-ü-n-f z-w-ö-l-f n-u-l-l f-ü-n-f",
        ),
        ("csq", "12", "j-e-d-a-n d-v-a"),
        ("gss", "3", "τ-ρ-ι-α"),
        ("jos", "مرحبا ٣", "م-ر-ح-ب-ا ث-لا-ث-ه"),
        ("ukl", "об'єкт", "о-б-є-к-т"),
        ("ase", "", ""),
        ("ase", " \t\r\n\0\x07\u202e ...!? ", ""),
    ],
)
def test_glosses(signing, language, text, expected):
    assert shown(push_all(signing, language, [text])) == expected


PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            ["good", "morning", "new", "york", "city", "A", "a", "the", "dog", "don't", "3", "1,",
             "000", ".", ",",
             "-", " ", "  ", "'", "!", "http://", "@", "🙂",
             "e\u0301", "\u0301", "\u200d", "ß", "x" * MAX_CHUNK,
             "9," * 200,
             "–", "–5", "10–15", "1\u00a0000", "\u202f", "2\u00a0km", "st", "½", ".5", '"', "(", "the", "das"]
        ),
        st.text(max_size=6),
    ),
    max_size=12,
)  # fmt: skip


@settings(deadline=None, max_examples=250)
@given(PIECES, st.sampled_from(["ase", "gsg", "tsm"]))
@example(["A", " ", "dog. A", "!"], "ase")
@example(["3", ",5", " 3", ", 5"], "ase")
@example(["new", " york ", "ci", "ty"], "ase")
@example(["1" * MAX_CHUNK, ",", "1"], "ase")
@example(["1" * MAX_CHUNK, "st"], "ase")
@example(["5", "–", "5", " –", "5", "\u00a0", "000"], "ase")
@example(["das", ' "', "Haus", '"', " ist das", "."], "gsg")
@example(["x" * MAX_CHUNK, "\u0301"], "ase")
def test_any_cutting_gives_the_same(signing, pieces, language):
    text = "".join(pieces)
    whole = push_all(signing, language, [text])
    assert push_all(signing, language, [*pieces, ""]) == whole
    assert push_all(signing, language, [*text, ""]) == whole


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=60), st.sampled_from(["ase", "sgg", "jos", "gss"]))
def test_nothing_that_can_be_read_is_lost(spelling, text, language):
    """Every letter and digit is signed, reported, or left out with a reason; and every place is right."""
    glossed = push_all(spelling, language, [text])
    places = [*glossed.glosses, *glossed.unspellable, *glossed.omitted]
    covered = {i for place in places for i in range(place.start, place.end)}
    for i, character in enumerate(text):
        assert i in covered or not (character.isalpha() or character.isdecimal() or character in "🙂€"), (
            character
        )
    assert all(0 <= place.start < place.end <= len(text) for place in places)
    assert all(
        text[u.start : u.end] == u.text for u in (*glossed.unspellable, *glossed.omitted) if u.text in text
    )
    starts = [gloss.start for gloss in glossed.glosses]
    assert starts == sorted(starts)


def test_a_word_is_signed_as_soon_as_it_is_certain(signing):
    state = signing.open("ase")

    def say(text: str) -> str:
        return shown(signing.push(text, state, final=False))

    assert say("hous") == ""
    assert say("e") == ""
    assert say(" ") == "HOUSE"
    assert say("dog,") == "d-o-g"
    assert say(" good ") == ""  # may become GOOD MORNING
    assert say("dog ") == "GOOD d-o-g"
    assert say("good. ") == "GOOD"  # nothing can follow a full stop
    assert say("good mor") == ""
    assert say("ning ") == "GOOD MORNING"
    assert say("new york") == ""
    assert say(" x ") == "NEW YORK x"
    last = signing.push("bye", state, final=True)
    assert shown(last) == "b-y-e"
    assert last.glosses[0].start == len("house dog, good dog good. good morning new york x ")
    assert signing.push("ab", state, final=True).glosses[0].start == 0  # another caption


def test_places_are_those_of_the_word(signing):
    glossed = push_all(signing, "ase", ["The  good morning,", " don't 40 dogs"])
    assert [(o.text, o.start, o.end) for o in glossed.omitted] == [("The", 0, 3)]
    places = [(g.label, g.start, g.end) for g in glossed.glosses]
    assert places[0] == ("GOOD MORNING", 5, 17)
    assert places[1:3] == [("DO", 19, 24), ("NOT", 19, 24)]
    assert places[3] == ("FORTY", 25, 27)
    assert places[4:] == [("D", 28, 29), ("O", 29, 30), ("G", 30, 31), ("S", 31, 32)]


def test_doubled_letters_stay_two(spelling):
    assert [g.label for g in push_all(spelling, "ase", ["hello"]).glosses] == list("HELLO")


def test_small_words_are_left_out_and_said(signing, spelling):
    glossed = push_all(spelling, "ase", ["The dog and a cat. A cat! An apple"])
    assert shown(glossed) == "d-o-g a-n-d c-a-t c-a-t a-p-p-l-e"
    assert [o.text for o in glossed.omitted] == ["The", "a", "A", "An"]
    assert all("articles" in o.reason for o in glossed.omitted)
    assert shown(push_all(spelling, "ase", ["A"])) == "a"
    assert shown(push_all(spelling, "ase", ["vitamin A is good"])) == "v-i-t-a-m-i-n a i-s g-o-o-d"
    assert shown(push_all(spelling, "ase", ["A B C"])) == "a b c"
    assert shown(push_all(signing, "ase", ["the end, a lot"])) == "THE END A LOT"  # a sign is never left out
    assert shown(push_all(spelling, "swl", ["the an a"])) == "t-h-e a-n a"  # other languages: everything


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("gsg", "schläft ein. kauft ein und", "s-c-h-l-ä-f-t e-i-n k-a-u-f-t e-i-n u-n-d"),
        ("gsg", "Wer ist das? Das war gut", "w-e-r d-a-s d-a-s w-a-r g-u-t"),
        ("gsg", "ein Kind, die „Bild“, der (alte) Mann", "k-i-n-d b-i-l-d a-l-t-e m-a-n-n"),
        ("ase", "vitamin a, plan a and the dog", "v-i-t-a-m-i-n a p-l-a-n a a-n-d d-o-g"),
    ],
)  # fmt: skip
def test_what_only_looks_like_an_article_stays(spelling, language, text, expected):
    """A verb's prefix, a pronoun, a letter: without it something else is said."""
    assert shown(push_all(spelling, language, [text])) == expected


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("ase", "-0.5", "minus zero point five"),
        ("ase", "–5 degrees", "minus five degrees"),
        ("ase", "10–15", "ten fifteen"),
        ("ase", "-05", "minus zero five"),
        ("ase", ".5", "point five"),
        ("ase", "10.30", "ten point three zero"),
        ("ase", "1\u202f000\u202f000 5\u00a0km", "one million five km"),
        ("gsg", "−0,5 Grad", "minus null komma fünf grad"),
        ("gsg", "2,0 %", "zwei komma null prozent"),
        ("slf", "3,50", "tre virgola cinque zero"),
        ("cse", "-5", "minus pet"),
        ("ase", "２．５％", "two point five percent"),
        ("jos", "٣٫٥٪", "ثلاثه فاصله خمسه بالمئـه"),
        ("jos", "-١٬٠٠٠", "سالب ألف"),
        ("csq", "-12,5", "minus jedan dva zarez pet"),
        ("gss", "-3", "μειον τρια"),
        ("eso", "-0,5", "miinus null koma viis"),
    ],
)
def test_no_part_of_a_number_is_lost(spelling, language, text, words):
    """A lost minus, point or zero is another temperature, price or time."""
    glossed = push_all(spelling, language, [text])
    assert shown(glossed).replace("-", "") == words
    assert glossed.unspellable == []


def test_symbols_side_by_side_are_read_one_by_one(spelling):
    glossed = push_all(spelling, "ase", ["50%+→€"])
    assert shown(glossed) == "f-i-f-t-y p-e-r-c-e-n-t p-l-u-s e-u-r-o"
    assert [(u.text, u.start, u.end) for u in glossed.unspellable] == [("→", 4, 5)]
    assert [(g.start, g.end) for g in glossed.glosses if g.word_end] == [(0, 2), (2, 3), (3, 4), (5, 6)]


def test_leaving_out_can_be_switched_off(spelling):
    glosser = PlainGlosser(Lexicon.default(), omit=False)
    assert shown(push_all(glosser, "ase", ["the dog"])) == "t-h-e d-o-g"


def test_what_cannot_be_spelled_is_reported(spelling):
    glossed = push_all(spelling, "ase", ["naïve Жук 🙂👍🏽 ok 東京 x\u0416y"])
    assert shown(glossed) == "n-a-i-v-e o-k x-y"
    assert [(u.text, u.start, u.end) for u in glossed.unspellable] == [
        ("Жук", 6, 9),
        ("🙂👍🏽", 10, 13),
        ("東京", 17, 19),
        ("Ж", 21, 22),
    ]
    assert all(u.reason and repr(u.text) in str(u) for u in glossed.unspellable)


def test_unknown_languages_teach(spelling):
    with pytest.raises(ValueError, match="ase"):
        spelling.open("xxx")


@pytest.mark.parametrize("language", Lexicon.default().languages())
def test_every_language_spells_words_and_numbers(spelling, language):
    letters = [letter for letter in spelling._lexicon.alphabet(language) if letter != "ئـ"]
    glossed = push_all(spelling, language, [" ".join(letters)])
    assert glossed.unspellable == []
    assert len(glossed.glosses) + len(glossed.omitted) == len(letters)
    numbers = push_all(spelling, language, ["0 7 25 1999 12.5"])
    assert numbers.glosses
    assert numbers.unspellable == []
    assert all(g.spelled for g in numbers.glosses)


@pytest.mark.parametrize("text", ["ab cd ", "🙂", "x", "\0\u202e", "1", "مرحبا ", "a.", "'-"])
def test_a_megabyte_takes_linear_time(spelling, text):
    """20 times as much text takes about 20 times as long: never 400."""

    def seconds(size: int) -> float:
        long = (text * (size // len(text) + 1))[:size]
        started = time.thread_time()
        push_all(spelling, "ase", [long])
        return time.thread_time() - started

    seconds(2_000)
    small = min(seconds(2_500) for _ in range(3))
    assert seconds(50_000) < 20 * 5 * small + 0.5


def test_pieces_of_a_long_text_take_bounded_memory(spelling):
    state = spelling.open("ase")
    for _ in range(2_000):
        spelling.push("abcdefgh", state, final=False)
        assert len(state.tokens.open) <= 2 * MAX_CHUNK + 8
        assert len(state.waiting) <= 2


@pytest.mark.skipif(SHARED is None, reason="the shared recordings are not here")
def test_four_signs_and_a_spelled_word():
    lexicon = Lexicon.stack([Lexicon.open(SHARED / "whole_signs_sgg"), Lexicon.default()])
    glossed = push_all(PlainGlosser(lexicon), "sgg", ["Kleine Kinder essen Pizza in Zürich"])
    assert shown(glossed) == "KLEINE KINDER ESSEN PIZZA z-ü-r-i-ch"
    assert [o.text for o in glossed.omitted] == ["in"]
    assert glossed.unspellable == []
    lexicon.close()
