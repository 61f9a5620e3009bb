"""One time axis for the segments of an HLS subtitle playlist.

Enters: cues with the times written in their segment, and its header. Leaves: cues on the media axis, in
nanoseconds, going on where the last segment stopped. Does not know playlists.

`X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000` ties the segment's own time to a 33-bit clock of 90 kHz,
which turns over every 26.5 hours. After a discontinuity the clock may jump: the axis goes on from its
latest cue.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from stream.captions.timed_text import NS_PER_MS, NS_PER_S, Cue

_LOCAL = re.compile(r"LOCAL:\s*(?:(\d{1,6}):)?(\d\d):(\d\d)\.(\d{3})")
_MPEGTS = re.compile(r"MPEGTS:\s*(\d{1,19})")
_WRAP = 1 << 33
_NEAR_NS = 60 * NS_PER_S


class MediaAxis:
    """Call `place` for each segment in order, `restart` before one whose clock may have jumped."""

    def __init__(self) -> None:
        self._edge_ns: int | None = None
        self._shift_ns = 0
        self._jumped = False
        self._ticks: int | None = None

    def restart(self) -> None:
        """The next segment's clock need not continue the last one's."""
        self._jumped = True
        self._ticks = None

    def place(self, cues: Sequence[Cue], metadata: Sequence[str]) -> list[Cue]:
        """The segment's cues on the axis. Their keys become their time there (to 10 ms) and their text: so is
        a cue known again in the next segment, which may write the same time otherwise.
        """
        offset_ns = self._offset_ns(metadata)
        starts = [cue.start_ns + offset_ns for cue in cues if cue.start_ns is not None]
        if not starts:
            return list(cues)
        if self._jumped and self._edge_ns is not None:
            if not -_NEAR_NS <= min(starts) + self._shift_ns - self._edge_ns <= _NEAR_NS:
                self._shift_ns = self._edge_ns - min(starts)
            self._jumped = False
        return [self._placed(cue, offset_ns + self._shift_ns) for cue in cues]

    def _placed(self, cue: Cue, by_ns: int) -> Cue:
        start_ns = (cue.start_ns or 0) + by_ns
        end_ns = None if cue.end_ns is None else cue.end_ns + by_ns
        self._edge_ns = max(self._edge_ns or 0, start_ns if end_ns is None else end_ns)
        return replace(
            cue, start_ns=start_ns, end_ns=end_ns, key=f"{round(start_ns / NS_PER_MS / 10)} {cue.text}"
        )

    def _offset_ns(self, metadata: Sequence[str]) -> int:
        """What is added to the segment's own times: MPEGTS - LOCAL; 0 without a map."""
        line = next((line for line in metadata if line.startswith("X-TIMESTAMP-MAP")), "")
        ticks, local = _MPEGTS.search(line), _LOCAL.search(line)
        if not ticks or not local:
            return 0
        hours, minutes, seconds, milliseconds = (int(part or 0) for part in local.groups())
        local_ns = ((hours * 60 + minutes) * 60 + seconds) * NS_PER_S + milliseconds * NS_PER_MS
        return self._unwrapped(int(ticks[1])) * NS_PER_S // 90_000 - local_ns

    def _unwrapped(self, ticks: int) -> int:
        if self._ticks is not None:
            ticks += round((self._ticks - ticks) / _WRAP) * _WRAP
        self._ticks = ticks
        return ticks
