"""Commits fit the real glosser: a caption that came in pieces is glossed like the whole one."""

from __future__ import annotations

from engine.glossing import PlainGlosser
from engine.lexicon import Lexicon
from stream.captions import Commit
from tests.stream.captions.test_reviser import Driver

TEXT = "Good evening, 20 degrees in New York today."


def labels(commits: list[Commit]) -> list[str]:
    glosser = PlainGlosser(Lexicon.default())
    state = glosser.open("ase")
    return [g.label for c in commits for g in glosser.push(c.text, state, final=c.final).glosses]


def test_glosses_of_pieces_are_glosses_of_the_whole() -> None:
    growing = Driver()
    for upto in range(1, len(TEXT)):
        growing.say(TEXT[:upto], "c", final=False)
    growing.say(TEXT, "c")
    assert len(growing.commits) > 4
    assert labels(growing.commits) == labels([Commit(TEXT, 1, True)])


def test_a_caption_that_ends_without_further_words_ends_its_glosses() -> None:
    driver = Driver()
    for text in ("it is cold ", "it is  cold ", "it is cold now", "it is cold"):
        driver.say(text, "c", final=False)
    driver.say("it is cold", "c")
    assert (driver.commits[-1].text, driver.commits[-1].final) == ("", True)
    assert labels(driver.commits) == labels([Commit("it is cold", 1, True)])
