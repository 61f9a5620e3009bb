"""Signers that are watched and rest share the drawing of two: fifty idle screens must not take the processor
from the one that signs.

Enters: who rests, frame by frame, on the inference thread. Leaves: whether this frame is worth a picture.
Does not know drawing. Who signs is always drawn at the full rate, at once; so are up to two resting ones.
"""

from __future__ import annotations

NS_PER_S = 1_000_000_000
LEAST_FPS = 1.0
"""A viewer that gets no picture for four seconds takes the connection for broken."""


class RestBudget:
    """See the module. fps: the full rate. signers: so many may rest at the full rate together."""

    def __init__(self, fps: float, signers: float = 2.0) -> None:
        self._fps, self._signers = fps, signers
        self._drawn_ns: dict[str, int] = {}

    def due(self, name: str, resting: bool, pts_ns: int) -> bool:
        """Whether this frame of a watched signer is drawn."""
        if not resting:
            self._drawn_ns.pop(name, None)
            return True
        last_ns = self._drawn_ns.get(name)
        if last_ns is not None and len(self._drawn_ns) > self._signers:
            fps = max(LEAST_FPS, self._fps * self._signers / len(self._drawn_ns))
            if pts_ns - last_ns < NS_PER_S / fps - NS_PER_S / self._fps / 2:  # half a frame: not one too late
                return False
        self._drawn_ns[name] = pts_ns
        return True

    def forget(self, name: str) -> None:
        """Nobody watches it, or it is gone."""
        self._drawn_ns.pop(name, None)
