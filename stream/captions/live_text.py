"""Text of a live caption on its way to a signer: where it comes from, and when it was said.

Enters and leaves: nothing; this is a type. Does not know feeds or signing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LiveText:
    """feed, cue: what is named where a word is not signed. pts_ns, end_ns: when it was said (monotonic).

    delay_ns: as in `engine.signals.Caption`; None for captions that are signed to their end, however late.
    """

    feed: str
    cue: int
    pts_ns: int
    end_ns: int | None = None
    delay_ns: int | None = None
