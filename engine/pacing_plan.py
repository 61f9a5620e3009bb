"""Which of the waiting words can be signed in time, so that together they tell the most.

Enters: `Item`s in the order of the text (when each may begin, when it must have begun to end, how long it
takes, what it is worth), the moment the hands are free, and the price of a second. Leaves: which to keep.
Pure.

Scheduling with deadlines for the greatest value, in a given order: every word is kept or left out, and what
matters of the words before is only when they end and what they were worth. So a frontier of (end, value)
pairs, none of which is both later and worth less than another, finds the best choice (Lawler and Moore 1969).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

FRONTIER = 24
"""Pairs kept; beyond that the choice is nearly the best one only. 24 words then take about a millisecond."""
PROTECTED = 1e6
"""A protected word is worth more than all others together."""


@dataclass(frozen=True, slots=True)
class Item:
    """Times in seconds from now. length_s: the whole word; last_s: from its begin to its last sign's begin.

    ready_s: it may not begin before; deadline_s: its last sign must have begun by then. value: in bits.
    """

    ready_s: float
    deadline_s: float
    length_s: float
    last_s: float
    value: float
    protected: bool = False


def in_time(items: Sequence[Item], free_s: float) -> bool:
    """Whether all of them can be signed, one after the other, each within its time."""
    for item in items:
        begin_s = max(free_s, item.ready_s)
        if begin_s + item.last_s > item.deadline_s:
            return False
        free_s = begin_s + item.length_s
    return True


def choose(
    items: Sequence[Item], free_s: float, price: float, forbidden: Collection[int] = ()
) -> tuple[int, ...]:
    """The items to keep, by index. price: bits that a second must be worth, for something else could come.

    Words in `forbidden` are not kept. A word worth less than its time is not kept, unless it is protected.
    """
    frontier: list[tuple[float, float, tuple[int, ...]]] = [(free_s, 0.0, ())]
    for i, item in enumerate(items):
        net = item.value - price * item.length_s
        gain = item.value + PROTECTED if item.protected else net
        if gain <= 0 or i in forbidden:
            continue
        kept = []
        for free, value, chosen in frontier:
            begin_s = max(free, item.ready_s)
            if begin_s + item.last_s <= item.deadline_s:
                kept.append((begin_s + item.length_s, value + gain, (*chosen, i)))
        frontier = _undominated(frontier + kept) if kept else frontier
    return max(frontier, key=lambda state: state[1])[2]


def _undominated(
    states: list[tuple[float, float, tuple[int, ...]]],
) -> list[tuple[float, float, tuple[int, ...]]]:
    states.sort(key=lambda state: (state[0], -state[1]))
    best: list[tuple[float, float, tuple[int, ...]]] = []
    for state in states:
        if not best or state[1] > best[-1][1]:
            best.append(state)
    if len(best) > FRONTIER:  # keep the ends, and what is spread between them
        step = (len(best) - 1) / (FRONTIER - 1)
        best = [best[round(k * step)] for k in range(FRONTIER)]
    return best


def price_of_time(demand: Sequence[tuple[float, float, bool]], capacity_s: float) -> float:
    """Bits that a second of signing is worth, when more was asked for than there was time.

    demand: (seconds, bits, protected) of each word of late; capacity_s: the time there was. 0 when all fits:
    else what the least dense word brings in that still has room when the densest are taken first.
    """
    if sum(seconds for seconds, _, _ in demand) <= capacity_s:
        return 0.0
    left_s = capacity_s - sum(seconds for seconds, _, protected in demand if protected)
    others = sorted(
        ((bits / max(seconds, 1e-3), seconds) for seconds, bits, protected in demand if not protected),
        reverse=True,
    )
    price = others[0][0] if others else 0.0
    for density, seconds in others:
        left_s -= seconds
        if left_s < 0:
            break
        price = density
    return price
