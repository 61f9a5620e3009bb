"""Choreography: glosses become motion, frame by frame.

    choreography = LexiconChoreography(lexicon)
    state = choreography.open(seed=0)
    choreography.append([(0, gloss)], state)
    frame = choreography.step(state, pts_ns)

Enters: numbered `Gloss`es. Leaves: one `MotionFrame` a step. Does not know text, threads or pictures.
"""

from engine.choreography.base import Choreography
from engine.choreography.config import FASTEST, SLOWEST, Timing
from engine.choreography.lexical import LexiconChoreography
from engine.choreography.state import LexiconState

__all__ = ["FASTEST", "SLOWEST", "Choreography", "LexiconChoreography", "LexiconState", "Timing"]
