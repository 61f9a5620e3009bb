"""Tokens and quotas, on a real server with stand-ins for engine and renderer."""

import asyncio
import json
import subprocess
import sys

import aiohttp
import pytest

from stream.access import Allowance, Bearer, Gate, Token, digest, read_tokens
from stream.config import AccessSettings
from stream.errors import Refusal, StartupError
from stream.server import Server
from tests.stream.viewer import Viewer

WAIT_S = 60
SECRETS = {name: f"{name}-secret-of-many-letters" for name in ("watcher", "writer", "boss", "few")}
FILE = "\n".join(
    [
        f'[[token]]\nname = "watcher"\nsha256 = "{digest(SECRETS["watcher"])}"\nviewers = 1',
        f'[[token]]\nname = "writer"\nsha256 = "{digest(SECRETS["writer"])}"\nscopes = ["watch", "say"]\n'
        "characters_per_minute = 40",
        f'[[token]]\nname = "boss"\nsha256 = "{digest(SECRETS["boss"])}"\nscopes = ["admin"]\nsigners = 1',
        f'[[token]]\nname = "few"\nsha256 = "{digest(SECRETS["few"])}"\nrequests_per_minute = 2',
    ]
)


@pytest.fixture
async def guarded(launch, tmp_path) -> Server:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(FILE)
    return await launch(access=AccessSettings(tokens=tokens))


async def ask(
    server: Server, method: str, path: str, token: str = "", body: object = None, **headers: str
) -> tuple[int, dict, aiohttp.ClientResponse]:
    if token:
        headers["Authorization"] = f"Bearer {SECRETS[token]}"
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, f"{server.address}{path}", json=body, headers=headers) as answer,
    ):
        text = await answer.text()
        return answer.status, json.loads(text) if text.startswith(("{", "[")) else {}, answer


async def test_without_tokens_everything_is_open_on_this_machine(server):
    assert (await ask(server, "GET", "signers"))[0] == 200
    assert (await ask(server, "POST", "signers/main/text", body={"text": "one"}))[0] == 202


async def test_a_token_is_needed_for_all_but_health_and_the_page(guarded):
    for path in ("healthz", "readyz", "", "sign-avatar.js"):
        assert (await ask(guarded, "GET", path))[0] == 200, path
    for method, path in [
        ("GET", "signers"),
        ("GET", "stats"),
        ("GET", "metrics"),
        ("GET", "languages"),
        ("GET", "signers/main/changes"),
        ("POST", "signers"),
        ("PATCH", "signers/main"),
        ("DELETE", "signers/main"),
        ("POST", "signers/main/text"),
        ("POST", "signers/main/interrupt"),
        ("POST", "signers/main/captions/text"),
        ("GET", "signers/main/captions/lines"),
        ("POST", "whep/main"),
    ]:
        status, told, answer = await ask(guarded, method, path, body={})
        assert status == 401, (method, path)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert set(told) == {"error", "remedy"}
    assert (await ask(guarded, "GET", "signers", Authorization="Bearer wrong"))[0] == 401


def test_every_route_of_the_server_asks_for_a_scope_or_is_meant_to_be_public():
    """A route that somebody adds later is closed by default: reading needs watch, writing admin."""
    from stream.access import scope_of

    class Probe:  # of a request, what is looked at
        def __init__(self, method, canonical):
            self.headers = {}
            resource = type("R", (), {"canonical": canonical})
            self.method, self.path = method, canonical
            route = type("Route", (), {"resource": resource})
            self.match_info = type("M", (), {"route": route})

    public = frozenset({"/"})
    assert scope_of(Probe("GET", "/something/new"), public) == "watch"
    assert scope_of(Probe("POST", "/something/new"), public) == "admin"
    assert scope_of(Probe("DELETE", "/signers/{signer}"), public) == "admin"
    assert scope_of(Probe("POST", "/signers/{signer}/text"), public) == "say"
    assert scope_of(Probe("GET", "/"), public) is None


async def test_scopes_are_kept_apart(guarded):
    text = {"text": "one"}
    assert (await ask(guarded, "GET", "signers", "watcher"))[0] == 200
    assert (await ask(guarded, "POST", "signers/main/text", "watcher", text))[0] == 403
    assert (await ask(guarded, "POST", "signers/main/text", "writer", text))[0] == 202
    assert (await ask(guarded, "DELETE", "signers/main", "writer"))[0] == 403
    assert (await ask(guarded, "PATCH", "signers/main", "writer", {"rate": 1.5}))[0] == 403
    assert (await ask(guarded, "PATCH", "signers/main", "boss", {"rate": 1.5}))[0] == 200


async def test_a_page_opened_with_its_token_works_by_a_cookie_that_scripts_cannot_read(guarded):
    jar = aiohttp.CookieJar(unsafe=True)  # addresses have cookies too
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        async with http.get(f"{guarded.address}?access_token={SECRETS['watcher']}") as answer:
            assert answer.status == 200
            cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
        async with http.get(f"{guarded.address}signers") as answer:
            assert answer.status == 200
        async with http.post(f"{guarded.address}signers/main/text", json={"text": "no"}) as answer:
            assert answer.status == 403
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{guarded.address}?access_token=wrong") as answer,
    ):
        assert "Set-Cookie" not in answer.headers


async def test_a_viewer_needs_a_token_and_may_write_only_with_the_scope(guarded):
    with pytest.raises(ConnectionError, match="401"):
        await Viewer(guarded.address).connect()
    viewer = await Viewer(guarded.address, token=SECRETS["watcher"]).connect()
    try:
        await viewer.until(lambda: viewer.frames > 2 and viewer.of_type("hello"), WAIT_S)
        viewer.data["events"].send(json.dumps({"type": "say", "text": "not allowed"}))
        await viewer.until(lambda: viewer.of_type("error"), WAIT_S)
        assert "may not say" in viewer.of_type("error")[0]["error"]
        assert not viewer.of_type("caption")
    finally:
        await viewer.close()
    writer = await Viewer(guarded.address, token=SECRETS["writer"]).connect()
    try:
        await writer.until(lambda: writer.of_type("hello"), WAIT_S)
        writer.data["events"].send(json.dumps({"type": "say", "text": "allowed"}))
        await writer.until(lambda: writer.of_type("caption"), WAIT_S)
        writer.data["events"].send(json.dumps({"type": "say", "text": "far too much " * 20}))
        writer.data["events"].send(json.dumps({"type": "say", "text": "more"}))
        await writer.until(lambda: writer.of_type("error"), WAIT_S)
        assert "40 characters a minute" in writer.of_type("error")[0]["error"]
    finally:
        await writer.close()


async def test_a_token_has_so_many_viewers_and_signers(guarded):
    viewer = await Viewer(guarded.address, token=SECRETS["watcher"]).connect()
    try:
        with pytest.raises(ConnectionError, match="429"):
            await Viewer(guarded.address, token=SECRETS["watcher"]).connect()
        other = await Viewer(guarded.address, token=SECRETS["writer"]).connect()
        await other.close()
    finally:
        await viewer.close()
    assert (await ask(guarded, "POST", "signers", "boss", {"name": "second"}))[0] == 201
    status, told, answer = await ask(guarded, "POST", "signers", "boss", {"name": "third"})
    assert status == 429
    assert "Retry-After" in answer.headers
    assert "1 signers" in told["error"]


async def test_requests_and_characters_of_a_token_are_counted(guarded):
    assert [(await ask(guarded, "GET", "signers", "few"))[0] for _ in range(3)] == [200, 200, 429]
    text = {"text": "x" * 40}
    assert (await ask(guarded, "POST", "signers/main/text", "writer", text))[0] == 202
    for path in ("signers/main/text", "signers/main/captions/text"):
        status, _, answer = await ask(guarded, "POST", path, "writer", text)
        assert status == 429, path
        assert 0 < int(answer.headers["Retry-After"]) <= 61


def test_an_allowance_fills_again_and_lends_what_is_more_than_a_minute_of_it():
    now = [0.0]
    allowance = Allowance(60, lambda: now[0])
    assert allowance.take(60) == 0
    assert allowance.take(1) == pytest.approx(1.0)
    now[0] = 1.0
    assert allowance.take(1) == 0
    now[0] = 1000.0
    assert allowance.take(120) == 0  # once, and then owed
    assert allowance.take(1) == pytest.approx(61.0)
    assert Allowance(None).take(1e12) == 0


async def test_one_that_can_wait_waits_and_is_not_refused():
    bearer = Bearer(Token("a", digest("x"), ("say",), characters_per_minute=60_000))
    await bearer.wait_characters(60_000)
    await asyncio.wait_for(bearer.wait_characters(10), WAIT_S)
    with pytest.raises(Refusal):
        bearer.characters(60_000)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected"),
        ("token = 3", "expected"),
        ("[[token]]", "expected name"),
        ('[[token]]\nname = "a"\nsha256 = "abc"', "64 hex"),
        (f'[[token]]\nname = "a"\nsha256 = "{"0" * 64}"\nscopes = ["all"]', "watch"),
        (f'[[token]]\nname = "a"\nsha256 = "{"0" * 64}"\nviewers = 0', "at least 1"),
        (f'[[token]]\nname = "a"\nsha256 = "{"0" * 64}"\nsecret = "x"', "secret"),
        ("\x00", "TOML"),
    ],
)
def test_a_wrong_file_of_tokens_says_what_is_wrong(text, says):
    with pytest.raises(ValueError, match=says):
        read_tokens(text.encode())


def test_a_token_from_the_environment_may_do_everything_and_must_be_long():
    gate = Gate.open(None, {"HANDSTREAM_TOKEN": "a-long-enough-secret"})
    found = gate.bearer("a-long-enough-secret")
    assert found is not None
    assert found.may("admin")
    assert gate.bearer("another") is None
    with pytest.raises(ValueError, match="guessed"):
        Gate.open(None, {"HANDSTREAM_TOKEN": "short"})


def test_a_token_is_made_and_read_and_its_secret_is_not_in_the_file():
    done = subprocess.run(
        [sys.executable, "-m", "stream.access", "desk", "watch", "say"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    secret = done.stderr.split()[-1]
    assert secret not in done.stdout
    (token,) = read_tokens(done.stdout.encode())
    assert token.scopes == ("watch", "say")
    assert Gate([token]).bearer(secret) is not None


async def test_beyond_this_machine_a_token_or_the_word_open_is_needed(launch, tmp_path, monkeypatch):
    monkeypatch.delenv("HANDSTREAM_TOKEN", raising=False)
    with pytest.raises(StartupError, match="--open"):
        await launch(host="0.0.0.0")
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(FILE)
    guarded = await launch(host="0.0.0.0", access=AccessSettings(tokens=tokens))
    assert (await ask(guarded, "GET", "signers"))[0] == 401
    opened = await launch(host="0.0.0.0", access=AccessSettings(open_to_all=True))
    assert (await ask(opened, "GET", "signers"))[0] == 200
