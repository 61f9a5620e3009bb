"""Several runs of the co-generation model at once: what they need next is decoded in common steps.

Enters: runs. Leaves: the same runs, with all decoded that each needs before its next frame is given out; the
frames are those that each would have decoded alone (to rounding: a test holds them together). Does not know
signers, nor when a frame is due.

A step of so small a network costs calls, not arithmetic: eight rows of one memory take little more than twice
as long as one. Runs that have just begun decode several frames; the others wait for nobody, they only join
the first of these steps.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from engine.choreography.cogeneration_lanes import Bench
from engine.choreography.cogeneration_run import Run

log = logging.getLogger(__name__)


def decode_together(runs: Sequence[Run]) -> None:
    """One run that fails gives up when it is asked for its next frame; the others do not notice."""
    while waiting := [run for run in runs if run.wants]:
        benches: dict[Bench, list[Run]] = {}
        for run in waiting:
            benches.setdefault(run.lane.bench, []).append(run)
        for bench, own in benches.items():
            _step(bench, sorted(own, key=lambda run: run.lane.row))


def _step(bench: Bench, runs: Sequence[Run]) -> None:
    begun = []
    for run in runs:
        try:
            begun.append((run, run.begin()))
        except Exception as error:
            run.fail(error)
    try:
        made = bench.step([told for _, told in begun], [run.lane.row for run, _ in begun]) if begun else []
    except Exception as error:
        log.exception("co-generation: a step of %d signers failed; they begin anew", len(begun))
        for run, _ in begun:
            run.fail(error)
        return
    for (run, _), one in zip(begun, made, strict=True):
        try:
            run.take(one)
        except Exception as error:
            run.fail(error)
