"""From log probabilities of each frame to one sequence of tokens (connectionist temporal classification).

Enters: log probabilities [T, tokens], token 0 being none. Leaves: tokens. Does not know what they mean.
"""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import groupby

import numpy as np

from engine.signals import FloatArray

_NEVER = -math.inf
_UNLIKELY = -12.0
"""Tokens less likely than this in a frame are not tried there."""


def greedy(scores: FloatArray) -> list[int]:
    """The best token of each frame, repeats and blanks removed."""
    best = scores.argmax(-1)
    return [token for token, _ in groupby(best.tolist()) if token != 0]


def beam_search(scores: FloatArray, beam: int = 8) -> list[int]:
    """The likeliest sequence, all its alignments added up (prefix search: Graves 2008; Hannun et al.
    2014).
    """
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, _NEVER)}  # ends in blank, in its token
    for frame in scores:
        tokens = np.flatnonzero(frame > _UNLIKELY)
        found: defaultdict[tuple[int, ...], list[float]] = defaultdict(lambda: [_NEVER, _NEVER])
        for prefix, (blank, token) in beams.items():
            total = np.logaddexp(blank, token)
            for t in tokens.tolist():
                score = float(frame[t])
                if t == 0:
                    found[prefix][0] = np.logaddexp(found[prefix][0], total + score)
                elif prefix and prefix[-1] == t:
                    found[prefix][1] = np.logaddexp(found[prefix][1], token + score)
                    longer = found[(*prefix, t)]
                    longer[1] = np.logaddexp(longer[1], blank + score)
                else:
                    longer = found[(*prefix, t)]
                    longer[1] = np.logaddexp(longer[1], total + score)
        kept = sorted(found.items(), key=lambda item: -np.logaddexp(item[1][0], item[1][1]))[:beam]
        beams = {prefix: (ends[0], ends[1]) for prefix, ends in kept}
    best, _ = max(beams.items(), key=lambda item: float(np.logaddexp(*item[1])))
    return list(best)
