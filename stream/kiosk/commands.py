"""A payload to a command, or to a refusal that says what was expected.

Enters: bytes that anybody may have sent. Leaves: `Command`, or `Refused` raised. Does not know MQTT, nor what
commands do. Whatever the bytes are: bounded time, bounded memory, no other exception.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from stream.kiosk import schema
from stream.kiosk.config import KioskLimits

_VALIDATORS = {name: Draft7Validator(body) for name, body in schema.COMMANDS.items()}
_ID = re.compile(schema.ID["pattern"])
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_EXAMPLE = 'send for example {"command": "say", "text": "Hello", "id": "1"}'


class Refused(Exception):
    """A command that is not carried out. reason: one of `schema.REASONS`."""

    def __init__(
        self, reason: str, error: str, remedy: str, *, command: str | None = None, id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(error)
        assert reason in schema.REASONS, reason
        self.reason, self.error, self.remedy = reason, error, remedy
        self.command, self.id, self.retry_after_s = command, id, retry_after_s


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is well formed. id: the sender's, "" where there is none. digest: of all but the id."""

    name: str
    id: str
    digest: str
    fields: dict[str, Any] = field(default_factory=dict)


def parse(payload: bytes, limits: KioskLimits) -> Command:
    """Raises Refused, with command and id where they could be told."""
    if len(payload) > limits.payload_bytes:
        raise Refused(
            "too_large",
            f"the payload has {len(payload)} bytes, at most {limits.payload_bytes} are taken",
            "send the text in pieces",
        )
    if _depth(payload) > limits.depth:
        raise Refused("too_deep", f"the JSON is nested deeper than {limits.depth}", _EXAMPLE)
    try:
        body = json.loads(payload.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused("malformed", f"not JSON in UTF-8: {str(error)[:200]}", _EXAMPLE) from error
    if not isinstance(body, dict):
        raise Refused("malformed", "not a JSON object", _EXAMPLE)
    name, id = body.get("command"), body.get("id")
    known = name if isinstance(name, str) and name in _VALIDATORS else None
    usable = id if isinstance(id, str) and _ID.fullmatch(id) else None
    if known is None:
        shown = json.dumps(name)[:40]
        names = ", ".join(_VALIDATORS)
        raise Refused("malformed", f"command: got {shown}, expected one of {names}", _EXAMPLE, id=usable)
    problem = next(iter(_VALIDATORS[known].iter_errors(body)), None)
    if problem is not None:
        raise Refused("malformed", _explain(problem), _remedy(known), command=known, id=usable)
    fields = {key: value for key, value in body.items() if key not in ("command", "id")}
    if isinstance(text := fields.get("text"), str):
        fields["text"] = text = text.encode("utf-8", "replace").decode(
            "utf-8"
        )  # JSON may smuggle in half characters
        if not text.strip():
            raise Refused(
                "malformed", "text: there is nothing in it", _remedy(known), command=known, id=usable
            )
    digest = hashlib.sha256(json.dumps([known, fields], sort_keys=True).encode()).hexdigest()[:32]
    return Command(known, usable or "", digest, fields)


def _depth(payload: bytes) -> int:
    """How deep brackets nest outside of strings: counted before anything recurses into them."""
    deepest = depth = 0
    for byte in _STRINGS.sub(b"", payload):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _explain(problem: ValidationError) -> str:
    where = ".".join(str(step)[:40] for step in problem.absolute_path)
    message = problem.message
    if problem.validator == "anyOf":
        message = "expected at least one of avatar, background, left_handed"
    if len(message) > 200:
        message = f"{message[:80]} … {message[-100:]}"
    message = message.encode("utf-8", "replace").decode("utf-8")
    return f"{where}: {message}" if where else message


def _remedy(name: str) -> str:
    body = schema.COMMANDS[name]
    fields = [f"{key}{'' if key in body['required'] else '?'}" for key in body["properties"]]
    return f"{name} takes: {', '.join(fields)}"
