"""The contract on MQTT as an AsyncAPI 3 document, made of the schemas that the code itself uses.

    python -m stream.kiosk.asyncapi > docs/asyncapi.yaml

Enters: `schema`. Leaves: the document. Does not know MQTT. A test compares docs/asyncapi.yaml with it.
"""

from __future__ import annotations

import sys
from typing import Any

from stream.kiosk import schema
from stream.kiosk.config import KioskLimits
from stream.kiosk.link import ANSWER_EXPIRY_S

_SAY = {"command": "say", "text": "Platform 4 has changed", "id": "4711"}
_STATE: dict[str, Any] = {
    "kiosk": "lobby",
    "language": "ase",
    "rate": 1.0,
    "look": {"avatar": "mira", "background": "plain", "left_handed": False},
    "signing": {"id": "4711", "text": "Platform 4 has changed"},
    "backlog": {"texts": 1, "signs": 14, "seconds": 6},
    "lag_s": 0.1,
    "viewers": 1,
    "page": "/kiosk/lobby",
    "generated": True,
}
_AT = {"seq": 12, "at": "2026-01-31T12:00:00.000Z"}
_ACK = {"ok": True, "ack": "say", "id": "4711", "ahead": 0}
_REFUSED = {
    "ok": False,
    "ack": "say",
    "id": "4711",
    "reason": "expired",
    "error": "its message expiry has passed",
    "remedy": "send it again if it still holds",
}
EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "say": [_SAY, {"command": "say", "text": "Guten Tag", "language": "gsg"}],
    "interrupt": [{"command": "interrupt"}],
    "signer": [{"command": "signer", "avatar": "mira", "left_handed": True}],
    "rate": [{"command": "rate", "rate": 1.2}],
    "language": [{"command": "language", "language": "gsg"}],
    "ping": [{"command": "ping", "id": "p1"}],
    "state": [_STATE],
    "acknowledgement": [_ACK, _REFUSED],
    "began": [{"type": "began", **_AT, "id": "4711", "waited_s": 0.05}],
    "finished": [{"type": "finished", **_AT, "id": "4711", "signs": 14}],
    "dropped": [{"type": "dropped", **_AT, "id": "4711", "reason": "expired"}],
    "omitted": [{"type": "omitted", **_AT, "id": "4711", "items": [{"text": "the", "reason": "article"}]}],
    "unspellable": [
        {"type": "unspellable", **_AT, "id": "4711", "items": [{"text": "♫", "reason": "no letter"}]}
    ],
    "ack": [{"type": "ack", **_AT, "answer": _ACK}],
    "error": [{"type": "error", **_AT, "id": None, "error": "what is wrong", "remedy": "what to do"}],
}
_QOS1 = {"mqtt": {"qos": 1, "bindingVersion": "0.2.0"}}
_RETAINED = {"mqtt": {"qos": 1, "retain": True, "bindingVersion": "0.2.0"}}


def document() -> dict[str, Any]:
    """The whole document, ready for YAML."""
    commands = {name: _message(f"{name} (command)", body, name) for name, body in schema.COMMANDS.items()}
    events = {name: _message(f"{name} (event)", body, name) for name, body in schema.EVENTS.items()}
    kept = {
        "state": _message("state", schema.STATE, "state"),
        "status": {"title": "status", "contentType": "text/plain", "payload": schema.STATUS},
    }
    channels: dict[str, Any] = {
        "commands": _channel("cmd", "What the kiosk is told to do.", commands),
        "events": _channel("event", "What became of it.", events),
        "state": _channel("state", "How the kiosk stands.", {"state": kept["state"]}),
        "status": _channel("status", "Whether the kiosk is driven by a server.", {"status": kept["status"]}),
        "answers": {
            "address": None,
            "description": "The response topic that a command names.",
            "messages": {
                "acknowledgement": _message("acknowledgement", schema.ACKNOWLEDGEMENT, "acknowledgement")
            },
        },
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Handstream kiosks",
            "version": "1.0.0",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "plain": {"host": "broker.example:1883", "protocol": "mqtt", "protocolVersion": "5.0"},
            "secure": {"host": "broker.example:8883", "protocol": "secure-mqtt", "protocolVersion": "5.0"},
        },
        "channels": channels,
        "operations": {
            "obey": {
                "action": "receive",
                "channel": {"$ref": "#/channels/commands"},
                "messages": [{"$ref": f"#/channels/commands/messages/{name}"} for name in commands],
                "bindings": _QOS1,
                "reply": {
                    "address": {"location": "$message.header#/responseTopic"},
                    "channel": {"$ref": "#/channels/answers"},
                    "messages": [{"$ref": "#/channels/answers/messages/acknowledgement"}],
                },
            },
            "tellEvent": _operation("events", _QOS1),
            "tellState": _operation("state", _RETAINED),
            "tellStatus": _operation("status", _RETAINED),
        },
    }  # fmt: skip


def _channel(level: str, about: str, messages: dict[str, Any]) -> dict[str, Any]:
    return {
        "address": f"{{base}}/{{kiosk}}/{level}",
        "description": about,
        "parameters": {
            "base": {"description": "--base of the server.", "default": "signs"},
            "kiosk": {"description": "Name of the kiosk.", "examples": ["lobby"]},
        },
        "messages": messages,
    }


def _operation(channel: str, bindings: dict[str, Any]) -> dict[str, Any]:
    return {"action": "send", "channel": {"$ref": f"#/channels/{channel}"}, "bindings": bindings}


def _message(title: str, payload: schema.Schema, examples: str) -> dict[str, Any]:
    message: dict[str, Any] = {"title": title, "payload": payload}
    if examples in schema.COMMANDS or examples == "acknowledgement":
        message["correlationId"] = {
            "location": "$message.header#/correlationData",
            "description": "MQTT 5 correlation data, as the command had it.",
        }
    message["examples"] = [{"payload": example} for example in EXAMPLES[examples]]
    return message


_LIMITS = KioskLimits()
_ABOUT = f"""\
One server drives many kiosks; each is a signer with a full-screen page. MQTT 5; MQTT 3.1.1 clients may
send commands too, and find their acknowledgements among the events.

Send commands with QoS 1. Each is answered on its response topic with its correlation data, or as event
`ack`. Commands are carried out once, however often they are delivered: they are known again by `id`, else
by correlation data and content. A command whose message expiry passes before it begins is not carried
out. Retained commands are refused. Answers and events expire after {ANSWER_EXPIRY_S} s.

Limits of one kiosk: {_LIMITS.payload_bytes} bytes a command, {_LIMITS.text_chars} characters a text,
{_LIMITS.commands_a_s:.0f} commands a second ({_LIMITS.burst} at once), {_LIMITS.playlist} texts waiting.
Of all kiosks of a server: {_LIMITS.shared_commands_a_s:.0f} commands a second, {_LIMITS.shared_playlist}
texts waiting.
"""


def main() -> None:
    import yaml

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]
        """Without anchors, and with paragraphs as paragraphs."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    sys.stdout.write("# Made by: python -m stream.kiosk.asyncapi > docs/asyncapi.yaml\n")
    yaml.dump(document(), sys.stdout, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110)


if __name__ == "__main__":
    main()
