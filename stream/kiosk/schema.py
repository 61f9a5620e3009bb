"""What a kiosk understands and says, as JSON schemas (draft 7, which AsyncAPI 3 uses).

Enters: nothing. Leaves: schemas; `docs/asyncapi.yaml` is made of them, commands are checked with them, and
the tests check every message that is sent. Does not know MQTT.
"""

from __future__ import annotations

from typing import Any

from stream.config import BACKGROUNDS, MAX_RATE, MIN_RATE
from stream.kiosk.config import KioskLimits

Schema = dict[str, Any]

ID: Schema = {
    "type": "string",
    "pattern": "^[A-Za-z0-9._:~-]{1,64}$",
    "description": "The sender's name for this command. The same id again is the same command: it is "
    "answered again, and not carried out again.",
}
LANGUAGE: Schema = {
    "type": "string",
    "minLength": 2,
    "maxLength": 35,
    "description": "Code of a signed language, as GET /languages lists them: ase, gsg, ...",
}
TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": KioskLimits().text_chars}
RATE: Schema = {
    "type": "number",
    "minimum": MIN_RATE,
    "maximum": MAX_RATE,
    "description": "1 is as recorded.",
}
AVATAR: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 64,
    "description": "As GET /avatars lists them.",
}
BACKGROUND: Schema = {"enum": list(BACKGROUNDS)}


def _command(name: str, what: str, required: tuple[str, ...] = (), **fields: Schema) -> Schema:
    return {
        "type": "object",
        "description": what,
        "properties": {"command": {"const": name}, "id": ID, **fields},
        "required": ["command", *required],
        "additionalProperties": False,
    }


COMMANDS: dict[str, Schema] = {
    "say": _command("say", "Sign this text, after what waits.", ("text",), text=TEXT, language=LANGUAGE),
    "interrupt": _command("interrupt", "Stop signing now, and drop the texts that wait."),
    "signer": _command(
        "signer",
        "Change who signs, and before what.",
        avatar=AVATAR,
        background=BACKGROUND,
        left_handed={"type": "boolean"},
    )
    | {"anyOf": [{"required": ["avatar"]}, {"required": ["background"]}, {"required": ["left_handed"]}]},
    "rate": _command("rate", "Sign slower or faster.", ("rate",), rate=RATE),
    "language": _command(
        "language", "Sign what comes from now on in this language.", ("language",), language=LANGUAGE
    ),
    "ping": _command("ping", "Nothing; the acknowledgement tells the state."),
}

REASONS: dict[str, str] = {
    "malformed": "not JSON, not a command, or a field is wrong",
    "too_large": "the payload is too large",
    "too_deep": "the JSON is nested too deep",
    "expired": "its message expiry had passed before it could begin",
    "retained": "a retained command: it would be obeyed again at every connection",
    "conflict": "the id belongs to another command",
    "rate": "too many commands a second",
    "full": "too many texts wait",
    "unknown": "there is no such language or avatar",
    "unanswerable": "the response topic or correlation data cannot be used",
    "failed": "the server could not do it",
}

_WHEN: Schema = {"type": "string", "format": "date-time", "description": "UTC."}
_BACKLOG: Schema = {
    "type": "object",
    "properties": {
        "texts": {"type": "integer", "minimum": 0, "description": "Texts that have not begun."},
        "signs": {"type": "integer", "minimum": 0, "description": "Signs understood and not yet signed."},
        "seconds": {"type": "number", "minimum": 0, "description": "About how long those signs take."},
    },
    "required": ["texts", "signs", "seconds"],
    "additionalProperties": False,
}

STATE: Schema = {
    "type": "object",
    "description": "How the kiosk stands. Retained; published on change, not more often than the limit.",
    "properties": {
        "kiosk": {"type": "string"},
        "language": LANGUAGE,
        "rate": RATE,
        "look": {
            "type": "object",
            "properties": {"avatar": AVATAR, "background": BACKGROUND, "left_handed": {"type": "boolean"}},
            "required": ["avatar", "background", "left_handed"],
            "additionalProperties": False,
        },
        "signing": {
            "description": "The text being signed, null when none of this kiosk's is.",
            "oneOf": [
                {"type": "null"},
                {
                    "type": "object",
                    "properties": {"id": ID, "text": {"type": "string", "maxLength": 200}},
                    "required": ["id", "text"],
                    "additionalProperties": False,
                },
            ],
        },
        "backlog": _BACKLOG,
        "lag_s": {"type": "number", "minimum": 0, "description": "How long the present text had waited."},
        "viewers": {"type": "integer", "minimum": 0, "description": "Screens that show this kiosk just now."},
        "page": {"type": "string", "description": "Path of the full-screen page on this server."},
        "generated": {"const": True, "description": "The signing is machine-generated."},
    },
    "additionalProperties": False,
}
STATE["required"] = list(STATE["properties"])

ACKNOWLEDGEMENT: Schema = {
    "description": "The answer to a command: taken, or refused and why. Sent to the response topic with the "
    "correlation data; without a response topic it is an event of type `ack`. Taken means that the command "
    "is valid, was never taken before, and has its place behind earlier ones. The broker is told that it may "
    "forget the command, and its text is signed, only once it is noted on disk, which may be a moment later.",
    "oneOf": [
        {
            "type": "object",
            "properties": {
                "ok": {"const": True},
                "ack": {"enum": list(COMMANDS)},
                "id": ID,
                "duplicate": {"const": True, "description": "It was taken before; nothing is done again."},
                "ahead": {"type": "integer", "minimum": 0, "description": "say: texts signed before it."},
                "state": STATE,
            },
            "required": ["ok", "ack", "id"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {
                "ok": {"const": False},
                "ack": {"enum": [*COMMANDS, None]},
                "id": {"oneOf": [ID, {"type": "null"}]},
                "reason": {"enum": list(REASONS)},
                "error": {"type": "string"},
                "remedy": {"type": "string"},
                "retry_after_s": {"type": "number", "minimum": 0},
            },
            "required": ["ok", "ack", "id", "reason", "error", "remedy"],
            "additionalProperties": False,
        },
    ],
}

_REMARKS: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"text": {"type": "string"}, "reason": {"type": "string"}},
        "required": ["text", "reason"],
    },
}


def _event(name: str, what: str, required: tuple[str, ...] = (), **fields: Schema) -> Schema:
    frame = {"type": {"const": name}, "seq": {"type": "integer", "minimum": 0}, "at": _WHEN}
    return {
        "type": "object",
        "description": what,
        "properties": {**frame, **fields},
        "required": [*frame, *required],
        "additionalProperties": False,
    }


EVENTS: dict[str, Schema] = {
    "began": _event(
        "began", "The first sign of a text begins.", ("id",), id=ID, waited_s={"type": "number", "minimum": 0}
    ),
    "finished": _event(
        "finished",
        "The last sign of a text is over.",
        ("id", "signs"),
        id=ID,
        signs={"type": "integer", "minimum": 0},
    ),
    "dropped": _event(
        "dropped",
        "A text that was taken is not signed, or not to its end.",
        ("id", "reason"),
        id=ID,
        reason={"enum": ["interrupted", "expired", "failed"]},
        error={"type": "string"},
    ),
    "omitted": _event(
        "omitted", "Words left out on purpose, and why.", ("id", "items"), id=ID, items=_REMARKS
    ),
    "unspellable": _event(
        "unspellable", "What has neither sign nor letters.", ("id", "items"), id=ID, items=_REMARKS
    ),
    "ack": _event(
        "ack", "The acknowledgement of a command without response topic.", ("answer",), answer=ACKNOWLEDGEMENT
    ),
    "error": _event(
        "error",
        "Something went wrong after a command was taken.",
        ("error", "remedy"),
        id={"oneOf": [ID, {"type": "null"}]},
        error={"type": "string"},
        remedy={"type": "string"},
    ),
}

STATUS: Schema = {"enum": ["online", "offline"], "description": "Retained; `offline` is also the last will."}
