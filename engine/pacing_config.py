"""The figures of keeping up, and the reasons that viewers read.

Enters: nothing. Leaves: `PacingConfig`, `REASONS`. Does not know words.
"""

from __future__ import annotations

from dataclasses import dataclass

REASONS = {
    "function": "left out to keep up: a function word",
    "repeated": "left out to keep up: it was said a moment ago",
    "less": "left out to keep up: other words tell more",
    "long": "left out to keep up: spelling it takes longer than there is time",
    "late": "left out: it came too late",
    "pair": "left out to keep up with the word it belongs to: only together they mean what was said",
    "initials": "abbreviated to keep up: it was spelled in full less than a minute ago",
    "interrupted": "interrupted before it was signed",
    "failed": "lost when the signer failed and was started again",
}


@dataclass(frozen=True, slots=True)
class PacingConfig:
    """late_s: the last sign of a word begins at most so long after its caption (plus programme delay).

    protected_s: so much more for negations and numbers. least_s: but a word always has so long after its
    arrival. calm_s, hurried_s: see `Tempo`. remembered_s: see `Memory`. patience_s: hands at rest so long
    sign also what is cheap. horizon: words looked at ahead. demand_s: over how long what is asked for is
    compared with what there is time for.
    """

    late_s: float = 2.6
    protected_s: float = 0.3
    least_s: float = 1.5
    calm_s: float = 0.5
    hurried_s: float = 1.5
    remembered_s: float = 60.0
    patience_s: float = 0.8
    horizon: int = 24
    demand_s: float = 30.0

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if not getattr(self, name) > 0:
                raise ValueError(f"PacingConfig.{name}: got {getattr(self, name)}, expected more than 0")
        if self.calm_s >= self.hurried_s:
            raise ValueError(
                f"PacingConfig: got calm_s {self.calm_s}, expected less than hurried_s {self.hurried_s}"
            )
