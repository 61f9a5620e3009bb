"""What the server writes down: one line for each thing, as text for people or as JSON for programs.

Enters: log records. Leaves: lines on standard error. A caption is followed under one id from its arrival to
its first picture (`follow`). What captions say is never logged, only how long they are: it may be private.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal, get_args

LogFormat = Literal["text", "json"]
FORMATS: tuple[str, ...] = get_args(LogFormat)
CHATTY = ("aioice", "aiortc", "aiohttp.access", "aiohttp.server")
_way = logging.getLogger("stream.way")


def configure(level: str, form: LogFormat = "text") -> None:
    """Log from `level` on, in that form. Libraries that tell every packet are heard at debug level only."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if form == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if level == "info":
        for chatty in CHATTY:
            logging.getLogger(chatty).setLevel(logging.WARNING)


def follow(caption_id: str, stage: str, **figures: object) -> None:
    """A caption has come so far. stage: arrived, glossed, stepped, encoded or sent, in this order."""
    if _way.isEnabledFor(logging.INFO):
        told = ", ".join(f"{name} {value}" for name, value in figures.items())
        fields = {"caption_id": caption_id, "stage": stage, **figures}
        _way.info("caption %s: %s%s", caption_id, stage, told and f" ({told})", extra={"fields": fields})


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message; `error` with a traceback; and what a record
    has in its `fields`.
    """

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        line.update(getattr(record, "fields", {}))
        return json.dumps(line, ensure_ascii=False, default=str)
