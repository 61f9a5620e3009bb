"""How much of anything a caption input takes: every line, document, message, queue and wait has its bound.

Enters and leaves: nothing but `Limits`. Does not know who respects them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one caption feed. Sizes in bytes or characters, waits in seconds.

    text_chars: one cue; longer ones become several. block_chars: one cue of a file with everything around it.
    document_bytes: one TTML document, HLS playlist or segment. message_bytes: one message or POST.
    xml_depth, xml_elements: nesting and number of elements. queue: pieces waiting to be read.
    poll_s: how often a growing file is looked at. longest_poll_s: at least so often an HLS playlist is.
    backoff_s: the longest wait between attempts to connect.
    timeout_s: one request. idle_s: a WebSocket that says nothing, pings unanswered, is given up.
    """

    text_chars: int = 4_000
    block_chars: int = 16_000
    document_bytes: int = 1_000_000
    message_bytes: int = 256_000
    xml_depth: int = 48
    xml_elements: int = 20_000
    queue: int = 256
    poll_s: float = 0.1
    longest_poll_s: float = 6.0
    backoff_s: float = 8.0
    timeout_s: float = 10.0
    idle_s: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ValueError(f"Limits.{field.name}: got {value!r}, expected more than 0")


DEFAULT_LIMITS = Limits()
