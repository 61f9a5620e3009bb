"""The feed of the benchmark: the same for a seed, at the pace it says, every word of it accounted for."""

from __future__ import annotations

import random

import pytest

from benchmarks.captions_feed import MODES, FeedConfig, measure, pieces, spoken
from stream.captions import Reviser, ReviserConfig

TEXT = "der wind weht schwach aus nordwest am freitag kommt regen im süden zwanzig grad und morgen schnee"
VOCABULARY = TEXT.split()


def sentences(count: int, seed: int = 5) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(VOCABULARY, k=chance.randint(2, 14))) + " ." for _ in range(count)]


@pytest.mark.parametrize("mode", MODES)
def test_same_seed_same_feed_and_another_seed_another(mode: str) -> None:
    config, other = FeedConfig(mode), FeedConfig(mode, seed=1)
    one = list(pieces(list(spoken(iter(sentences(30)), config, 5)), config))
    assert one == list(pieces(list(spoken(iter(sentences(30)), config, 5)), config))
    assert one != list(pieces(list(spoken(iter(sentences(30)), other, 5)), other))
    assert [p.pts_ns for p in one] == sorted(p.pts_ns for p in one)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("agreement", [1, 2, 3])
def test_every_word_is_signed_once_or_reported(mode: str, agreement: int) -> None:
    config = FeedConfig(mode, seed=agreement)
    utterances = list(spoken(iter(sentences(200)), config, 20))
    words = sum(len(u.words) for u in utterances)
    assert words / (utterances[-1].ends_ms[-1] / 60_000) == pytest.approx(160, rel=0.02)
    figures = measure(utterances, config, Reviser(ReviserConfig(agreement=agreement)))
    assert figures["letters_neither_signed_nor_reported"] == 0
    assert figures["letters_signed_too_often"] == 0
    if mode != "asr":
        assert (figures["signed"], figures["changed"]) == (words, {})
