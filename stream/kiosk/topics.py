"""The topics of one kiosk.

Enters: base and name. Leaves: topics, and whether an answer may be sent to one that a command names.
Does not know MQTT.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topics:
    """`<base>/<kiosk>/{cmd,state,status,event}`, and Home Assistant's two."""

    base: str
    kiosk: str
    discovery_prefix: str | None = None

    @property
    def command(self) -> str:
        return f"{self.base}/{self.kiosk}/cmd"

    @property
    def state(self) -> str:
        return f"{self.base}/{self.kiosk}/state"

    @property
    def status(self) -> str:
        return f"{self.base}/{self.kiosk}/status"

    @property
    def event(self) -> str:
        return f"{self.base}/{self.kiosk}/event"

    @property
    def discovery(self) -> str | None:
        """Where the device is announced."""
        if self.discovery_prefix is None:
            return None
        return f"{self.discovery_prefix}/device/{self.object_id}/config"

    @property
    def birth(self) -> str | None:
        """Where Home Assistant says `online` when it has started and forgotten everything."""
        return None if self.discovery_prefix is None else f"{self.discovery_prefix}/status"

    @property
    def object_id(self) -> str:
        """One word that no other kiosk of this broker has."""
        return "".join(c if c.isalnum() else "_" for c in f"handstream_{self.base}_{self.kiosk}")

    def answerable(self, topic: str) -> bool:
        """Whether an acknowledgement may go to `topic`. Not where commands, states and announcements live:
        whoever may only send commands must not write there through us.
        """
        if not 0 < len(topic) <= 256 or any(c in topic for c in "+#\x00") or topic.startswith("$"):
            return False
        ours = topic.startswith(f"{self.base}/") and topic.rpartition("/")[2] in (
            "cmd",
            "state",
            "status",
            "event",
        )
        theirs = self.discovery_prefix is not None and topic.startswith(f"{self.discovery_prefix}/")
        return not ours and not theirs
