"""What the kiosk side is told at start. Frozen, checked on construction.

Enters: a broker's address, names, limits. Leaves: `Broker` and `KioskConfig`. Does not know MQTT.
Secrets come from files or the environment, never from the command line, and no repr shows them.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import urlsplit

from stream.config import NAME

USERNAME_VARIABLE = "HANDSTREAM_MQTT_USERNAME"
PASSWORD_VARIABLE = "HANDSTREAM_MQTT_PASSWORD"
_LEVELS = re.compile(r"[^+#\x00/$][^+#\x00]{0,127}")


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how to speak to it. `tls` is None for plain `mqtt://`."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """The address as logs may show it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' if self.tls else ''}://{host}:{self.port}"


def open_broker(
    url: str,
    *,
    username_file: Path | None = None,
    password_file: Path | None = None,
    ca: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Broker:
    """Read an address `mqtt(s)://host[:port]`, and what is needed to be let in.

    Raises ValueError for an address that is not one (also when it holds a password), and for files that
    cannot be used.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if (
        parts.scheme not in ("mqtt", "mqtts")
        or not parts.hostname
        or parts.path not in ("", "/")
        or port == -1
    ):
        shown = url.rpartition("@")[2][:80]
        raise ValueError(f"broker: got {shown!r}, expected mqtt://host[:port] or mqtts://host[:port]")
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "broker: the address holds a user or password, which everybody on this machine could read; "
            f"put them into files (--username-file, --password-file) or {USERNAME_VARIABLE} "
            f"and {PASSWORD_VARIABLE}"
        )
    secure = parts.scheme == "mqtts"
    if not secure and (ca or certificate or key):
        raise ValueError("broker: certificates are of use with mqtts:// only; got mqtt://")
    username = _secret(username_file, environment.get(USERNAME_VARIABLE), "user name")
    password = _secret(password_file, environment.get(PASSWORD_VARIABLE), "password")
    if password is not None and username is None:
        raise ValueError(f"broker: a password without a user; give --username-file or {USERNAME_VARIABLE}")
    tls = _tls(ca, certificate, key) if secure else None
    return Broker(parts.hostname, port or (8883 if secure else 1883), username, password, tls)


def _secret(path: Path | None, variable: str | None, what: str) -> str | None:
    if path is None:
        return variable or None
    try:
        found = path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"broker: the {what} cannot be read from {path}: {error}") from error
    if not found or "\n" in found:
        raise ValueError(f"broker: {path} should hold the {what} on one line, and nothing else")
    return found


def _tls(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(ca) if ca else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None:
            context.load_cert_chain(str(certificate), str(key) if key else None)
        elif key is not None:
            raise ValueError("broker: a key without its certificate; give --client-certificate too")
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"broker: the certificates cannot be used: {error}") from error
    return context


@dataclass(frozen=True, slots=True)
class KioskLimits:
    """What one kiosk takes, and what all of them share.

    payload_bytes: one command. packet_bytes: what the broker may send at all; it drops larger ones. depth:
    nesting of JSON. text_chars: one text. commands_a_s, burst: of one kiosk; shared_commands_a_s: of all.
    inflight: QoS 1 commands the broker may send ahead; the rest waits there, and expires there. inbox:
    received and not yet looked at, QoS 0 included; more QoS 0 is dropped and counted. playlist: texts of one
    kiosk that wait; shared_playlist: of all kiosks. remembered: commands of one kiosk that are known again.
    outbox: acknowledgements and events that wait for a broker; the oldest events go first.
    """

    payload_bytes: int = 16 * 1024
    packet_bytes: int = 256 * 1024
    depth: int = 8
    text_chars: int = 2000
    commands_a_s: float = 20.0
    burst: int = 40
    shared_commands_a_s: float = 400.0
    inflight: int = 64
    inbox: int = 256
    playlist: int = 100
    shared_playlist: int = 2000
    remembered: int = 4096
    outbox: int = 1000

    def __post_init__(self) -> None:
        for limit in fields(self):
            if not getattr(self, limit.name) > 0:
                raise ValueError(
                    f"KioskLimits.{limit.name}: got {getattr(self, limit.name)}, expected more than 0"
                )
        if not self.inflight <= 65_535:
            raise ValueError(f"KioskLimits.inflight: got {self.inflight}, expected at most 65535 (MQTT 5)")


@dataclass(frozen=True, slots=True)
class KioskConfig:
    """Kiosks of one server. base: topics begin with it. names: of kiosks, which are names of signers too.

    memory: a file that remembers which commands were taken; None keeps that for the life of the process.
    discovery: prefix of Home Assistant's discovery topics, None for none. session_s: how long the broker
    keeps commands for a server that is away. keepalive_s: a broker that is silent for so long is left.
    first_pause_s, longest_pause_s: between attempts to connect, doubled each time, with jitter.
    state_gap_s: state is published at most so often.
    """

    broker: Broker
    names: tuple[str, ...]
    base: str = "signs"
    memory: Path | None = None
    discovery: str | None = "homeassistant"
    session_s: int = 3600
    keepalive_s: int = 15
    first_pause_s: float = 0.25
    longest_pause_s: float = 4.0
    state_gap_s: float = 0.5
    limits: KioskLimits = KioskLimits()

    def __post_init__(self) -> None:
        for what in ("base", "discovery"):
            topic = getattr(self, what)
            if topic is not None and (not _LEVELS.fullmatch(topic) or topic.endswith("/")):
                raise ValueError(
                    f"{what}: got {topic!r}, expected a topic like signs or house/signs: "
                    "no + # $, no / at the ends"
                )
        for name in self.names:
            if not NAME.fullmatch(name):
                raise ValueError(f"kiosk: got {name!r}, expected 1 to 32 of a-z, 0-9 and inner hyphens")
        if not self.names or len(set(self.names)) != len(self.names):
            raise ValueError(f"kiosks: got {self.names}, expected at least one, each once")
        if not 0 <= self.session_s < 2**32 - 1:
            raise ValueError(f"session_s: got {self.session_s}, expected 0 to 4294967294 seconds")
        if not 1 <= self.keepalive_s <= 3600:
            raise ValueError(f"keepalive_s: got {self.keepalive_s}, expected 1 to 3600 seconds")
        if not 0 < self.first_pause_s <= self.longest_pause_s:
            raise ValueError(
                f"pauses: got {self.first_pause_s} to {self.longest_pause_s} s, expected 0 < first <= longest"
            )
        if not self.state_gap_s >= 0:
            raise ValueError(f"state_gap_s: got {self.state_gap_s}, expected 0 or more")
