"""Caption POSTs with a sequence number, as YouTube takes them from encoders: bodies become cues.

Enters: `seq` and the text of a body. Leaves: cues on the axis of UTC time. Does not know HTTP.

A body holds captions, each a line with a UTC time (`2026-01-31T12:00:00.000`, then optionally a region) and
then lines of text, `<br>` standing for a line end. The same `seq` again is a retry, or a corrected version; a
lower one with a later time is an encoder that started anew. An empty body keeps the connection alive.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from datetime import UTC, datetime

from stream.captions.timed_text import NS_PER_S, CaptionError, Cue, plain_lines

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)Z?(?:\s+\S{1,200})*\s*")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
REMEMBERED = 1024


class NumberedPosts:
    """One encoder's POSTs."""

    def __init__(self, language: str = "") -> None:
        self._language = language
        self._run = 0
        self._times: OrderedDict[int, int] = OrderedDict()

    def take(self, seq: int, body: str) -> list[Cue]:
        """The cues of POST number `seq`. Raises CaptionError when the body has text without a time."""
        if not 0 <= seq < 2**53:
            raise CaptionError(f"seq: got {seq}, expected a whole number from 0, one higher with each POST")
        captions = _captions(body)
        if not captions:
            return []
        begin_ns = captions[0][0]
        if self._times and seq <= max(self._times) and self._restarted(seq, begin_ns):
            self._run += 1
            self._times.clear()
        self._times[seq] = begin_ns
        if len(self._times) > REMEMBERED:
            self._times.popitem(last=False)
        return [
            Cue(text, f"{self._run}/{seq}/{i}", start_ns, None, self._language)
            for i, (start_ns, text) in enumerate(captions)
        ]

    def _restarted(self, seq: int, begin_ns: int) -> bool:
        if seq in self._times:
            return begin_ns > self._times[seq] and begin_ns > max(self._times.values())
        return begin_ns > max(self._times.values())


def _captions(body: str) -> list[tuple[int, str]]:
    """(UTC time in ns, text) of each caption of a body."""
    found: list[tuple[int, list[str]]] = []
    for line in body.splitlines():
        if not line.strip():
            continue
        time = _TIME.fullmatch(line.strip())
        if time:
            found.append((_utc_ns(time[1]), []))
        elif found:
            found[-1][1].append(_BREAK.sub("\n", line))
        else:
            raise CaptionError(
                f"got text before any time: {line[:40]!r}; "
                "expected a line like 2026-01-31T12:00:00.000, then the text"
            )
    texts = ((start_ns, plain_lines("\n".join(lines)).rstrip()) for start_ns, lines in found)
    return [(start_ns, text) for start_ns, text in texts if text]


def _utc_ns(written: str) -> int:
    seconds, _, fraction = written.replace(",", ".").partition(".")
    try:
        moment = datetime.fromisoformat(seconds).replace(tzinfo=UTC) - _EPOCH
    except ValueError as error:
        raise CaptionError(f"the time {written!r} does not exist ({error}); send UTC") from error
    return (moment.days * 86_400 + moment.seconds) * NS_PER_S + int(fraction.ljust(9, "0") or 0)
