"""Byte-pair subwords of a corpus, with dropout of merges as regularisation.

Enters: words with their counts (to learn), a word (to cut). Leaves: pieces, the first one marked.
Does not know sentences, token numbers or languages.

Sources: Sennrich et al. 2016 (BPE); Provilkov et al. 2020 (BPE-dropout).
"""

from __future__ import annotations

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

START = "▁"
"""Marks the first piece of a word."""

Pair = tuple[str, str]


def learn_merges(words: Mapping[str, int], pieces: int) -> list[Pair]:
    """Learn merges until there are `pieces` different pieces. Deterministic: ties go to the smaller pair."""
    cuts = {word: [START + word[0], *word[1:]] for word in words if word}
    inventory = {piece for cut in cuts.values() for piece in cut}
    counts: Counter[Pair] = Counter()
    where: defaultdict[Pair, set[str]] = defaultdict(set)
    for word, cut in cuts.items():
        for pair in itertools.pairwise(cut):
            counts[pair] += words[word]
            where[pair].add(word)
    merges: list[Pair] = []
    while len(inventory) < pieces and counts:
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        if counts[best] < 2:
            break
        merges.append(best)
        inventory.add(best[0] + best[1])
        for word in sorted(where[best]):
            cut = cuts[word]
            for pair in itertools.pairwise(cut):
                counts[pair] -= words[word]
            cuts[word] = cut = _merge(cut, best)
            for pair in itertools.pairwise(cut):
                counts[pair] += words[word]
                where[pair].add(word)
        del counts[best], where[best]
    return merges


def _merge(cut: list[str], pair: Pair) -> list[str]:
    merged: list[str] = []
    for piece in cut:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


class Subwords:
    """Cuts words into pieces by learned merges."""

    def __init__(self, merges: Sequence[Pair]) -> None:
        self.merges = [tuple(merge) for merge in merges]
        self._rank = {pair: rank for rank, pair in enumerate(self.merges)}
        self._known: dict[str, tuple[str, ...]] = {}

    def cut(self, word: str, dropout: float = 0.0, rng: random.Random | None = None) -> tuple[str, ...]:
        """Pieces of a word. `dropout` leaves out each possible merge with that probability."""
        if not word:
            return ()
        if dropout == 0 or rng is None:
            if word not in self._known:
                if len(self._known) > 50_000:
                    self._known.clear()
                self._known[word] = self._cut(word, 0.0, None)
            return self._known[word]
        return self._cut(word, dropout, rng)

    def _cut(self, word: str, dropout: float, rng: random.Random | None) -> tuple[str, ...]:
        pieces = [START + word[0], *word[1:]]
        while len(pieces) > 1:
            ranked = [
                (self._rank[pair], at)
                for at, pair in enumerate(itertools.pairwise(pieces))
                if pair in self._rank and (rng is None or rng.random() >= dropout)
            ]
            if not ranked:
                break
            _, at = min(ranked)
            pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
        return tuple(pieces)
