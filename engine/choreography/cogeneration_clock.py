"""The generated time of one signer: progress within a gloss, from the length the model gave it.

Enters: lengths in frames. Leaves: progress, and that a gloss is over. Does not know glosses or motion.

Lengths are fractions of frames, frames are whole: what is rounded away from one gloss is given to the next,
so that a long text lasts as long as the model said.
"""

from __future__ import annotations

from dataclasses import dataclass

SHORTEST_FRAMES = 2
LONGEST_FRAMES = 500


@dataclass(slots=True)
class GlossClock:
    """progress: 0 at the beginning, 1 with the last frame. elapsed: frames so far. left: frames to come.
    owed: frames, between -0.5 and 0.5, that the glosses so far should have been longer."""

    progress: float = 1.0
    elapsed: int = 0
    left: int = 0
    owed: float = 0.0

    @property
    def over(self) -> bool:
        return self.left <= 0

    def start(self, frames: float) -> None:
        """A new gloss of so many frames begins with the next tick."""
        frames = min(max(frames, SHORTEST_FRAMES), LONGEST_FRAMES)
        self.left = max(round(frames + self.owed), SHORTEST_FRAMES)
        self.owed = min(max(self.owed + frames - self.left, -0.5), 0.5)
        self.progress, self.elapsed = 0.0, 0

    def stretch(self, frames: float) -> None:
        """The gloss now takes so many frames as a whole: what is left changes in proportion."""
        frames = min(max(frames, SHORTEST_FRAMES), LONGEST_FRAMES)
        if not self.over:
            self.left = max(1, round((1 - self.progress) * frames))

    def tick(self) -> None:
        """One frame on."""
        assert self.left > 0
        self.progress += (1 - self.progress) / self.left
        self.elapsed += 1
        self.left -= 1

    def copy(self) -> GlossClock:
        return GlossClock(self.progress, self.elapsed, self.left, self.owed)
