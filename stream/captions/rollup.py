"""Recognises captions that show again what an earlier one showed: roll-up, paint-on and split cues.

Enters: two displays (lines of words) and their times. Leaves: the words the new one carries over. Does not
know what has been signed.

Whole lines scroll, so only whole lines are taken as carried over, but the last of them may have grown.
A line may have been corrected on its way up: that is believed where another line beside it is the same.
What the text alone cannot tell is decided by time: a display that follows without a gap carries over, one
after a pause repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from stream.captions.timed_text import NS_PER_MS, NS_PER_S, TimedText
from stream.captions.words import Word, words_of

GAP_NS = 250 * NS_PER_MS
CLEARED_NS = 8 * NS_PER_S
OPEN_END_NS = 12 * NS_PER_S
MOST_LINES = 15
ALIKE = 0.75
ALIKE_WORDS = 80
ENDS_SENTENCE = (".", "!", "?", "…", "。")

Display = list[list[Word]]


def display_of(item: TimedText) -> Display:
    """The lines of a caption that hold words."""
    lines = (words_of(line, item.language) for line in item.text.split("\n"))
    return [line for line in lines if line]


def carried_over(before: TimedText, shown: Display, item: TimedText, shows: Display) -> list[Word]:
    """The words at the start of `shows` that `shown` had, as `shown` had them; [] where it is new text."""
    if max(len(shown), len(shows)) > MOST_LINES:
        return []
    multiline = len(shown) > 1 or len(shows) > 1
    adjoins = _adjoins(before, item, multiline, GAP_NS)
    if not adjoins and not _adjoins(before, item, multiline, CLEARED_NS):
        return []
    if before.end_ns is None and not multiline and not (shown and 1 < len(shown[0]) < len(shows[0])):
        return []  # without an end, one line shown again is one line said again
    for first in range(max(0, len(shown) - len(shows)), len(shown)):
        kept = shown[first:]
        if not adjoins and (len(kept) >= len(shows) or sum(map(len, kept)) < 3):
            continue  # after a pause, only a few words above new text are sure not to be said again
        pairs = list(zip(kept, shows, strict=False))
        same = [_keys(old) == _keys(new) for old, new in pairs]
        same[-1] = same[-1] or _grown(*pairs[-1], sure=len(pairs) > 1)
        if all(same) or (
            any(same) and all(ok or _alike(*pair) for ok, pair in zip(same, pairs, strict=True))
        ):
            return [word for line in kept for word in line]
    return []


def _adjoins(before: TimedText, item: TimedText, multiline: bool, gap_ns: int) -> bool:
    if item.start_ns is None or before.start_ns is None:
        return multiline
    if item.start_ns < before.start_ns:
        return False
    end_ns = before.start_ns + OPEN_END_NS if before.end_ns is None else before.end_ns + gap_ns
    return item.start_ns <= end_ns


def _keys(line: Sequence[Word]) -> list[str]:
    return [word.key for word in line]


def _alike(old: Sequence[Word], new: Sequence[Word]) -> bool:
    if max(len(old), len(new)) > ALIKE_WORDS:
        return False
    return SequenceMatcher(None, _keys(old), _keys(new), autojunk=False).ratio() >= ALIKE


def _grown(old: Sequence[Word], new: Sequence[Word], sure: bool) -> bool:
    """Whether `new` continues `old`. Without lines above as evidence, a finished sentence does not."""
    if _keys(new[: len(old)]) != _keys(old):
        return False
    return sure or not old[-1].surface.endswith(ENDS_SENTENCE)
