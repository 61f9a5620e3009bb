"""When a caption was said, on this machine's monotonic clock.

Enters: commits, with times on the feed's media axis and of their arrival. Leaves: monotonic times. Does not
know programme delays or signing.

The first caption's arrival is its time, and ties the axes together: what is later by two seconds on the media
axis is later by two seconds here, whenever it arrives. Two clocks drift apart, some hundredths of a second in
ten minutes; so the tie follows the promptest arrivals of the last minute, by at most two milliseconds a
second. A jump of the media clock beyond half a minute ties anew, but not in a finished file, which comes
all at once.
"""

from __future__ import annotations

from collections import deque

from stream.captions.reviser import Commit
from stream.captions.timed_text import NS_PER_S

WINDOW_NS = 60 * NS_PER_S
FOLLOWED_NS = NS_PER_S
JUMP_NS = 30 * NS_PER_S
SLEW = 0.002
WORD_NS = NS_PER_S
"""A word takes at most so long: a cue shown for a minute was not spoken for a minute."""


class Timeline:
    """See the module. One for each feed. finished: a file that comes as fast as it is read. aligned: False
    where nothing is shown in step with the captions: then one that comes late was said when it came.
    """

    def __init__(self, finished: bool = False, aligned: bool = True) -> None:
        self._finished, self._aligned = finished, aligned
        self._tie_ns: float | None = None
        self._recent: deque[tuple[int, int]] = deque()
        self._at_ns = 0

    def said(self, commit: Commit) -> tuple[int, int]:
        """When the first and the last word of a commit were said.

        By the feed's own times where a whole cue is committed at once; else by when they were first heard.
        """
        if commit.start_ns is None or not commit.whole:
            return commit.heard_ns, max(commit.heard_ns, commit.heard_until_ns)
        start_ns = self.place(commit.start_ns, commit.heard_ns)
        if not self._aligned:
            start_ns = max(start_ns, commit.heard_ns)
        longest_ns = WORD_NS * max(1, len(commit.text.split()))
        shown_ns = 0 if commit.end_ns is None else commit.end_ns - commit.start_ns
        return start_ns, start_ns + min(max(shown_ns, 0), longest_ns)

    def place(self, media_ns: int, arrived_ns: int) -> int:
        """The monotonic time of a moment on the media axis whose caption arrived then."""
        offset_ns = arrived_ns - media_ns
        if self._tie_ns is None or (not self._finished and abs(offset_ns - self._tie_ns) > JUMP_NS):
            self._tie_ns, self._at_ns = offset_ns, arrived_ns
            self._recent.clear()
        self._recent.append((arrived_ns, offset_ns))
        while self._recent[0][0] < arrived_ns - WINDOW_NS:
            self._recent.popleft()
        away_ns = min(offset for _, offset in self._recent) - self._tie_ns
        if abs(away_ns) <= FOLLOWED_NS:
            most_ns = SLEW * (arrived_ns - self._at_ns)
            self._tie_ns += min(max(away_ns, -most_ns), most_ns)
        self._at_ns = arrived_ns
        return media_ns + round(self._tie_ns)
