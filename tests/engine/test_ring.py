"""The ring cache against a plain list that remembers everything."""

from __future__ import annotations

import random

import pytest
import torch

from engine.nn.ring import Reach, Ring, bias_of_kinds

ROWS = 3


class Remembered:
    """What each row wrote, for ever."""

    def __init__(self) -> None:
        self.written: list[list[float]] = [[] for _ in range(ROWS)]

    def visible(self, row: int, reach: Reach) -> list[tuple[float, int]]:
        """What the newest position may look at, and the kind of distance of each, in order."""
        past = self.written[row]
        t = len(past) - 1
        near = {p: t - p for p in range(max(0, t - reach.context + 1), t + 1)}
        far = {p: reach.context for p in range(min(reach.sinks, t + 1)) if p not in near}
        return sorted((past[p], kind) for p, kind in (near | far).items())


def write(ring: Ring, values: list[float], active: torch.Tensor | None) -> None:
    """One step: row r writes values[r] into keys, its negative into values; all slots are looked at first."""
    keys = torch.tensor(values).view(1, ROWS, 1, 1).expand(2, ROWS, 2, 3)
    together = ring.common if active is None else None
    slots = ring.slots() if together is None else ring.slot_of(together)
    for layer in range(2):
        ring.write(layer, keys, -keys, slots, active)


def looked_at(ring: Ring, row: int) -> list[tuple[float, int]]:
    kinds = ring.kinds[ring.phase()[row]]
    held, negative = ring.keys[1, 1, row, 0, :, 0], ring.values[0, 0, row, 1, :, 2]
    assert torch.equal(held, -negative)
    seen = kinds != ring.reach.unseen
    return sorted(zip(held[seen].tolist(), kinds[seen].tolist(), strict=True))


@pytest.mark.parametrize(("context", "sinks", "rewind"), [(5, 0, 1), (5, 2, 4), (1, 1, 3), (8, 3, 8)])
def test_rows_that_step_rewind_and_begin_anew_see_what_a_list_remembers(
    context: int, sinks: int, rewind: int
) -> None:
    """Random commands over many times the context; masked rows are not touched."""
    reach = Reach(context, sinks)
    ring = Ring(reach, rows=ROWS, heads=2, width=3, layers=2, streams=2, rewind=rewind)
    told, remembered = random.Random(0), Remembered()
    since = [0] * ROWS  # steps since the last rewind limit, at most `rewind`
    number = 0.0
    for _ in range(40 * context + 200):
        command, rows = told.random(), [told.random() < 0.6 for _ in range(ROWS)]
        if command < 0.75:
            active = None if told.random() < 0.5 else torch.tensor(rows)
            number += 1
            values = [number + row / 10 for row in range(ROWS)]
            write(ring, values, active)
            for row in range(ROWS):
                if active is None or rows[row]:
                    remembered.written[row].append(values[row])
                    wanted = [(pytest.approx(v), k) for v, k in remembered.visible(row, reach)]
                    assert looked_at(ring, row) == wanted
                    since[row] = min(since[row] + 1, rewind)
            ring.advance(active)
        elif command < 0.95:
            chosen = [row for row in range(ROWS) if rows[row]]
            steps = told.randint(0, min((since[row] for row in chosen), default=0))
            ring.rewind(steps, torch.tensor(rows))
            for row in chosen:
                remembered.written[row] = remembered.written[row][: len(remembered.written[row]) - steps]
                since[row] -= steps
        else:
            ring.reset(torch.tensor(rows))
            for row in range(ROWS):
                if rows[row]:
                    remembered.written[row], since[row] = [], 0
        assert ring.position.tolist() == [len(past) for past in remembered.written]


def test_going_back_further_than_the_ring_was_made_for_is_refused() -> None:
    ring = Ring(Reach(4, 1), rows=1, heads=1, width=1, rewind=3)
    with pytest.raises(ValueError, match=r"expected 0\.\.0"):
        ring.rewind(1)
    for _ in range(10):
        ring.advance()
    with pytest.raises(ValueError, match=r"got 4 steps, expected 0\.\.3"):
        ring.rewind(4)
    ring.rewind(2)
    with pytest.raises(ValueError, match=r"expected 0\.\.1"):
        ring.rewind(2)


def test_the_bias_hides_what_is_not_seen() -> None:
    reach = Reach(2, 1)
    kinds = reach.kind(torch.arange(5)[:, None], torch.arange(5)[None])
    bias = bias_of_kinds(torch.tensor([0.1, 0.2, 0.3]), kinds)
    seen = [[0.1, None, None, None, None], [0.2, 0.1, None, None, None], [0.3, 0.2, 0.1, None, None],
            [0.3, None, 0.2, 0.1, None], [0.3, None, None, 0.2, 0.1]]  # fmt: skip
    wanted = torch.tensor([[-torch.inf if x is None else x for x in row] for row in seen])
    assert torch.equal(bias, wanted)


@pytest.mark.parametrize("sizes", [{"rows": 0}, {"heads": 0}, {"rewind": 0}, {"layers": -1}])
def test_impossible_sizes_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        Ring(Reach(4), **{"rows": 1, "heads": 1, "width": 1, **sizes})
    with pytest.raises(ValueError, match="context"):
        Reach(0)
