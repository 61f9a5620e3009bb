"""Home Assistant's device discovery: one message that tells all a kiosk offers.

Enters: topics, languages, avatars. Leaves: the message. Does not know MQTT.
Source: home-assistant.io, integration MQTT, "device discovery payload". It is not retained, so that a kiosk
that is gone for good leaves nothing behind; it is repeated at every connection and at the birth message.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from stream.config import BACKGROUNDS, MAX_RATE, MIN_RATE
from stream.kiosk.topics import Topics


def device(topics: Topics, languages: Sequence[str], avatars: Sequence[str]) -> dict[str, Any]:
    """The payload for `topics.discovery`."""

    def part(platform: str, key: str, name: str, **more: object) -> dict[str, Any]:
        return {"platform": platform, "unique_id": f"{topics.object_id}_{key}", "name": name, **more}

    def setting(
        platform: str, key: str, name: str, path: str, command: str, **more: object
    ) -> dict[str, Any]:
        return part(platform, key, name, command_topic=topics.command, command_template=command,
                    state_topic=topics.state, value_template=f"{{{{ value_json.{path} }}}}",
                    entity_category="config", **more)  # fmt: skip

    def template(command: str, field: str, value: str = "value | tojson") -> str:
        return f'{{"command": "{command}", "{field}": {{{{ {value} }}}}}}'

    def reading(key: str, name: str, value: str, **more: object) -> dict[str, Any]:
        return part("sensor", key, name, state_topic=topics.state, value_template=value, **more)

    return {
        "device": {
            "identifiers": [topics.object_id],
            "name": f"Sign kiosk {topics.kiosk}",
            "manufacturer": "Handstream",
            "model": "Signing avatar (machine-generated)",
            "sw_version": version("handstream"),
        },
        "origin": {"name": "Handstream", "sw_version": version("handstream")},
        "availability": [{"topic": topics.status}],
        "qos": 1,
        "components": {
            "say": part("notify", "say", "Sign a text", command_topic=topics.command,
                        command_template=template("say", "text")),
            "interrupt": part("button", "interrupt", "Stop signing", command_topic=topics.command,
                              payload_press=json.dumps({"command": "interrupt"})),
            "rate": setting("number", "rate", "Signing speed", "rate", template("rate", "rate", "value"),
                            min=MIN_RATE, max=MAX_RATE, step=0.05, mode="slider"),
            "language": setting("select", "language", "Sign language", "language",
                                template("language", "language"), options=list(languages)),
            "avatar": setting("select", "avatar", "Signer", "look.avatar", template("signer", "avatar"),
                              options=list(avatars)),
            "background": setting("select", "background", "Background", "look.background",
                                  template("signer", "background"), options=list(BACKGROUNDS)),
            "signing": reading("signing", "Signing now",
                               "{{ value_json.signing.text if value_json.signing else '' }}"),
            "waiting": reading("waiting", "Texts waiting", "{{ value_json.backlog.texts }}",
                               state_class="measurement"),
            "viewers": reading("viewers", "Screens connected", "{{ value_json.viewers }}",
                               state_class="measurement", entity_category="diagnostic"),
        },
    }  # fmt: skip
