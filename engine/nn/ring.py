"""A ring of keys and values: attention over the recent past, forever, in memory that never grows.

Enters: keys and values of one step. Leaves: all that are held, and which of them the step may look at.
Does not know what attends, nor with which weights.

A step at position t sees the `context` latest positions, itself among them, and the first `sinks` ones, which
stay for good: a softmax needs somewhere to put weight it has no use for, and a stream that has lost its
beginning loses its footing (Xiao et al. 2024, "Efficient streaming language models with attention sinks").

Position p lies in slot p where p < sinks, else in sinks + (p - sinks) % (context + rewind - 1). With fewer
slots, a stream that steps back `rewind` steps and goes on would read keys that were overwritten meanwhile.

Positions are a tensor, one per row, so that a step has the same shape at every position; rows (signers)
step, rewind and are reset independently. A row that is masked out of a step is left as it was. Where all
rows are in step, which is known without asking the tensor, one slice is written instead of many indexed
places: on a CPU that is a third of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Reach:
    """How far attention reaches: the `context` latest positions and the first `sinks` ones."""

    context: int
    sinks: int = 0

    def __post_init__(self) -> None:
        if self.context < 1 or self.sinks < 0:
            raise ValueError(
                f"Reach: got context={self.context}, sinks={self.sinks}; expected context >= 1, sinks >= 0"
            )

    @property
    def kinds(self) -> int:
        """Kinds of distance: 0..context-1 steps back, then `context` for a sink further away."""
        return self.context + 1

    @property
    def unseen(self) -> int:
        """The kind of a position that is not looked at."""
        return self.context + 1

    def kind(self, query: Tensor, key: Tensor) -> Tensor:
        """The kind of distance from positions `query` to positions `key`, broadcast; `unseen` where none."""
        back = query - key
        near = (back >= 0) & (back < self.context)
        sink = (back >= self.context) & (key < self.sinks) & (key >= 0)
        return torch.where(near, back, torch.where(sink, self.context, self.unseen))


def bias_of_kinds(table: Tensor, kinds: Tensor) -> Tensor:
    """Attention bias [..., *kinds.shape] from a learned table [..., reach.kinds]; -inf where unseen."""
    hidden = table.new_full((*table.shape[:-1], 1), -torch.inf)
    return torch.cat([table, hidden], -1)[..., kinds]


class Ring:
    """Keys and values of `layers` layers, of `streams` decoders that step together, for `rows` signers.

    keys, values [layers, streams, rows, heads, slots, width]; position [rows], int64: steps so far.
    A step is: `slots()` once, `write` per layer, `advance` once.
    """

    def __init__(
        self,
        reach: Reach,
        *,
        rows: int,
        heads: int,
        width: int,
        layers: int = 1,
        streams: int = 1,
        rewind: int = 1,
        like: Tensor | None = None,
    ) -> None:
        for name, got in (("rows", rows), ("heads", heads), ("width", width), ("layers", layers),
                          ("streams", streams), ("rewind", rewind)):  # fmt: skip
            if got < 1:
                raise ValueError(f"Ring.{name}: got {got}, expected at least 1")
        self.reach, self.rewindable = reach, rewind
        self.turn = reach.context + rewind - 1
        self.slots_held = reach.sinks + self.turn
        like = torch.zeros(()) if like is None else like
        shape = (layers, streams, rows, heads, self.slots_held, width)
        self.keys, self.values = like.new_zeros(shape), like.new_zeros(shape)
        self.position = torch.zeros(rows, dtype=torch.int64, device=like.device)
        self._steps, self._back = [0] * rows, [0] * rows  # positions, and how far each may go back
        self.row_numbers = torch.arange(rows, device=like.device)
        self._kinds = self._tabulate(like.device)

    # -- a step --------------------------------------------------------------------------------

    @property
    def common(self) -> int | None:
        """The position that all rows are at; None where they are not in step."""
        first = self._steps[0]
        return first if all(steps == first for steps in self._steps) else None

    @property
    def steps(self) -> list[int]:
        """The position of every row, known without asking the tensor; only to be read."""
        return self._steps

    def slot_of(self, position: int) -> int:
        """The slot of a position."""
        sinks = self.reach.sinks
        return position if position < sinks else sinks + (position - sinks) % self.turn

    def phase_of(self, position: int) -> int:
        """Which row of `kinds` holds at a position."""
        first = self.reach.sinks + self.turn
        return position if position < first else first + (position - first) % self.turn

    def slots(self) -> Tensor:
        """The slot [rows] that this step is written to."""
        sinks = self.reach.sinks
        return torch.where(self.position < sinks, self.position, sinks + (self.position - sinks) % self.turn)

    def phase(self) -> Tensor:
        """Which row of `kinds` holds now, [rows]: it repeats once the ring has gone round."""
        first = self.reach.sinks + self.turn
        return torch.where(self.position < first, self.position, first + (self.position - first) % self.turn)

    @property
    def kinds(self) -> Tensor:
        """[phases, slots]: the kind of distance (see `Reach`) of every slot, for every phase of the ring."""
        return self._kinds

    def write(
        self, layer: int, keys: Tensor, values: Tensor, slots: Tensor | int, active: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Put keys and values [streams, rows, heads, width] of this step in place; all that are held.

        slots: `slots()`, or one slot for all rows. active [rows], bool: rows to step (None: all). Returns
        two views [streams, rows, heads, slots, width].
        """
        held_keys, held_values = self.keys[layer], self.values[layer]
        if isinstance(slots, int):
            held_keys[..., slots, :].copy_(keys)
            held_values[..., slots, :].copy_(values)
            return held_keys, held_values
        for held, new in ((held_keys, keys), (held_values, values)):
            if active is not None:
                new = torch.where(
                    active[:, None, None], new, held[:, self.row_numbers, :, slots].transpose(0, 1)
                )
            held[:, self.row_numbers, :, slots] = new.transpose(0, 1)
        return held_keys, held_values

    def advance(self, active: Tensor | None = None) -> None:
        """The step is over: rows (all, or where `active`) are one position further."""
        self.position += 1 if active is None else active
        self._count(range(len(self._steps)) if active is None else active.nonzero().flatten().tolist())

    def advance_rows(self, rows: list[int]) -> None:
        """As `advance`, for rows by number, on a CPU."""
        self.position.numpy()[rows] += 1
        self._count(rows)

    def _count(self, rows: Sequence[int]) -> None:
        for row in rows:
            self._steps[row] += 1
            self._back[row] = min(self._back[row] + 1, self.rewindable)

    # -- going back ----------------------------------------------------------------------------

    def rewind(self, steps: int, rows: Tensor | None = None) -> None:
        """Forget the last `steps` steps (of the rows where `rows` [rows] is True; None: of all).

        Raises ValueError where that is more than was stepped, or more than the ring was made for.
        """
        chosen = range(len(self._steps)) if rows is None else rows.nonzero().flatten().tolist()
        most = min((self._back[row] for row in chosen), default=max(steps, 0))
        if not 0 <= steps <= most:
            raise ValueError(
                f"rewind: got {steps} steps, expected 0..{most} (the ring keeps {self.rewindable} at most)"
            )
        self.position -= steps if rows is None else rows * steps
        for row in chosen:
            self._steps[row] -= steps
            self._back[row] -= steps

    def reset(self, rows: Tensor | None = None) -> None:
        """Begin anew (the rows where `rows` is True; None: all). What they held is wiped out: a NaN among
        what is not looked at would be seen all the same, times nothing."""
        for held in (self.keys, self.values):
            held[:, :, slice(None) if rows is None else rows] = 0
        self.position *= 0 if rows is None else ~rows
        for row in range(len(self._steps)) if rows is None else rows.nonzero().flatten().tolist():
            self._steps[row] = self._back[row] = 0

    def _tabulate(self, device: torch.device) -> Tensor:
        """`kinds`. A slot s >= sinks holds, at position t, the latest p <= t with p = s (modulo the turn)."""
        sinks, turn = self.reach.sinks, self.turn
        t = torch.arange(sinks + 2 * turn, device=device)[:, None]
        s = torch.arange(self.slots_held, device=device)[None, :]
        held = torch.where(s < sinks, s.expand(len(t), -1), t - (t - s) % turn)
        kind = self.reach.kind(t, held)
        return torch.where((s >= sinks) & (held < sinks), self.reach.unseen, kind)
