"""Finds how a new version of a caption relates to the words already signed.

Enters: the words signed and the words of the new version. Leaves: where in the new version the unsigned words
begin, and what differs before that point. Does not know captions, times or who is told.

An edit distance over words whose second side may end anywhere: the prefix of the new version nearest to what
was signed. Among equally near ones the longest is taken, because a word wrongly taken as signed is reported,
while a word wrongly taken as new would be signed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream.captions.words import Word, shared_borders

MAX_CELLS = 40_000
MAX_JOINED = 5
_FREE, _SWAP, _DROP, _ADD = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Difference:
    """at: index among the signed words. signed, now: words as written on either side; one may be empty."""

    at: int
    signed: str
    now: str


def align(signed: Sequence[Word], now: Sequence[Word]) -> tuple[int, list[Difference]]:
    """(how many words of `now` correspond to `signed`, what differs among them).

    Beyond MAX_CELLS compared pairs, words are paired in order instead, and reported so.
    """
    borders = shared_borders(signed, now)
    i, j = borders[-1]
    if i == len(signed):
        return j, []
    end, differences = _align_rest(signed[i:], now[j:])
    return j + end, [Difference(i + d.at, d.signed, d.now) for d in differences]


def _align_rest(signed: Sequence[Word], now: Sequence[Word]) -> tuple[int, list[Difference]]:
    rows, columns = len(signed), len(now)
    if rows * columns > MAX_CELLS:
        end = min(rows, columns)
        return end, [Difference(0, _written(signed), _written(now[:end]))]
    cost = [[0] * (columns + 1) for _ in range(rows + 1)]
    step: list[list[tuple[int, int, int]]] = [[(_FREE, 0, 0)] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows + 1):
        for j in range(columns + 1):
            if i or j:
                cost[i][j], step[i][j] = _best(cost, signed, now, i, j)
    end = min(range(columns + 1), key=lambda j: (cost[rows][j], -j))
    return end, _differences(step, signed, now, end)


def _best(
    cost: list[list[int]], signed: Sequence[Word], now: Sequence[Word], i: int, j: int
) -> tuple[int, tuple[int, int, int]]:
    """The cheapest way to (i, j): its cost, and (kind, words of signed, words of now) of its last step."""
    options: list[tuple[int, tuple[int, int, int]]] = []
    if i and j:
        a, b = signed[i - 1].key, now[j - 1].key
        if a == b:
            return cost[i - 1][j - 1], (_FREE, 1, 1)
        options.append((cost[i - 1][j - 1] + 1, (_SWAP, 1, 1)))
        joined = b
        for n in range(2, min(MAX_JOINED, j) + 1):  # one signed word, written as several now
            joined = now[j - n].key + joined
            if joined == a:
                options.append((cost[i - 1][j - n], (_FREE, 1, n)))
            if len(joined) >= len(a):
                break
        joined = a
        for n in range(2, min(MAX_JOINED, i) + 1):
            joined = signed[i - n].key + joined
            if joined == b:
                options.append((cost[i - n][j - 1], (_FREE, n, 1)))
            if len(joined) >= len(b):
                break
    if i:
        options.append((cost[i - 1][j] + 1, (_DROP, 1, 0)))
    if j:
        options.append((cost[i][j - 1] + 1, (_ADD, 0, 1)))
    return min(options, key=lambda option: option[0])


def _differences(
    step: list[list[tuple[int, int, int]]], signed: Sequence[Word], now: Sequence[Word], end: int
) -> list[Difference]:
    found: list[Difference] = []
    i, j = len(signed), end
    while i or j:
        kind, back_i, back_j = step[i][j]
        i, j = i - back_i, j - back_j
        if kind != _FREE:
            found.append(Difference(i, _written(signed[i : i + back_i]), _written(now[j : j + back_j])))
    return found[::-1]


def _written(words: Sequence[Word]) -> str:
    return " ".join(word.surface for word in words)
