"""Glossing a sentence that is still arriving: what is said is never taken back.

Enters: the words so far, again and again, one more each time. Leaves: the tokens that are certain now.
Does not know clips, captions or characters; state is an argument.

Two policies decide what is certain, and both are asked:
- *agreement* (Liu et al. 2020, local agreement): a gloss is certain when the last `agreement` readings, each
  with one word more, say it at the same place. The readings go on from what was said already.
- *margin* (Papi et al. 2023, AlignAtt): a gloss waits while it looks at one of the last `margin` words, since
  the next words may still change their meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.glossing.slul_model import SlulModel
from engine.glossing.slul_vocabulary import Encoded


@dataclass(frozen=True)
class Policy:
    """When a gloss is certain. agreement: readings that must agree (1: the newest alone suffices).

    margin: newest words a gloss must not look at (0: it may). beam: hypotheses searched at the sentence's
    end; readings in between are greedy.
    """

    agreement: int = 2
    margin: int = 2
    beam: int = 5

    def __post_init__(self) -> None:
        if self.agreement < 1 or self.margin < 0 or self.beam < 1:
            raise ValueError(
                f"Policy: got agreement={self.agreement}, margin={self.margin}, beam={self.beam}; "
                "expected agreement and beam >= 1, margin >= 0"
            )


@dataclass
class SentenceState:
    """One sentence under way: the tokens said, and the readings after the latest words."""

    said: list[int] = field(default_factory=list)
    readings: list[list[int]] = field(default_factory=list)


def read_on(
    model: SlulModel, encoded: Sequence[Encoded], states: Sequence[SentenceState], policy: Policy
) -> list[list[tuple[int, int]]]:
    """For each sentence the tokens that became certain with its newest word, and the words they look at.

    Call it once for each further word; sentences side by side are independent. What is certain is appended to
    `SentenceState.said`.
    """
    told = []
    readings = model.read(encoded, [state.said for state in states])
    for one, state, reading in zip(encoded, states, readings, strict=True):
        earlier = state.readings[1 - policy.agreement :] if policy.agreement > 1 else []
        state.readings = [*earlier, [token for token, _ in reading]]
        before = certain = len(state.said)
        if len(state.readings) == policy.agreement:
            newest = one.places[-1] - policy.margin  # the first word that is too new to be looked at
            agreed = _common(state.readings)
            while certain < agreed and reading[certain][1] < newest:
                certain += 1
        state.said += [token for token, _ in reading[before:certain]]
        told.append(reading[before:certain])
    return told


def read_out(
    model: SlulModel, encoded: Encoded, state: SentenceState, policy: Policy
) -> list[tuple[int, int]]:
    """The sentence is complete: all that was not yet said of it, with the words it looks at."""
    before = len(state.said)
    best = model.decode([encoded], beam=policy.beam, prefix=state.said)[0][0].tokens
    if len(best) == before:
        return []
    words = model.sources(encoded, best)
    state.said += best[before:]
    return list(zip(best[before:], words[before:], strict=True))


def _common(readings: Sequence[Sequence[int]]) -> int:
    """Length of the head all readings share."""
    shortest = min(map(len, readings))
    return next((at for at in range(shortest) if len({r[at] for r in readings}) > 1), shortest)
