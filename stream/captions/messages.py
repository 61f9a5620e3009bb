"""Plain text and JSON messages, as a caption editor, a script or a recogniser sends them: cues.

Enters: the text of one message or POST. Leaves: cues. Does not know sockets or HTTP.

Plain text: every line is a caption. JSON: {"text": ..., "final": false, "id": ..., "language": "en",
"start_ms": ..., "end_ms": ...}; all but `text` may be left out. Messages of the same `id` are versions of one
caption; without `id`, partial messages are versions of one caption until a final one ends it.
"""

from __future__ import annotations

import itertools
import json

from stream.captions.timed_text import NS_PER_MS, CaptionError, Cue, plain_lines

MOST_MS = 1e14
_SENDERS = itertools.count()
FIELDS = ("text", "final", "id", "language", "start_ms", "end_ms")


class MessageReader:
    """One sender's messages."""

    def __init__(self, language: str = "") -> None:
        self._language = language
        self._sender = next(_SENDERS)  # what several senders leave unnamed must not be taken for one
        self._utterance = 0

    def take(self, message: str) -> list[Cue]:
        """The captions of one message. Raises CaptionError when it is JSON of another shape."""
        if message.lstrip()[:1] == "{":
            return self._json(message)
        lines = (plain_lines(line, markup=False).rstrip() for line in message.split("\n"))
        return [Cue(line, language=self._language) for line in lines if line]

    def _json(self, message: str) -> list[Cue]:
        try:
            body = json.loads(message)
        except (ValueError, RecursionError) as error:
            raise CaptionError(
                f"the message begins like JSON but is none ({error}); send text or JSON"
            ) from error
        unknown = sorted(set(body) - set(FIELDS))
        if unknown or not isinstance(body.get("text"), str):
            names = ", ".join(name[:40] for name in unknown[:5]) or "no text"
            raise CaptionError(
                f"the JSON message has {names}; send {{'text': ...}} and any of {', '.join(FIELDS)}"
            )
        final, name, language = body.get("final", True), body.get("id", ""), body.get("language", "")
        if not isinstance(final, bool) or not isinstance(name, (str, int)) or not isinstance(language, str):
            raise CaptionError(
                "final is true or false, id a string or whole number, language a string; correct them"
            )
        text = plain_lines(body["text"], markup=False)
        key = f"id {str(name)[:200]}" if name != "" else f"utterance {self._sender}.{self._utterance}"
        if final and name == "":
            self._utterance += 1
        start_ns, end_ns = _ns(body, "start_ms"), _ns(body, "end_ms")
        return [Cue(text, key, start_ns, end_ns, language[:35] or self._language, final)]


def _ns(body: dict[str, object], name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -MOST_MS < value < MOST_MS:
        raise CaptionError(f"{name}: got {str(value)[:40]}, expected milliseconds")
    return round(value * NS_PER_MS)
