"""What every glosser is: text in pieces in, glosses out as soon as they are certain; state is an argument.

Enters: nothing. Leaves: the protocol and the types of its answers. Does not know rules or models.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from engine.signals import Gloss

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Unspellable:
    """Text that has neither a sign nor letters: characters start..end of the caption, and why."""

    text: str
    start: int
    end: int
    reason: str

    def __str__(self) -> str:
        return f"{self.text!r} is not signed: {self.reason}"


@dataclass(frozen=True, slots=True)
class Omitted:
    """A word left out on purpose, as the grammar of the signed language does: said, never silent."""

    text: str
    start: int
    end: int
    reason: str

    def __str__(self) -> str:
        return f"{self.text!r} is left out: {self.reason}"


@dataclass(frozen=True, slots=True)
class Glossed:
    """What became certain with one piece of text. Offsets count from the beginning of the caption."""

    glosses: list[Gloss] = field(default_factory=list)
    unspellable: list[Unspellable] = field(default_factory=list)
    omitted: list[Omitted] = field(default_factory=list)


class Glosser(Protocol[State]):
    """Text to glosses. Weights and tables belong to the glosser, what was heard so far to the state."""

    def open(self, language: str) -> State:
        """A new caption in a signed language. Raises ValueError for one that cannot be signed at all."""
        ...

    def push(self, text: str, state: State, final: bool = True) -> Glossed:
        """The next piece of the caption. What is not certain yet waits in the state, unless this is the
        end.

        However a text is cut into pieces, the glosses together are the same.
        """
        ...
