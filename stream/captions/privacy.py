"""Addresses without what is private in them, for logs and for health pages.

Enters: text. Leaves: the same without users, passwords and queries of addresses. Does not know inputs.
"""

from __future__ import annotations

import logging
import re

_PRIVATE = re.compile(r"(?<=//)[^/\s@'\"]+@|\?[^\s;,)'\"]+")


def redact(text: str) -> str:
    """No user, password or query of any address in the text is left."""
    return _PRIVATE.sub("", text)


class Redacting(logging.Filter):
    """Redacts whole records, tracebacks too, before anybody formats them."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{logging.Formatter().formatException(record.exc_info)}"
        record.msg, record.args, record.exc_info, record.exc_text = redact(message), (), None, None
        return True


def private_log(name: str) -> logging.Logger:
    """The logger of that name, which never writes down a key."""
    log = logging.getLogger(name)
    if not any(isinstance(known, Redacting) for known in log.filters):
        log.addFilter(Redacting())
    return log
