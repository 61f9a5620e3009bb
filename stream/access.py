"""Who may do what, and how much of it: bearer tokens with scopes and quotas.

Enters: a file of tokens (only their hashes), the environment, requests. Leaves: a middleware that says 401,
403 or 429, and the `Bearer` of each request. Does not know what requests do. Without tokens everybody may
do everything, and the server listens on this machine only, unless it is told `--open`.

A token comes as `Authorization: Bearer ...`; from browsers, which cannot always set it, as
`?access_token=...`, which also leaves a cookie (HttpOnly, SameSite=Strict), so that a page opened with it
works. Sources: RFC 6750.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import secrets
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from stream.errors import Handler, Refusal

SCOPES = ("watch", "say", "admin")
QUOTAS = ("requests_per_minute", "characters_per_minute", "viewers", "signers")
COOKIE = "handstream"
TOKEN_VARIABLE = "HANDSTREAM_TOKEN"
LEAST_CHARS = 16
BEARER: web.RequestKey[Bearer | None] = web.RequestKey("bearer")
_CAPABILITIES = ("/whep/{signer}/{session}",)
"""Routes whose address is itself a secret that only one viewer was given."""
_SAY = "/signers/{signer}/"


class Allowance:
    """So many units a minute, in bursts of up to a minute's worth. clock: seconds."""

    def __init__(self, per_minute: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._left = per_minute or 0.0
        self._at_s = clock()

    def take(self, count: float) -> float:
        """Take that many, or nothing: seconds until they are there, 0.0 when they were taken.

        More than a minute's worth are taken once a whole minute's worth is there, and are then owed.
        """
        if self._per_minute is None:
            return 0.0
        now_s = self._clock()
        self._left = min(self._per_minute, self._left + (now_s - self._at_s) * self._per_minute / 60)
        self._at_s = now_s
        missing = min(count, self._per_minute) - self._left
        if missing > 1e-9:
            return missing * 60 / self._per_minute
        self._left -= count
        return 0.0


@dataclass(frozen=True, slots=True)
class Token:
    """One line of the file. sha256: of the token, in hex. Quotas of None have no limit."""

    name: str
    sha256: str
    scopes: tuple[str, ...] = ("watch",)
    requests_per_minute: int | None = None
    characters_per_minute: int | None = None
    viewers: int | None = None
    signers: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 1 <= len(self.name) <= 64:
            raise ValueError(f"token: got name {self.name!r}, expected 1 to 64 characters")
        if not isinstance(self.sha256, str) or len(self.sha256) != 64 or not _is_hex(self.sha256):
            raise ValueError(f"token {self.name!r}: sha256 is not 64 hex digits; make one: {_MAKE}")
        if not self.scopes or not set(self.scopes) <= set(SCOPES):
            raise ValueError(
                f"token {self.name!r}: got scopes {self.scopes}, expected some of {', '.join(SCOPES)}"
            )
        for quota in QUOTAS:
            value = getattr(self, quota)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"token {self.name!r}: {quota}: got {value!r}, expected at least 1, or none")


class Bearer:
    """One token in use: what it may do, and what it has used of its quotas. Lives on the event loop."""

    def __init__(self, token: Token, clock: Callable[[], float] = time.monotonic) -> None:
        self.token = token
        self._requests = Allowance(token.requests_per_minute, clock)
        self._characters = Allowance(token.characters_per_minute, clock)

    def may(self, scope: str) -> bool:
        return scope in self.token.scopes or "admin" in self.token.scopes

    def request(self) -> None:
        """Count a request. Refusal 429."""
        self._charge(self._requests, 1, f"{self.token.requests_per_minute} requests a minute")

    def characters(self, count: int) -> None:
        """Count text to sign. Refusal 403 without the scope, 429 beyond the quota."""
        if not self.may("say"):
            raise _forbidden("say")
        self._charge(self._characters, count, f"{self.token.characters_per_minute} characters a minute")

    async def wait_characters(self, count: int) -> None:
        """As `characters`, but waits instead of refusing: for senders that can be made to wait."""
        while (wait_s := self._characters.take(count)) > 0:  # noqa: ASYNC110 - time is what is waited for
            await asyncio.sleep(wait_s)

    def admit(self, what: str, count: int) -> None:
        """May there be one more when there are `count`? what: viewers or signers. Refusal 429."""
        most = getattr(self.token, what)
        if most is not None and count >= most:
            raise Refusal(429, f"this token has {most} {what}, which is its limit", "end one", 10)

    def _charge(self, allowance: Allowance, count: float, limit: str) -> None:
        wait_s = allowance.take(count)
        if wait_s:
            raise Refusal(429, f"this token may send {limit}", "wait", max(1, round(wait_s + 0.5)))


class Gate:
    """See the module. tokens: none opens it for everybody."""

    def __init__(self, tokens: Sequence[Token], clock: Callable[[], float] = time.monotonic) -> None:
        names = [token.name for token in tokens]
        if len(set(names)) != len(names):
            raise ValueError(f"tokens: got the names {names}, expected different ones")
        self._bearers = [(bytes.fromhex(token.sha256), Bearer(token, clock)) for token in tokens]

    @classmethod
    def open(cls, path: Path | None, environment: Mapping[str, str]) -> Gate:
        """Tokens of the file, and the one of HANDSTREAM_TOKEN, which may do everything.

        Raises ValueError for a file that is wrong, OSError for one that cannot be read.
        """
        tokens = read_tokens(path.read_bytes()) if path is not None else []
        secret = environment.get(TOKEN_VARIABLE, "")
        if secret:
            if len(secret) < LEAST_CHARS:
                raise ValueError(
                    f"{TOKEN_VARIABLE}: {len(secret)} characters can be guessed; use {LEAST_CHARS} or more"
                )
            tokens.append(Token(TOKEN_VARIABLE, digest(secret), ("admin",)))
        return cls(tokens)

    @property
    def closed(self) -> bool:
        """Whether a token is needed."""
        return bool(self._bearers)

    def bearer(self, secret: str) -> Bearer | None:
        """Who has that token. Every hash is compared, each in constant time."""
        asked = hashlib.sha256(secret.encode("utf-8", "replace")).digest()
        found = None
        for known, bearer in self._bearers:
            if hmac.compare_digest(known, asked):
                found = bearer
        return found

    def middleware(self, public: frozenset[str]) -> Middleware:
        """Asks for a token wherever one is needed; `public` are the paths of the page's own files."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            request[BEARER] = None
            scope = scope_of(request, public)
            if not self.closed or scope is None:
                return await handler(request)
            secret, from_query = secret_of(request)
            bearer = self.bearer(secret) if secret else None
            if bearer is None:
                raise Refusal(
                    401,
                    "this token is not known" if secret else "a token is needed",
                    "send Authorization: Bearer TOKEN, or open the page with ?access_token=TOKEN",
                )
            bearer.request()
            if not bearer.may(scope):
                raise _forbidden(scope)
            request[BEARER] = bearer
            response = await handler(request)
            return response if not from_query else _with_cookie(request, response, secret)

        @web.middleware
        async def remember(request: web.Request, handler: Handler) -> web.StreamResponse:
            """The page's own files need no token, but one that came with the address is remembered."""
            response = await guard(request, handler)
            secret = request.query.get("access_token", "")
            if self.closed and secret and request.path in public and self.bearer(secret) is not None:
                return _with_cookie(request, response, secret)
            return response

        return remember


def scope_of(request: web.Request, public: frozenset[str]) -> str | None:
    """What a request needs; None: nothing. Whatever is not known here needs admin to change something."""
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else ""
    if request.method == "OPTIONS" or route in ("/healthz", "/readyz", *_CAPABILITIES) or not route:
        return None
    reads = request.method in ("GET", "HEAD")
    if reads and request.path in public:
        return None
    if route == "/whep/{signer}":
        return "watch"
    writes_text = request.method == "POST" or (reads and "Upgrade" in request.headers)
    if route.startswith(_SAY) and writes_text:
        return "say"
    return "watch" if reads and "Upgrade" not in request.headers else "admin"


def secret_of(request: web.Request) -> tuple[str, bool]:
    """The token that came with a request, "" for none; and whether it came with the address."""
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and secret.strip():
        return secret.strip(), False
    if secret := request.query.get("access_token", ""):
        return secret, True
    return request.cookies.get(COOKIE, ""), False


def read_tokens(data: bytes) -> list[Token]:
    """The tokens of a TOML file: [[token]] tables. Raises ValueError, naming what is wrong."""
    try:
        found = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"tokens: not TOML ({error}); see docs/security.md") from error
    rows = found.get("token")
    if set(found) != {"token"} or not isinstance(rows, list) or not rows:
        raise ValueError("tokens: expected [[token]] tables and nothing else; see docs/security.md")
    return [_token(row) for row in rows]


def _token(row: object) -> Token:
    if not isinstance(row, dict):
        raise ValueError(f"tokens: got {row!r}, expected a [[token]] table")
    unknown = set(row) - {"name", "sha256", "scopes", *QUOTAS}
    if unknown or not {"name", "sha256"} <= set(row):
        raise ValueError(
            f"token {row.get('name', '?')!r}: expected name, sha256, perhaps scopes, {', '.join(QUOTAS)}; "
            f"not known: {', '.join(sorted(map(str, unknown))) or 'none'}"
        )
    scopes: Any = row.get("scopes", ["watch"])
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise ValueError(f"token {row['name']!r}: scopes: got {scopes!r}, expected a list of words")
    return Token(**{**row, "scopes": tuple(scopes)})


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _is_hex(text: str) -> bool:
    return all(c in "0123456789abcdef" for c in text)


def _forbidden(scope: str) -> Refusal:
    return Refusal(403, f"this token may not {scope}", f"use one with the scope {scope}, or ask for it")


def _with_cookie(request: web.Request, response: web.StreamResponse, secret: str) -> web.StreamResponse:
    if not response.prepared:
        response.set_cookie(COOKIE, secret, httponly=True, samesite="Strict", secure=request.secure)
        response.headers["Referrer-Policy"] = "no-referrer"
    return response


_MAKE = "python -m stream.access NAME [SCOPE ...]"


def main() -> None:
    """Make a token: the secret on standard error, its table for the file on standard output."""
    parser = argparse.ArgumentParser(prog="python -m stream.access", description=main.__doc__)
    parser.add_argument("name")
    parser.add_argument("scopes", nargs="*", default=["watch"], metavar="SCOPE", help=", ".join(SCOPES))
    args = parser.parse_args()
    secret = secrets.token_urlsafe(32)
    token = Token(args.name, digest(secret), tuple(args.scopes))
    import sys

    print(f"the token, told this once: {secret}", file=sys.stderr)
    scopes = ", ".join(f'"{scope}"' for scope in token.scopes)
    name = token.name.replace("\\", "\\\\").replace('"', '\\"')
    print(f'[[token]]\nname = "{name}"\nsha256 = "{token.sha256}"\nscopes = [{scopes}]')


if __name__ == "__main__":
    main()
