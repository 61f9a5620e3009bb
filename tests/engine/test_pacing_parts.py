"""The parts of keeping up, each alone: the plan, its price, initials, what words are worth."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.pacing_config import PacingConfig
from engine.pacing_memory import Memory
from engine.pacing_plan import FRONTIER, Item, choose, in_time, price_of_time
from engine.pacing_words import worth_of

S = 1_000_000_000
ITEM = st.builds(
    lambda ready, slack, last, pause, value, protected: Item(
        ready, ready + last + slack, last + pause, last, value, protected
    ),
    st.floats(0, 5),
    st.floats(-0.5, 4),
    st.floats(0, 2),
    st.floats(0.1, 1),
    st.floats(0.1, 20),
    st.booleans(),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(ITEM, max_size=8), st.floats(0, 3), st.sampled_from([0.0, 3.0, 12.0]))
def test_the_plan_is_as_good_as_trying_everything(items: list[Item], free_s: float, price: float) -> None:
    def worth(kept: tuple[int, ...]) -> float:
        gains = (
            items[i].value + 1e6 if items[i].protected else items[i].value - price * items[i].length_s
            for i in kept
        )
        return sum(gains)

    subsets = [tuple(i for i in range(len(items)) if mask >> i & 1) for mask in range(2 ** len(items))]
    best = max(worth(kept) for kept in subsets if in_time([items[i] for i in kept], free_s))
    chosen = choose(items, free_s, price)
    assert in_time([items[i] for i in chosen], free_s)
    assert worth(chosen) == pytest.approx(best, rel=1e-9, abs=1e-9) or len(items) > FRONTIER


def test_the_price_of_a_second() -> None:
    assert price_of_time([(1.0, 5.0, False)], 10) == 0
    demand = [(1.0, 10.0, False), (1.0, 6.0, False), (1.0, 2.0, False), (2.0, 1.0, True)]
    assert price_of_time(demand, 4.0) == 6.0
    assert price_of_time(demand, 3.5) == 10.0


def test_initials_tell_words_apart_and_are_forgotten() -> None:
    memory = Memory(60)
    memory.spelled("regen", "REGEN", 0)
    assert memory.initials("regen", 30 * S) == 1
    memory.spelled("richtung", "RICHTUNG", 0)
    assert memory.initials("regen", 30 * S) == 2
    assert memory.initials("regen", 61 * S) == 0
    assert memory.initials("norden", 0) == 0
    memory.spelled("regel", "REGEL", 0)
    assert memory.initials("regen", S) == 0, "four letters of five win nothing"
    heard = [memory.hear(word, S) for word in ["guten", "abend", "meine", "damen", "guten", "abend", "meine"]]
    assert heard == [False] * 6 + [True]
    assert not memory.hear("herren", S)


def test_what_words_are_worth() -> None:
    assert worth_of("und", "de").function
    assert worth_of("Und,", "de") == worth_of("und", "de")
    for word, spoken in (
        ("nicht", "de"),
        ("don’t", "en"),
        ("KEINE", "de"),
        ("pas", "fr"),
        ("yok", "tr"),
        ("don´t", "en"),
        ("dont", "en"),
        ("couldn't've", "en"),
        ("not good", "en"),
        ("nein", "de"),
    ):
        assert worth_of(word, spoken).negation, word
    for word, spoken in (("25", "de"), ("siebzehn", "de"), ("twenty", "en"), ("3,5", "en"), ("½", "en")):
        assert worth_of(word, spoken).number, word
    assert not worth_of("eine", "de").number
    assert not worth_of("want", "en").negation
    assert worth_of("Osterwetter", "de").bits > worth_of("Wetter", "de").bits > worth_of("wird", "de").bits
    assert worth_of("saluton", "eo").bits > worth_of("la", "eo").bits, "without frequencies, by length"


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="late_s"):
        PacingConfig(late_s=0)
    with pytest.raises(ValueError, match="calm_s"):
        PacingConfig(calm_s=2, hurried_s=1)
