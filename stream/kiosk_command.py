"""`handstream kiosk`: one server that drives kiosks over MQTT, each with a full-screen page.

Enters: arguments; secrets from files or the environment. Leaves: an exit code. Does not know how kiosks work
(`stream.kiosk`) or how serving is done (`stream.server`); the options of `handstream serve` are here too.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from stream import serve_command
from stream.config import Config

MAX_KIOSKS = 64
"""So many signers does the inference thread take."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    serve_command.add_arguments(parser)
    kiosk = parser.add_argument_group("kiosks")
    kiosk.add_argument(
        "--broker", required=True, metavar="URL", help="mqtt://host[:port] or mqtts://host[:port]"
    )
    kiosk.add_argument(
        "--kiosk",
        action="append",
        required=True,
        metavar="NAME[:LANGUAGE[:AVATAR]]",
        help="a kiosk (repeatable), e.g. lobby or gate2:gsg; its page is /kiosk/NAME",
    )
    kiosk.add_argument(
        "--base", default="signs", help="topics are BASE/KIOSK/{cmd,state,status,event}; default %(default)s"
    )
    kiosk.add_argument(
        "--username-file", type=Path, help="file with the broker's user name; or HANDSTREAM_MQTT_USERNAME"
    )
    kiosk.add_argument(
        "--password-file", type=Path, help="file with the password; or HANDSTREAM_MQTT_PASSWORD"
    )
    kiosk.add_argument(
        "--ca", type=Path, help="certificates the broker's is checked with; default: the system's"
    )
    kiosk.add_argument("--client-certificate", type=Path, help="our certificate, where the broker wants one")
    kiosk.add_argument("--client-key", type=Path, help="its key, where it is not in the same file")
    kiosk.add_argument(
        "--session",
        type=int,
        default=3600,
        metavar="SECONDS",
        help="how long the broker keeps commands while we are away; default %(default)s",
    )
    kiosk.add_argument(
        "--discovery",
        default="homeassistant",
        metavar="PREFIX",
        help="Home Assistant's discovery prefix, none for no announcement; default %(default)s",
    )
    kiosk.add_argument(
        "--memory",
        default=None,
        metavar="FILE",
        help="where it is remembered which commands were taken; none: nowhere; "
        "default: a file in the state folder of this user",
    )


def main(args: argparse.Namespace) -> int:
    from stream.kiosk import KioskConfig, Kiosks
    from stream.kiosk.config import open_broker

    broker = open_broker(
        args.broker,
        username_file=args.username_file,
        password_file=args.password_file,
        ca=args.ca,
        certificate=args.client_certificate,
        key=args.client_key,
    )
    config = configuration(args)
    kiosks = KioskConfig(
        broker=broker,
        names=tuple(text.partition(":")[0] for text in args.kiosk),
        base=args.base,
        memory=_memory(args.memory, args.base),
        discovery=None if args.discovery == "none" else args.discovery,
        session_s=args.session,
    )
    from stream.server import serve

    return serve(config, beside=[Kiosks(kiosks)])


def configuration(args: argparse.Namespace) -> Config:
    """Kiosks are signers; there are no others unless asked for with --signer."""
    asked = list(args.signer)
    args.signer = [*args.kiosk, *asked]
    if len(args.signer) > MAX_KIOSKS:
        raise ValueError(f"got {len(args.signer)} kiosks and signers, one server drives at most {MAX_KIOSKS}")
    return serve_command.configuration(args)


def _memory(asked: str | None, base: str) -> Path | None:
    if asked == "none":
        return None
    if asked is not None:
        return Path(asked)
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "handstream" / f"kiosks-{base.replace('/', '-')}.sqlite3"
