"""Who rests and is watched shares a budget; who signs never pays."""

from __future__ import annotations

import pytest

from stream.rest_budget import LEAST_FPS, RestBudget

PERIOD_NS = 40_000_000


def pictures(budget: RestBudget, resting: int, signing: int = 0, seconds: float = 8.0) -> list[float]:
    """Pictures a second of each: those that rest first."""
    drawn = [0] * (resting + signing)
    ticks = round(seconds * 25)
    for tick in range(ticks):
        for number in range(resting + signing):
            drawn[number] += budget.due(str(number), number < resting, tick * PERIOD_NS)
    return [count / seconds for count in drawn]


@pytest.mark.parametrize(("resting", "expected"), [(1, 25), (2, 25), (4, 12.5), (10, 5), (50, LEAST_FPS)])
def test_resting_signers_share_the_drawing_of_two(resting: int, expected: float) -> None:
    rates = pictures(RestBudget(25.0), resting, signing=3)
    assert rates[resting:] == [25.0] * 3
    for rate in rates[:resting]:
        assert rate == pytest.approx(expected, rel=0.25)


def test_who_begins_to_sign_is_drawn_at_once_and_who_leaves_frees_the_others() -> None:
    budget = RestBudget(25.0)
    pictures(budget, 50)
    now_ns = 1000 * PERIOD_NS
    assert budget.due("0", True, now_ns)
    assert not budget.due("0", True, now_ns + PERIOD_NS)
    assert budget.due("0", False, now_ns + 2 * PERIOD_NS)
    for number in range(2, 50):
        budget.forget(str(number))
    assert all(budget.due("1", True, now_ns + tick * PERIOD_NS) for tick in range(1, 10))
