"""The motion lexicon: one recording per sign or letter; open, look up, perform.

    lexicon = Lexicon.stack([Lexicon.open(folder), Lexicon.default()])
    clip = lexicon.sign("Pizza", "sgg")                    # or None
    letters = lexicon.letters("Zürich", "sgg")             # Spelled(clip or None, start, end)
    motion = lexicon.motion(clip)                          # made once, then from memory or disk
    lexicon.close()

Enters: lexicon folders. Leaves: clips and `engine.signals.Motion`. Does not know sentences or choreography.
"""

from engine.lexicon.index import Entry, Problem
from engine.lexicon.letters import Spelled
from engine.lexicon.lexicon import Lexicon
from engine.lexicon.motions import MotionStore

__all__ = ["Entry", "Lexicon", "MotionStore", "Problem", "Spelled"]
