"""The messages a kiosk sends, as `schema` has them.

Enters: what happened. Leaves: dictionaries, and their JSON. Does not know topics.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from stream.kiosk.commands import Refused

Message = dict[str, Any]


def taken(command: str, id: str, **more: object) -> Message:
    return {"ok": True, "ack": command, "id": id, **more}


def refused(why: Refused) -> Message:
    told: Message = {"ok": False, "ack": why.command, "id": why.id, "reason": why.reason}
    told |= {"error": why.error, "remedy": why.remedy}
    return told if why.retry_after_s is None else told | {"retry_after_s": round(why.retry_after_s, 1)}


def event(kind: str, seq: int, fields: Mapping[str, object]) -> Message:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"type": kind, "seq": seq, "at": at, **fields}


def remarks(items: object) -> list[Message]:
    """Entries of `omitted` and `unspellable`, without their places in the text."""
    assert isinstance(items, list)
    return [{"text": item["text"], "reason": item["reason"]} for item in items[:100]]


def encode(message: Message) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
