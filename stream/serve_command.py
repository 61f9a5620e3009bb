"""`handstream serve`: arguments to a `Config`, and the server run until it is told to stop.

Enters: arguments. Leaves: an exit code. Does not know how serving is done (`stream.server`).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from stream.choreographies import add_choreography_arguments
from stream.config import BACKGROUNDS, AccessSettings, CaptionSettings, Config, SignerSettings
from stream.glossers import add_glosser_arguments
from stream.renderers import add_renderer_arguments, settings_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = Config()
    parser.add_argument("--host", default=default.host, help=f"address to listen on, default {default.host}")
    parser.add_argument(
        "--port", type=int, default=default.port, help="port, default %(default)s; 0: any free one"
    )
    parser.add_argument(
        "--signer", action="append", default=[], metavar="NAME[:LANGUAGE[:AVATAR]]",
        help="a signer to put on air (repeatable), e.g. main:ase or news:gsg:AVATAR; default main:ase",
    )  # fmt: skip
    parser.add_argument(
        "--lexicon", type=Path, action="append", default=[], help="folder with index.csv (repeatable)"
    )
    parser.add_argument("--size", default="512x512", help="picture size, WIDTHxHEIGHT, even, up to 1920x1080")
    parser.add_argument("--fps", type=float, default=default.fps)
    parser.add_argument("--background", default="plain", choices=BACKGROUNDS)
    parser.add_argument("--rate", type=float, default=1.0, help="signing rate, 0.5 to 2")
    parser.add_argument("--left-handed", action="store_true", help="sign with the left hand")
    parser.add_argument(
        "--bit-rate", type=int, default=None, help="video bits per second; default fits the size"
    )
    parser.add_argument("--ice-server", action="append", default=[], metavar="URL",
                        help="stun:host:port or turn:user:password@host:port; none by default")  # fmt: skip
    parser.add_argument("--allow-origin", action="append", default=[], metavar="ORIGIN",
                        help="web origin that may embed the signer (repeatable), * for any")  # fmt: skip
    add_glosser_arguments(parser)
    add_choreography_arguments(parser)
    add_renderer_arguments(parser)
    parser.add_argument("--captions", action="append", default=[], metavar="SIGNER=SOURCE",
                        help="live captions to sign (repeatable), e.g. main=follow:live.vtt, "
                        "main=hls:http://..., main=-; see docs/captions.md")  # fmt: skip
    parser.add_argument("--programme-delay", type=float, default=0.0, metavar="SECONDS",
                        help="sign captions so long after they were said, for a programme that is delayed "
                        "so much; one feed's own: --captions main+8=SOURCE")  # fmt: skip
    parser.add_argument(
        "--complete-captions",
        action="store_true",
        help="sign every word, however late, instead of keeping up with the speaker",
    )
    parser.add_argument("--caption-hold-ms", type=int, default=default.captions.hold_ms,
                        help="keep words back so long, so that revisions find them")  # fmt: skip
    parser.add_argument("--caption-agreement", type=int, default=default.captions.agreement,
                        help="partial results that must agree on a word; default %(default)s")  # fmt: skip
    parser.add_argument("--tokens", type=Path, metavar="FILE",
                        help="who may do what (docs/security.md); or set HANDSTREAM_TOKEN")  # fmt: skip
    parser.add_argument("--open", action="store_true", help="let everybody in who can reach --host")
    parser.add_argument("--tls-cert", type=Path, metavar="PEM", help="serve HTTPS; SIGHUP reads it again")
    parser.add_argument("--tls-key", type=Path, metavar="PEM", help="its key, where it is not in that file")
    parser.add_argument("--max-connections-per-address", type=int, metavar="N",
                        default=default.access.max_connections_per_address,
                        help="default %(default)s; behind a proxy, all come from one")  # fmt: skip
    parser.add_argument("--grace", type=float, default=default.drain_s, metavar="SECONDS",
                        help="told to end, finish signing for so long; default %(default)s")  # fmt: skip
    parser.add_argument("--max-signers", type=int, default=default.max_signers)
    parser.add_argument("--max-viewers", type=int, default=default.max_viewers)


def configuration(args: argparse.Namespace) -> Config:
    """The `Config` that the arguments ask for. Raises ValueError naming the argument that is wrong."""
    from stream.say_command import parse_size

    width, height = parse_size(args.size)
    manner = SignerSettings("main", rate=args.rate, left_handed=args.left_handed, background=args.background)
    signers = []
    for text in args.signer or ["main"]:
        name, _, rest = text.partition(":")
        language, _, avatar = rest.partition(":")
        signers.append(replace(manner, name=name, language=language or manner.language, avatar=avatar))
    return Config(
        host=args.host,
        port=args.port,
        signers=tuple(signers),
        width=width,
        height=height,
        fps=args.fps,
        bit_rate=args.bit_rate,
        lexicons=tuple(args.lexicon),
        glosser=args.glosser,
        glosser_model=args.glosser_model,
        choreography=args.choreography,
        choreography_model=args.choreography_model,
        choreography_speed=args.choreography_speed,
        video=settings_of(args),
        ice_servers=tuple(args.ice_server),
        allow_origin=tuple(args.allow_origin),
        captions=_captions(args),
        drain_s=args.grace,
        access=AccessSettings(
            tokens=args.tokens,
            open_to_all=args.open,
            tls_certificate=args.tls_cert,
            tls_key=args.tls_key,
            max_connections=max(1024, args.max_connections_per_address),
            max_connections_per_address=args.max_connections_per_address,
        ),
        max_signers=max(args.max_signers, len(signers)),
        max_viewers=args.max_viewers,
        max_viewers_per_signer=args.max_viewers,
    )


def _captions(args: argparse.Namespace) -> CaptionSettings:
    feeds, own = [], []
    for text in args.captions:
        name, _, source = text.partition("=")
        signer, plus, seconds = name.partition("+")
        feeds.append((signer, source))
        if plus:
            try:
                own.append((signer, source, float(seconds)))
            except ValueError as error:
                raise ValueError(
                    f"--captions {text}: got {seconds!r} after the +, expected seconds of programme delay, "
                    "for example main+8=follow:live.vtt"
                ) from error
    return CaptionSettings(
        tuple(feeds),
        args.caption_hold_ms,
        args.caption_agreement,
        args.programme_delay,
        tuple(own),
        args.complete_captions,
    )


def main(args: argparse.Namespace) -> int:
    config = configuration(args)  # wrong arguments are told before anything heavy is imported
    from stream.server import serve

    return serve(config)
