"""How fast to sign when behind: a little faster, with shorter holds and pauses, never by jerks.

Enters: how late the next words would begin, frame by frame. Leaves: `boost` and `brevity`. Does not know
words.
"""

from __future__ import annotations

MOST_BOOST = 1.5


class Tempo:
    """boost: 1..1.5, times the rate that was chosen. brevity: 0..1, how much holds and pauses are shortened.

    calm_s: signing so late is left at its own pace; at hurried_s both are at their most. Both rise within a
    second and a half and fall within three: a viewer notices neither.
    """

    def __init__(self, calm_s: float, hurried_s: float) -> None:
        if not 0 <= calm_s < hurried_s:
            raise ValueError(
                f"Tempo: got calm {calm_s} s and hurried {hurried_s} s, expected 0 <= calm < hurried"
            )
        self._calm_s, self._hurried_s = calm_s, hurried_s
        self._pressure = 0.0

    @property
    def boost(self) -> float:
        return 1.0 + (MOST_BOOST - 1.0) * self._pressure

    @property
    def brevity(self) -> float:
        return self._pressure

    @property
    def calm(self) -> bool:
        return self._pressure == 0.0

    def step(self, late_s: float, dt_s: float) -> None:
        """late_s: how long after its time the latest of the waiting words would begin at the present rate."""
        wanted = min(max((late_s - self._calm_s) / (self._hurried_s - self._calm_s), 0.0), 1.0)
        self._pressure += min(max(wanted - self._pressure, -dt_s / 3.0), dt_s / 1.5)

    def reset(self) -> None:
        self._pressure = 0.0
