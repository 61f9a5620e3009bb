"""Glossing: text to the signs to perform.

    glosser = PlainGlosser(lexicon)
    state = glosser.open("ase")
    glossed = glosser.push("Hello wor", state, final=False)   # H E L L O; "wor" may still grow
    glossed = glosser.push("ld", state, final=True)           # W O R L D

Enters: text, in pieces. Leaves: `Glossed`. Does not know motion. `Glosser` is what another glosser must
offer.
"""

from engine.glossing.glosser import Glossed, Glosser, Omitted, Unspellable
from engine.glossing.plain import GlossState, PlainGlosser

__all__ = ["GlossState", "Glossed", "Glosser", "Omitted", "PlainGlosser", "Unspellable"]
