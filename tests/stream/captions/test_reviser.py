"""Each word of a feed is signed once, however the feed repeats, rolls up, revises or guesses."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.captions.alignment import Difference, align
from stream.captions.reviser import Commit, Reviser, ReviserConfig
from stream.captions.timed_text import NS_PER_S, TimedText
from stream.captions.words import words_of

WORDS = st.sampled_from(
    ["sun", "rain", "and", "the", "north", "wind", "a", "I", "low", "Zürich,", "don't", "7", "—", "cold."]
)
TEXTS = st.lists(WORDS, min_size=1, max_size=14).map(" ".join)


def keys(text: str, language: str = "") -> list[str]:
    return [word.key for word in words_of(text, language)]


def signed(commits: list[Commit]) -> list[str]:
    return keys(" ".join(commit.text for commit in commits))


class Driver:
    """Feeds pieces in order and collects what comes out, checking what holds always."""

    def __init__(self, config: ReviserConfig | None = None) -> None:
        self.reviser = Reviser(config)
        self.commits: list[Commit] = []
        self.seq = 0
        self.first: dict[str, int] = {}

    def say(
        self, text: str, cue: str = "", final: bool = True, at_s: float = 0, **more: object
    ) -> list[Commit]:
        self.seq += 1
        revises = self.first.get(cue) if cue else None
        if cue:
            self.first.setdefault(cue, self.seq)
        times = {"start_ns": None, "end_ns": None, **more}
        item = TimedText(text, self.seq, revises, pts_ns=int(at_s * NS_PER_S), final=final, **times)  # type: ignore[arg-type]
        out = self.reviser.feed(item)
        self.take(out)
        return out

    def shows(self, text: str, start_s: float, end_s: float, **more: object) -> list[Commit]:
        return self.say(text, start_ns=int(start_s * NS_PER_S), end_ns=int(end_s * NS_PER_S), **more)  # type: ignore[arg-type]

    def take(self, commits: list[Commit]) -> None:
        for commit in commits:
            assert commit.text or commit.final
            assert commit.final or commit.text.endswith(" ")
        self.commits += commits

    def all(self) -> list[str]:
        self.take(self.reviser.finish())
        return signed(self.commits)

    def changes(self) -> list[tuple[str, str, str]]:
        return [(c.signed, c.now, c.reason) for c in self.reviser.take_changes()]


@given(TEXTS, st.lists(st.integers(0, 200), max_size=20), st.integers(1, 4), st.booleans())
def test_any_chunking_of_a_growing_caption_gives_the_words_of_the_final_one(
    text: str, cuts: list[int], agreement: int, finalised: bool
) -> None:
    driver = Driver(ReviserConfig(agreement=agreement))
    for cut in sorted(min(c, len(text)) for c in cuts):
        if text[:cut].strip():
            driver.say(text[:cut], "c", final=False)
    driver.say(text, "c", final=finalised)
    assert driver.all() == keys(text)
    assert driver.changes() == []
    assert {c.seq for c in driver.commits} == ({1} if keys(text) else set())
    assert [c.final for c in driver.commits] == [False] * (len(driver.commits) - 1) + [True] * bool(
        keys(text)
    )


@given(
    st.lists(TEXTS.filter(keys), min_size=1, max_size=12),
    st.integers(1, 4),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_roll_up_signs_each_word_once(
    lines: list[str], shown: int, growing: bool, chance: random.Random
) -> None:
    lines = [f"w{n} {line}".replace(".", "") for n, line in enumerate(lines)]  # no two alike; all may grow
    driver = Driver()
    start = 0.0
    for n, line in enumerate(lines):
        above = lines[max(0, n + 1 - shown) : n]
        tokens = line.split()
        steps = sorted(chance.sample(range(1, len(tokens)), min(2, len(tokens) - 1))) if growing else []
        for upto in [*steps, len(tokens)]:
            driver.shows("\n".join([*above, " ".join(tokens[:upto])]), start, start + 1)
            start += 1
    assert driver.all() == keys(" ".join(lines))


@given(st.lists(st.tuples(TEXTS, st.booleans()), min_size=1, max_size=10), st.data())
def test_retries_and_duplicates_change_nothing(versions: list[tuple[str, bool]], data: st.DataObject) -> None:
    once, often = Driver(), Driver()
    for n, (text, final) in enumerate(versions):
        cue = str(n // 3)
        once.say(text, cue, final)
        for _ in range(data.draw(st.integers(1, 3))):
            often.say(text, cue, final)
    assert once.all() == often.all()
    assert once.changes() == often.changes()


@given(TEXTS, st.lists(st.tuples(TEXTS, st.integers(0, 14)), max_size=8), st.integers(1, 3))
def test_partials_that_never_touch_committed_words_give_the_final_text(
    text: str, guesses: list[tuple[str, int]], agreement: int
) -> None:
    """Each guess keeps what is committed so far and then says anything."""
    driver = Driver(ReviserConfig(agreement=agreement))
    for guess, _ in guesses:
        known = len(signed(driver.commits))
        kept = " ".join(w.surface for w in words_of(text)[:known])
        before = len(driver.commits)
        reviser_input = f"{kept} {guess}".strip()
        driver.say(reviser_input, "c", final=False)
        if signed(driver.commits) != keys(text)[: len(signed(driver.commits))]:
            del driver.commits[before:]
            return  # two guesses agreed on what the final text does not say: another property's business
    driver.say(text, "c")
    assert driver.all() == keys(text)
    assert driver.changes() == []


@settings(max_examples=300)
@given(st.lists(TEXTS, min_size=1, max_size=6), TEXTS, st.integers(1, 3))
def test_every_word_of_the_final_text_is_signed_or_reported(
    guesses: list[str], text: str, agreement: int
) -> None:
    driver = Driver(ReviserConfig(agreement=agreement))
    for guess in guesses:
        driver.say(guess, "c", final=False)
    committed = signed(driver.commits)
    driver.say(text, "c")
    done = driver.all()
    assert done[: len(committed)] == committed  # nothing handed over was taken back
    changes = driver.changes()
    accounted = done + [key for _, now, _ in changes for key in keys(now)]
    for before, _, _ in changes:
        for key in keys(before):
            accounted.remove(key)
    assert "".join(sorted("".join(accounted))) == "".join(sorted("".join(keys(text))))


def test_a_word_is_committed_when_two_hypotheses_agree() -> None:
    driver = Driver()
    assert driver.say("the whether", "c", final=False) == []
    assert [c.text for c in driver.say("the weather is", "c", final=False)] == ["the "]
    assert [c.text for c in driver.say("The weather is, nice", "c", final=False)] == ["weather is, "]
    assert [(c.text, c.final) for c in driver.say("The weather is nice today.", "c")] == [
        ("nice today.", True)
    ]
    assert driver.changes() == []


@pytest.mark.parametrize(
    ("language", "partials", "final", "expected"),
    [
        ("en", ["twenty one people", "21 people are"], "21 people are here", "21 people are here"),
        ("en", ["21 people now", "twenty one people"], "21 people are here", "twenty one people are here"),
        ("de", ["zwanzig grad", "20 grad im"], "zwanzig Grad im Süden", "20 grad im Süden"),
        ("de", ["es regnet heute abend", "es regnet heuteabend wohl"], "es regnet heute Abend", None),
    ],
)
def test_numbers_and_split_words_are_no_change(
    language: str, partials: list[str], final: str, expected: str | None
) -> None:
    driver = Driver()
    for text in partials:
        driver.say(text, "c", final=False, language=language)
    driver.say(final, "c", language=language)
    assert "".join(driver.all()) == "".join(keys(expected or final))
    assert driver.changes() == []


def test_what_was_signed_wrongly_is_reported_once() -> None:
    driver = Driver()
    for text in ("I scream now", "I scream now and", "I scream now and then"):
        driver.say(text, "c", final=False)
    driver.say("ice cream now and then please", "c")
    driver.say("ice cream now and then please", "c")
    assert driver.all() == keys("I scream now and then please")
    assert driver.changes() == [("I", "ice", "changed"), ("scream", "cream", "changed")]


def test_words_moved_by_the_recogniser_to_the_next_cue_are_signed_once() -> None:
    driver = Driver()
    driver.say("good evening how are", "a", final=False)
    driver.say("good evening how are you", "a", final=False)
    driver.say("good evening.", "a")
    driver.say("ho", "b", final=False)
    driver.say("how are you", "b")
    assert driver.all() == keys("good evening how are you")
    assert driver.changes() == []


def test_withdrawn_words_are_reported() -> None:
    driver = Driver()
    driver.say("good evening uh", "a", final=False)
    driver.say("good evening uh no", "a", final=False)
    driver.say("good evening", "a")
    driver.say("welcome", "b")
    assert driver.all() == keys("good evening uh welcome")
    assert driver.changes() == [("uh", "", "withdrawn")]


def test_a_revision_within_the_hold_is_signed_as_revised() -> None:
    driver = Driver(ReviserConfig(hold_ns=2 * NS_PER_S))
    assert driver.say("rain in the south", "a", at_s=0) == []
    assert driver.say("rain in the north", "a", at_s=1) == []
    assert [c.text for c in driver.say("later sun", "b", at_s=2.5)] == ["rain in the north"]
    assert driver.reviser.next_due_ns() == 4.5 * NS_PER_S
    assert [c.text for c in driver.reviser.due(int(4.5 * NS_PER_S))] == ["later sun"]
    assert driver.changes() == []


def test_a_revision_after_signing_adds_what_is_new_and_reports_the_rest() -> None:
    driver = Driver()
    driver.say("rain in the south", "a")
    driver.say("rain in the north today", "a")
    driver.say("sun", "b")
    driver.say("rain in the north today again", "a")
    assert driver.all() == keys("rain in the south today sun")
    assert driver.changes() == [("south", "north", "changed"), ("", "again", "late")]


def test_a_silent_recogniser_does_not_keep_words_back() -> None:
    driver = Driver()
    assert driver.say("almost said", "a", final=False, at_s=1) == []
    due = driver.reviser.next_due_ns()
    assert due == 3 * NS_PER_S
    assert driver.reviser.due(due - 1) == []
    assert [c.text for c in driver.reviser.due(due)] == ["almost said "]


def test_the_same_words_after_a_pause_are_said_again() -> None:
    driver = Driver()
    driver.shows("No.", 0, 1)
    driver.shows("No.", 1, 2)  # a cue split in two
    driver.shows("No.", 5, 6)  # said again
    assert driver.all() == ["no", "no"]


def test_a_line_corrected_while_it_rolls_up_is_reported_not_signed_again() -> None:
    driver = Driver()
    driver.shows("tonight then\nheavy reign in the south\nand some", 0, 1)
    driver.shows("heavy rain in the south\nand some sun", 1, 2)
    assert driver.all() == keys("tonight then heavy reign in the south and some sun")
    assert driver.changes() == [("reign", "rain", "changed")]


def test_a_line_that_comes_back_above_new_text_after_a_pause_is_not_said_again() -> None:
    driver = Driver()
    driver.shows("tonight then heavy rain", 0, 1)
    driver.shows("tonight then heavy rain\nin the south", 3, 4)
    driver.shows("in the south", 6, 7)
    assert driver.all() == keys("tonight then heavy rain in the south in the south")


def test_lines_that_only_resemble_each_other_are_all_signed() -> None:
    driver = Driver()
    driver.shows("six degrees in the south", 0, 1)
    driver.shows("ten degrees in the south", 1, 2)
    assert driver.all() == keys("six degrees in the south ten degrees in the south")


def test_memory_is_bounded() -> None:
    config = ReviserConfig(remembered_cues=20, remembered_words=200, hold_ns=10**15, open_cues=16)
    driver = Driver(config)
    for n in range(2000):
        driver.say(f"words of number {n}", str(n))
    assert len(driver.reviser._cues) <= 37
    assert len(driver.reviser._open) <= 17
    driver.say("a revision of something long gone", "3")
    assert driver.changes()[-1] == ("", "a revision of something long gone", "forgotten")
    assert len(driver.all()) == 8000


@settings(max_examples=200)
@given(
    st.lists(st.lists(st.tuples(TEXTS, st.booleans()), min_size=1, max_size=4), min_size=1, max_size=6),
    st.integers(1, 3),
    st.sampled_from([0, 3 * NS_PER_S]),
    st.randoms(use_true_random=False),
)
def test_over_many_cues_all_final_words_are_signed_or_reported_and_none_twice(
    cues: list[list[tuple[str, bool]]], agreement: int, hold_ns: int, chance: random.Random
) -> None:
    """Cues of several versions, the last of which is final; finals may come late, and out of order."""
    driver = Driver(ReviserConfig(agreement=agreement, hold_ns=hold_ns))
    pending: list[tuple[str, str]] = []
    for n, versions in enumerate(cues):
        for text, _ in versions[:-1]:
            driver.say(f"k{n} {text}", str(n), final=False, at_s=n)
        pending.append((f"k{n} {versions[-1][0]}", str(n)))
        while pending and chance.random() < 0.7:
            text, cue = pending.pop(chance.randrange(len(pending)))
            driver.say(text, cue, at_s=n + 0.5)
    for text, cue in pending:
        driver.say(text, cue, at_s=len(cues))
    balance: Counter[str] = Counter("".join(driver.all()))
    for before, now, _ in driver.changes():
        balance.update("".join(keys(now)))
        balance.subtract("".join(keys(before)))
    balance.subtract(
        "".join(key for n, versions in enumerate(cues) for key in keys(f"k{n} {versions[-1][0]}"))
    )
    assert {letter: count for letter, count in balance.items() if count} == {}


def test_a_guess_that_comes_after_its_caption_is_over_changes_nothing() -> None:
    driver = Driver()
    driver.say("rain tonight", "a")
    assert driver.say("rain tonight and wrong guesses ", "a", final=False, at_s=5) == []
    driver.say("sun", "b", final=False, at_s=6)
    driver.say("snow", "c", at_s=6.5)  # b is over too: what it guessed is signed
    assert driver.say("sun shining ", "b", final=False, at_s=7) == []
    driver.say("sun shining", "b", at_s=8)
    assert driver.all() == keys("rain tonight sun snow")
    assert driver.changes() == [("", "shining", "late")]


def test_the_same_line_above_new_text_long_after_is_said_again() -> None:
    driver = Driver()
    driver.shows("tonight then heavy rain", 0, 1)
    driver.shows("tonight then heavy rain\nin the south", 20, 21)
    assert driver.all() == keys("tonight then heavy rain tonight then heavy rain in the south")


def test_a_finished_sentence_does_not_grow() -> None:
    driver = Driver()
    driver.shows("Yes.", 0, 1)
    driver.shows("Yes. I think so", 1, 2)
    driver.shows("Yes. I think so too", 2, 3)
    assert driver.all() == keys("yes yes I think so too")


@pytest.mark.parametrize(("signed_text", "now"), [("I newyork", "we new york"), ("I new york", "we newyork")])
def test_words_split_otherwise_beside_a_difference_are_no_difference(signed_text: str, now: str) -> None:
    end, differences = align(words_of(signed_text), words_of(now))
    assert end == len(words_of(now))
    assert differences == [Difference(0, "I", "we")]
