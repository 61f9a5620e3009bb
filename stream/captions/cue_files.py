"""WebVTT and SRT text, arriving in any pieces, becomes cues.

Enters: pieces of text. Leaves: cues, as soon as each is complete (the empty line after it has come). Does not
know files or networks. Blocks are cut here, because the files grow; what a block means is webvtt-py's.
"""

from __future__ import annotations

import io
from collections import Counter
from typing import Literal

import webvtt
from webvtt.errors import MalformedCaptionError, MalformedFileError

from stream.captions.limits import DEFAULT_LIMITS, Limits
from stream.captions.timed_text import NS_PER_MS, NS_PER_S, CaptionError, Cue, plain_lines

REMEMBERED_STARTS = 8192

CueFormat = Literal["vtt", "srt"]


class CueReader:
    """`push` text, take cues; `finish` at the end of the file. `skipped` counts blocks that made no sense.

    Raises CaptionError when a WebVTT file does not begin as one. Afterwards nothing raises: broken blocks are
    counted and passed over, because the next one may be whole.

    identity: what tells that a cue is another version of an earlier one. "order": its start time, and its
    place among the cues of that start (for a file that is written anew). "content": only an equal one is the
    same (for segments that overlap). A WebVTT identifier beside an equal start always does.
    """

    def __init__(
        self,
        form: CueFormat,
        limits: Limits = DEFAULT_LIMITS,
        language: str = "",
        identity: Literal["order", "content"] = "order",
    ) -> None:
        self.skipped = 0
        self._identity = identity
        self._starts: Counter[int] = Counter()
        self.metadata: list[str] = []
        self._form = form
        self._limits = limits
        self._language = language
        self._rest = ""
        self._block: list[str] = []
        self._block_chars = 0
        self._begun = False

    def push(self, text: str) -> list[Cue]:
        """Take more of the file, cut anywhere."""
        found: list[Cue] = []
        lines = (self._rest + text).replace("\r\n", "\n").split("\n")
        self._rest = lines.pop()
        for line in lines:
            found += self._line(line.rstrip("\r"))
        if len(self._rest) > self._limits.block_chars:
            self._block_chars += len(self._rest)  # too long already: only its end is waited for
            self._rest = " "
        return found

    def finish(self) -> list[Cue]:
        """The file ends here (or starts anew): what is left is a block too."""
        found = self._line(self._rest.rstrip("\r")) if self._rest else []
        found += self._end_block()
        self._rest, self._begun = "", False
        self._starts.clear()
        return found

    def _line(self, line: str) -> list[Cue]:
        if not line.strip() and not (self._form == "vtt" and line):
            return self._end_block()
        self._block_chars += len(line) + 1
        if self._block_chars <= self._limits.block_chars:
            self._block.append(line)
        return []

    def _end_block(self) -> list[Cue]:
        lines, chars = self._block, self._block_chars
        self._block, self._block_chars = [], 0
        if not lines:
            return []
        if chars > self._limits.block_chars:
            self.skipped += 1
            self._begun = True
            return []
        return self._vtt(lines) if self._form == "vtt" else self._srt(lines)

    def _vtt(self, lines: list[str]) -> list[Cue]:
        if not self._begun:
            lines[0] = lines[0].removeprefix("\ufeff")
            if not lines[0].startswith("WEBVTT"):
                raise CaptionError(
                    f"this is not WebVTT: got {lines[0][:40]!r}, expected a first line that begins "
                    "with WEBVTT; name the file .srt or .ttml if it is one of those"
                )
            self._begun = True
            self.metadata = lines[1:]
            if not any("-->" in line for line in lines):
                return []
            lines = lines[1:]
        return self._parse("WEBVTT\n\n" + "\n".join(lines) + "\n\n")

    def _srt(self, lines: list[str]) -> list[Cue]:
        lines[0] = lines[0].removeprefix("\ufeff")
        if "-->" in lines[0]:
            lines.insert(0, "0")  # some writers leave the counter out
        if len(lines) < 3 and any("-->" in line for line in lines):
            return []
        lines[0] = lines[0].strip()
        return self._parse("\n".join(lines) + "\n\n")

    def _parse(self, text: str) -> list[Cue]:
        try:
            captions = webvtt.WebVTT().from_buffer(io.StringIO(text), format=self._form).captions
        except (MalformedFileError, MalformedCaptionError, ValueError, OverflowError):
            self.skipped += 1
            return []
        if not captions and "-->" in text:
            self.skipped += 1
        return [cue for caption in captions if (cue := self._cue(caption)) is not None]

    def _cue(self, caption: webvtt.Caption) -> Cue | None:
        start_ns, end_ns = _nanoseconds(caption.start_time), _nanoseconds(caption.end_time)
        # webvtt-py takes "3 < 5 and 6 > 4" for a tag, as WebVTT demands; in SRT it is text
        text = plain_lines(caption.text if self._form == "vtt" else caption.raw_text).rstrip()
        if not text:
            return None
        name = caption.identifier if self._form == "vtt" else None
        if name:
            key = f"{name[:200]}@{start_ns}"
        elif self._identity == "content":
            key = f"{start_ns}-{end_ns} {text}"
        else:
            key = f"@{start_ns}#{self._starts[start_ns]}"
            self._starts[start_ns] += 1
            if len(self._starts) > REMEMBERED_STARTS:
                del self._starts[next(iter(self._starts))]
        return Cue(text, key, start_ns, max(start_ns, end_ns), self._language)


def _nanoseconds(time: object) -> int:
    hours, minutes, seconds, milliseconds = (
        int(getattr(time, name)) for name in ("hours", "minutes", "seconds", "milliseconds")
    )
    return ((hours * 60 + minutes) * 60 + seconds) * NS_PER_S + milliseconds * NS_PER_MS
