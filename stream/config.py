"""What the server is told at start. Frozen, checked on construction, without any behaviour of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from aiortc import RTCIceServer
from aiortc.rtcicetransport import parse_stun_turn_uri

from renderer.diffusion import SHIPPED
from stream.encoder import Codec

Background = Literal["plain", "green", "transparent"]
BACKGROUNDS: tuple[str, ...] = get_args(Background)
GlosserName = Literal["plain", "slul"]
GLOSSERS: tuple[str, ...] = get_args(GlosserName)
ChoreographyName = Literal["lexicon", "cogeneration"]
CHOREOGRAPHIES: tuple[str, ...] = get_args(ChoreographyName)
SpeedName = Literal["auto", "hand", "eager", "compile", "cuda-graph", "tensorrt"]
SPEEDS: tuple[str, ...] = get_args(SpeedName)
RendererName = Literal["auto", "diffusion", "avatar"]
RENDERERS: tuple[str, ...] = get_args(RendererName)
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
MIN_RATE, MAX_RATE = 0.5, 2.0
MAX_DELAY_S = 120.0
_TURN = re.compile(r"(turns?):(?:([^:@]+):([^@]+)@)?(.+)")


@dataclass(frozen=True, slots=True)
class SignerSettings:
    """How one signer signs and looks.

    language: signed-language code. avatar: one of `renderer.avatar.SIGNERS`. rate: 0.5..2 times the recorded
    speed. Which languages and avatars exist is checked where they are known, in the stage.
    """

    name: str
    language: str = "ase"
    avatar: str = ""
    rate: float = 1.0
    left_handed: bool = False
    background: Background = "plain"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise ValueError(
                f"signer name: got {self.name!r}, expected 1 to 32 of a-z, 0-9 and inner hyphens"
            )
        for what in ("language", "avatar"):
            if not isinstance(getattr(self, what), str):
                raise ValueError(f"{what}: got {getattr(self, what)!r}, expected text")
        if isinstance(self.rate, bool) or not isinstance(self.rate, int | float):
            raise ValueError(f"rate: got {self.rate!r}, expected a number from {MIN_RATE} to {MAX_RATE}")
        if not MIN_RATE <= self.rate <= MAX_RATE:
            raise ValueError(f"rate: got {self.rate}, expected {MIN_RATE} to {MAX_RATE} times normal speed")
        if not isinstance(self.left_handed, bool):
            raise ValueError(f"left_handed: got {self.left_handed!r}, expected true or false")
        if self.background not in BACKGROUNDS:
            raise ValueError(f"background: got {self.background!r}, expected one of {', '.join(BACKGROUNDS)}")


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """Who draws. renderer: `auto` (the video renderer where a model is given and a GPU is there),
    `diffusion` (also without a GPU), `avatar`. model: its folder; `diffusion` has the shipped one without,
    `auto` does not: the avatar shows hands better than its 96 pixels do. style, steps, mode, backend, device:
    as `renderer.diffusion.VideoConfig` has them, which checks them. reference: a picture of a person who is
    to be drawn instead of the signer's avatar.
    """

    renderer: RendererName = "auto"
    model: Path | None = None
    style: str = "natural"
    reference: Path | None = None
    steps: int = 0
    mode: str = "direct"
    backend: str = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.renderer not in RENDERERS:
            raise ValueError(f"renderer: got {self.renderer!r}, expected one of {', '.join(RENDERERS)}")
        if self.renderer == "diffusion" and self.model is None:
            object.__setattr__(self, "model", SHIPPED)
        if self.model is None and (self.style != "natural" or self.reference is not None):
            raise ValueError(
                "--style, --reference: only the video renderer has them; give --renderer diffusion or "
                "--renderer-model FOLDER too"
            )


@dataclass(frozen=True, slots=True)
class CaptionSettings:
    """Live captions. feeds: (signer, source as `stream.captions.open_captions` takes it).

    hold_ms: words are kept back so long after their caption came, so that revisions find them. agreement: how
    many partial results of a recogniser must agree on a word before it is signed. programme_delay_s: captions
    are signed so long after they were said, in step with a programme that is shown so much later;
    own_delays_s: (signer, source, seconds) for feeds with another. complete: every word is signed, however
    late.
    """

    feeds: tuple[tuple[str, str], ...] = ()
    hold_ms: int = 0
    agreement: int = 2
    programme_delay_s: float = 0.0
    own_delays_s: tuple[tuple[str, str, float], ...] = ()
    complete: bool = False

    def delay_ns(self, signer: str, source: str, live: bool) -> int | None:
        """What `Caption.delay_ns` is for a feed; live: whether it cannot be kept waiting."""
        own = [seconds for *feed, seconds in self.own_delays_s if feed == [signer, source]]
        seconds = own[0] if own else self.programme_delay_s
        if self.complete or not (live or seconds):
            return None
        return round(seconds * 1e9)

    def __post_init__(self) -> None:
        for seconds in (self.programme_delay_s, *(seconds for *_, seconds in self.own_delays_s)):
            if not 0 <= seconds <= MAX_DELAY_S:
                raise ValueError(f"programme delay: got {seconds} s, expected 0 to {MAX_DELAY_S:g}")
        if self.complete and (self.programme_delay_s or self.own_delays_s):
            raise ValueError(
                "captions: got both a programme delay and `complete`; a word is signed in its time or in any "
                "case, so choose one"
            )
        for signer, source in self.feeds:
            if not NAME.fullmatch(signer) or not source:
                raise ValueError(
                    f"captions: got {signer!r} and {source!r}, expected a signer and a source, "
                    "for example main=follow:live.vtt"
                )
        if len(set(self.feeds)) != len(self.feeds) or [s for _, s in self.feeds].count("-") > 1:
            raise ValueError("captions: a source is there twice; name each once, and - (standard input) once")
        if not 0 <= self.hold_ms <= 60_000:
            raise ValueError(f"caption hold: got {self.hold_ms} ms, expected 0 to 60000")
        if not 1 <= self.agreement <= 10:
            raise ValueError(f"caption agreement: got {self.agreement}, expected 1 to 10 results")


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Who may come, and how. tokens: a file (docs/security.md); without one, only this machine is listened
    to, unless `open_to_all`. tls_certificate, tls_key: PEM files. header_s, body_s: a request's head and
    body must be there within so long. max_connections: HTTP connections at once, of all and of one address.
    """

    tokens: Path | None = None
    open_to_all: bool = False
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    header_s: float = 30.0
    body_s: float = 20.0
    max_connections: int = 1024
    max_connections_per_address: int = 256

    def __post_init__(self) -> None:
        if self.tls_key is not None and self.tls_certificate is None:
            raise ValueError("tls: got a key and no certificate; give --tls-cert too")
        for what in ("header_s", "body_s", "max_connections", "max_connections_per_address"):
            if not 0 < getattr(self, what) <= 100_000:
                raise ValueError(f"{what}: got {getattr(self, what)}, expected more than 0, up to 100000")


@dataclass(frozen=True)
class Config:
    """The server's settings.

    host, port: where to listen; port 0 lets the system choose. signers: who is on air from the start.
    width, height: pixels, even, up to 1920x1080. fps: pictures a second. bit_rate: cap per output in bits a
    second, None for one that fits the size. lexicons: looked up before the built-in alphabets, first wins.
    glosser: word for word, or learned from `glosser_model` (which falls back to the plain one, saying so).
    choreography: motion from recordings, or generated by `choreography_model` (None: the shipped one),
    computed as `choreography_speed` says (`engine.choreography.cogeneration_lanes`).
    video: who draws, and how.
    ice_servers: `stun:host:port`, `turn:user:password@host:port`; none by default. codecs: in order of
    preference. max_*: admission limits; beyond them a request is answered 503 with Retry-After.
    drain_s: told to end, the server finishes what is being signed, for so long; then peers close, in grace_s.
    pause_s: a caption in pieces ends when no more comes for so long, so that its last word is signed.
    captions: live caption feeds, each for one of `signers`.
    access: who may come. allow_origin: web origins that may use the API from their own pages; `*` for any.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    signers: tuple[SignerSettings, ...] = (SignerSettings("main"),)
    width: int = 512
    height: int = 512
    fps: float = 25.0
    bit_rate: int | None = None
    lexicons: tuple[Path, ...] = ()
    glosser: GlosserName = "plain"
    glosser_model: Path | None = None
    choreography: ChoreographyName = "lexicon"
    choreography_model: Path | None = None
    choreography_speed: SpeedName = "auto"
    video: VideoSettings = VideoSettings()
    ice_servers: tuple[str, ...] = ()
    codecs: tuple[Codec, ...] = ("H264", "VP8")
    max_signers: int = 8
    max_viewers: int = 64
    max_viewers_per_signer: int = 64
    max_body_bytes: int = 64 * 1024
    max_text_chars: int = 4000
    max_backlog_glosses: int = 1000
    pause_s: float = 4.0
    handshake_s: float = 15.0
    grace_s: float = 3.0
    drain_s: float = 10.0
    allow_origin: tuple[str, ...] = ()
    captions: CaptionSettings = CaptionSettings()
    access: AccessSettings = AccessSettings()
    loopback: bool = field(default=False)
    """Offer 127.0.0.1 as an ICE candidate; always on when `host` is a loopback address."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port: got {self.port}, expected 0 to 65535")
        for what, most in (("width", 1920), ("height", 1920)):
            pixels = getattr(self, what)
            if pixels % 2 or not 64 <= pixels <= most:
                raise ValueError(f"{what}: got {pixels}, expected an even number from 64 to {most}")
        if not 5 <= self.fps <= 60:
            raise ValueError(f"fps: got {self.fps}, expected 5 to 60")
        for what in (
            "max_signers",
            "max_viewers",
            "max_viewers_per_signer",
            "max_body_bytes",
            "max_text_chars",
            "max_backlog_glosses",
        ):
            if getattr(self, what) < 1:
                raise ValueError(f"{what}: got {getattr(self, what)}, expected at least 1")
        for what in ("pause_s", "handshake_s", "grace_s", "drain_s"):
            if not 0 < getattr(self, what) <= 3600:
                raise ValueError(f"{what}: got {getattr(self, what)}, expected more than 0, up to an hour")
        if self.glosser not in GLOSSERS:
            raise ValueError(f"glosser: got {self.glosser!r}, expected one of {', '.join(GLOSSERS)}")
        if not self.codecs or not set(self.codecs) <= set(get_args(Codec)):
            raise ValueError(f"codecs: got {self.codecs}, expected some of {get_args(Codec)}")
        names = [s.name for s in self.signers]
        if len(set(names)) != len(names) or len(names) > self.max_signers:
            raise ValueError(f"signers: got {names}, expected at most {self.max_signers} different names")
        for signer, source in self.captions.feeds:
            if signer not in names:
                raise ValueError(
                    f"captions: {source!r} is for signer {signer!r}, which is not on air; "
                    f"choose one of {', '.join(names)}, or add --signer {signer}"
                )
        self.rtc_ice_servers()

    @property
    def only_here(self) -> bool:
        """Whether only programs of this machine can connect."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def uses_loopback(self) -> bool:
        return self.loopback or self.only_here

    def rtc_ice_servers(self) -> list[RTCIceServer]:
        """The ICE servers as aiortc wants them. Raises ValueError on a URL it would not understand."""
        servers = []
        for url in self.ice_servers:
            match = _TURN.fullmatch(url)
            bare = f"{match[1]}:{match[4]}" if match else url
            try:
                parse_stun_turn_uri(bare)
            except ValueError as error:
                raise ValueError(
                    f"ice server: got {url!r} ({error}), "
                    "expected stun:host:port or turn:user:password@host:port"
                ) from error
            user, password = (match[2], match[3]) if match else (None, None)
            servers.append(RTCIceServer(bare, username=user, credential=password))
        return servers
