"""One training sentence as token numbers, with noise that keeps a small corpus from being learned by heart.

Enters: a pair, a vocabulary, a random generator. Leaves: source and target token numbers.
Does not know batches, losses or models.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

from engine.glossing.slul_vocabulary import SEATS, Vocabulary
from trainer.data.phoenix import Pair

_PARTS = re.compile(r"[-+]")


@dataclass(frozen=True)
class NoiseConfig:
    """Probabilities, each for itself.

    subword_dropout: BPE-dropout (Provilkov et al. 2020). word_dropout: share of source words left out.
    name_share: share of sentences in which a word that is alike on both sides takes a name seat.
    prefix_share: share of sentences cut short on both sides, for streaming. copy_share: share of sentences
    whose text gives way to the glosses' own words, so that the decoder also learns the glosses alone (a
    monolingual objective: Currey et al. 2017).
    """

    subword_dropout: float = 0.1
    word_dropout: float = 0.0
    name_share: float = 0.05
    prefix_share: float = 0.0
    copy_share: float = 0.0

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"NoiseConfig.{name}: got {getattr(self, name)}, expected 0 <= {name} < 1")


def gloss_form(word: str) -> str:
    """How a word would be written as a gloss: upper case, umlauts resolved."""
    return word.upper().replace("Ä", "AE").replace("Ö", "OE").replace("Ü", "UE").replace("ß", "SS")


def words_of(glosses: Sequence[str]) -> list[str]:
    """Glosses as words of a text: lower case, compounds and spelled letters apart."""
    return [part for gloss in glosses for part in _PARTS.split(gloss.lower()) if part]


class Noise:
    """Makes rows for one vocabulary."""

    def __init__(self, config: NoiseConfig, vocabulary: Vocabulary) -> None:
        self.config, self.vocabulary = config, vocabulary

    def row(self, pair: Pair, rng: random.Random) -> tuple[Sequence[int], Sequence[int]]:
        """Source and target token numbers of one sentence, noise drawn from `rng`."""
        c = self.config
        words, glosses = list(pair.words), list(pair.glosses)
        cut_short = rng.random() < c.prefix_share
        if cut_short:
            share = rng.uniform(0.2, 1.0)
            words = words[: max(1, round(share * len(words)))]
            glosses = glosses[: max(1, round(share * len(glosses)))]
        if c.copy_share and rng.random() < c.copy_share:
            words = words_of(glosses) or words
        names: list[int] = []
        seats: dict[str, int] = {}
        if rng.random() < c.name_share:
            names, seats = _seated(words, glosses, rng)
        if c.word_dropout:
            kept = [i for i in range(len(words)) if i in names or rng.random() >= c.word_dropout]
            words, names = [words[i] for i in kept], [kept.index(i) for i in names]
        source = self.vocabulary.source(words, pair.language, names=names, dropout=c.subword_dropout, rng=rng)
        target = self.vocabulary.target(glosses, seats)
        return source.tokens, target[:-1] if cut_short else target


def _seated(
    words: Sequence[str], glosses: Sequence[str], rng: random.Random
) -> tuple[list[int], dict[str, int]]:
    """Places of some words that are alike on both sides, and the seat of each of their glosses."""
    alike = [i for i, word in enumerate(words) if glosses.count(gloss_form(word)) == words.count(word) == 1]
    names = sorted(rng.sample(alike, min(len(alike), rng.randint(1, SEATS))))
    return names, {gloss_form(words[place]): seat for seat, place in enumerate(names)}
