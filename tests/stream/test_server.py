"""The HTTP API: what it answers, and how it says no."""

import asyncio
import dataclasses
import gc
import json
import os
import signal
import socket

import aiohttp
import pytest
from yarl import URL

from engine.glossing.glosser import Unspellable
from engine.signals import Gloss
from stream import events
from stream.config import Config, SignerSettings
from stream.errors import StartupError
from stream.server import Server, run
from tests.stream.stand_ins import BarRenderer, CountingSigner, light_cast
from tests.stream.test_whep import SDP, an_offer
from tests.stream.waiting import until


@pytest.fixture
async def http(server):
    async with aiohttp.ClientSession(server.address) as session:
        yield session


async def ask(http, method, path, status, **how):
    async with http.request(method, path, **how) as response:
        assert response.status == status, await response.text()
        if response.content_type == "application/json":
            body = await response.json()
            if status >= 400:
                assert body["error"]
                assert body["remedy"]
            return body
        return await response.text()


async def test_what_there_is(http):
    assert (await ask(http, "GET", "/healthz", 200))["status"] == "ok"
    signers = await ask(http, "GET", "/signers", 200)
    assert signers == [
        {
            "name": "main",
            "language": "ase",
            "avatar": "bars",
            "rate": 1.0,
            "left_handed": False,
            "background": "plain",
            "width": 128,
            "height": 64,
            "fps": 25.0,
            "viewers": 0,
            "whep": "/whep/main",
        }
    ]
    languages = await ask(http, "GET", "/languages", 200)
    assert languages[0] == {"code": "ase", "name": "American Sign Language", "spoken": "en"}
    assert (await ask(http, "GET", "/avatars", 200))[0]["name"] == "bars"
    assert "main" in (await ask(http, "GET", "/stats", 200))["signers"]


async def test_the_page_and_nothing_else_of_the_disk(http):
    page = await ask(http, "GET", "/", 200)
    assert "<sign-avatar" in page
    assert "class" in await ask(http, "GET", "/sign-avatar.js", 200)
    for path in (
        "/../server.py",
        "/%2e%2e/server.py",
        "/..%2fserver.py",
        "/web/../server.py",
        "/.git/x",
    ):
        await ask(http, "GET", URL(path, encoded=True), 404)


async def test_a_signer_is_created_changed_and_deleted(http):
    made = await ask(http, "POST", "/signers", 201, json={"name": "anna", "language": "gsg", "rate": 0.5})
    assert (made["language"], made["whep"], made["avatar"]) == ("gsg", "/whep/anna", "bars")
    await ask(http, "POST", "/signers", 409, json={"name": "anna"})
    changed = await ask(http, "PATCH", "/signers/anna", 200, json={"avatar": "more", "left_handed": True})
    assert (changed["avatar"], changed["left_handed"], changed["rate"]) == ("more", True, 0.5)
    said = await ask(http, "POST", "/signers/anna/text", 202, json={"text": "one two"})
    assert [g["label"] for g in said["glosses"]] == ["ONE", "TWO"]
    await ask(http, "POST", "/signers/anna/interrupt", 202)
    await ask(http, "DELETE", "/signers/anna", 204)
    await ask(http, "GET", "/signers/anna", 404)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "hint"),
    [
        ("POST", "/signers/nobody/text", {"text": "x"}, 404, "main"),
        ("POST", "/signers/main/text", {}, 422, "text"),
        ("POST", "/signers/main/text", {"text": 7}, 422, "text"),
        ("POST", "/signers/main/text", [1], 422, "object"),
        ("POST", "/signers/main/text", {"text": "x", "language": "xxx"}, 422, "gsg"),
        ("POST", "/signers/main/text", {"text": "x", "final": "no"}, 422, "final"),
        ("POST", "/signers/main/text", {"text": "x", "loud": True}, 422, "loud"),
        ("POST", "/signers/main/text", {"text": "x" * 6000}, 413, "pieces"),
        ("POST", "/signers/main/text", {"text": "x" * 1_000_000}, 413, "pieces"),
        ("PATCH", "/signers/main", {"rate": 9}, 422, "0.5"),
        ("PATCH", "/signers/main", {"rate": True}, 422, "rate"),
        ("PATCH", "/signers/main", {"language": "xxx"}, 422, "ase, gsg"),
        ("PATCH", "/signers/main", {"avatar": "../x"}, 422, "bars"),
        ("PATCH", "/signers/main", {"background": "pink"}, 422, "transparent"),
        ("PATCH", "/signers/main", {"language": ["ase"]}, 422, "text"),
        ("POST", "/signers", {"name": "../etc"}, 422, "a-z"),
        ("POST", "/signers", {}, 422, "name"),
        ("DELETE", "/signers/nobody", None, 404, "main"),
        ("DELETE", "/whep/main/no-such-session", None, 404, "new offer"),
        ("GET", "/whep/main", None, 405, "offer"),
        ("GET", "/nothing", None, 404, "page"),
        ("PUT", "/signers", None, 405, "GET"),
    ],
)
async def test_every_no_says_why_and_what_to_do(http, method, path, body, status, hint):
    answer = await ask(http, method, path, status, json=body)
    assert hint in answer["error"] + answer["remedy"]


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 50_000, b"\0"])
async def test_what_is_not_json_is_refused(http, raw):
    await ask(http, "POST", "/signers/main/text", 400, data=raw)


@pytest.mark.parametrize(
    "text",
    ["", "   ", "😀😀", "שלום עולם", "a\x00b\x07c", "\u202eabc", json.loads('"\\ud800"'), "\n\n", "x" * 4000],
    ids=["empty", "blank", "emoji", "right-to-left", "control", "override", "surrogate", "newlines", "long"],
)
async def test_odd_text_is_taken_and_the_stream_goes_on(http, server, text):
    said = await ask(http, "POST", "/signers/main/text", 202, json={"text": text})
    assert said["caption"] == (1 if text.strip() else 0)
    assert text.strip() or "nothing to sign" in said["note"]  # a blank text is no caption
    stepped = server.stage.channels["main"].motion_frames
    await until(lambda: server.stage.channels["main"].motion_frames > stepped)


async def test_text_in_pieces_is_one_caption(http):
    first = await ask(http, "POST", "/signers/main/text", 202, json={"text": "Hello ", "final": False})
    second = await ask(http, "POST", "/signers/main/text", 202, json={"text": "world", "final": True})
    third = await ask(http, "POST", "/signers/main/text", 202, json={"text": "again"})
    assert [first["caption"], second["caption"], third["caption"]] == [1, 1, 2]


async def test_a_long_caption_in_pieces_ends_between_words(http):
    captions = []
    for piece in ["seven letters again " * 10] * 4 + ["x" * 300, "y" * 300, " ", " z"]:
        said = await ask(http, "POST", "/signers/main/text", 202, json={"text": piece, "final": False})
        captions.append(said["caption"])
    assert captions == [1, 1, 1, 2, 2, 2, 2, 3]  # never inside a word, however long it gets


async def test_the_end_of_a_caption_comes_by_itself(launch):
    heard = []

    class Hearing(CountingSigner):
        def say(self, caption):
            heard.append((caption.text, caption.seq, caption.final, caption.language))
            return super().say(caption)

    server = await launch(dataclasses.replace(light_cast(), signer=lambda _: Hearing()), pause_s=1.5)
    async with aiohttp.ClientSession(server.address) as http:
        for piece in ("one ", "two ", "thr"):
            body = {"text": piece, "final": False, "language": "gsg"}
            await ask(http, "POST", "/signers/main/text", 202, json=body)
        await until(lambda: heard[-1] == ("", 1, True, "gsg"))
        await ask(http, "POST", "/signers/main/text", 202, json={"text": "half ", "final": False})
        await ask(http, "POST", "/signers/main/interrupt", 202)
        await asyncio.sleep(2)
        assert heard[4:] == [("half ", 2, False, "ase")]  # nothing is left to end


async def test_the_letters_of_a_language_on_air_are_warmed(launch):
    warmed = []
    server = await launch(dataclasses.replace(light_cast(), warm=warmed.append))
    async with aiohttp.ClientSession(server.address) as http:
        await ask(http, "PATCH", "/signers/main", 200, json={"language": "gsg"})
    assert warmed == ["ase", "gsg"]


def test_long_lists_are_told_in_part_and_counted():
    glosses = [(i, Gloss("A", "clip", "ase", start=i, end=i + 1)) for i in range(700)]
    gap = Unspellable("x", 3, 4, "no such letter")
    told = events.caption(1, "a" * 700, glosses, [gap], [])
    assert [g["index"] for g in told["glosses"]] == list(range(100, 700))
    assert told["unlisted"] == 100
    assert told["unspellable"] == [{"text": "x", "reason": "no such letter", "start": 3, "end": 4}]
    assert "unlisted" not in events.caption(1, "a", glosses[:600], [gap], [])


async def test_a_backlog_has_an_end(launch):
    server = await launch(max_backlog_glosses=10)
    async with aiohttp.ClientSession(server.address) as http:
        await ask(http, "POST", "/signers/main/text", 202, json={"text": "a " * 20})
        async with http.post("/signers/main/text", json={"text": "more"}) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) >= 1
            assert "interrupt" in (await response.json())["remedy"]
        await ask(http, "POST", "/signers/main/interrupt", 202)
        await ask(http, "POST", "/signers/main/text", 202, json={"text": "more"})


BROKEN_OFFERS = {
    "empty": "",
    "words": "hello",
    "version only": "v=0\r\n",
    "no media": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
    "bad port": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video x UDP/TLS/RTP/SAVPF 96\r\n",
    "no ice": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n",
    "null": "\0" * 100,
}


@pytest.mark.parametrize("offer", BROKEN_OFFERS.values(), ids=BROKEN_OFFERS.keys())
async def test_a_malformed_offer_is_refused_and_leaves_nothing(http, server, offer):
    answer = await ask(http, "POST", "/whep/main", 400, data=offer, headers=SDP)
    assert "offer" in answer["remedy"]
    await until(lambda: not server.stage.channels["main"].peers)


async def test_a_damaged_real_offer_never_breaks_the_server(http, server, caplog):
    """Each line of a real offer left out, cut or garbled: 201 or 400, never 500."""
    lines = (await an_offer()).splitlines()
    seen = set()
    for i, line in enumerate(lines):
        for damaged in ([], [line[: len(line) // 2]], [line.replace("=", "=\u00e9", 1)]):
            sdp = "\r\n".join([*lines[:i], *damaged, *lines[i + 1 :]]) + "\r\n"
            async with http.post("/whep/main", data=sdp.encode(), headers=SDP) as response:
                seen.add(response.status)
                assert response.status in (201, 400), (line, damaged, await response.text())
                if response.status == 201:
                    async with http.delete(response.headers["Location"]):
                        pass
    assert seen == {201, 400}
    gc.collect()
    assert "never retrieved" not in caplog.text, caplog.text[:3000]
    assert not server.stage.channels["main"].peers


async def test_offers_are_bounded_and_must_receive(http):
    await ask(http, "POST", "/whep/main", 413, data=b"v" * 60_000, headers=SDP)
    await ask(http, "POST", "/whep/main", 415, json={"sdp": "x"})
    await ask(http, "POST", "/whep/nobody", 404, data="v=0", headers=SDP)
    sending = (await an_offer()).replace("a=recvonly", "a=sendonly")
    assert "receive" in (await ask(http, "POST", "/whep/main", 400, data=sending, headers=SDP))["error"]


async def test_too_many_signers_are_refused_with_retry_after(launch):
    server = await launch(max_signers=2)
    async with aiohttp.ClientSession(server.address) as http:
        await ask(http, "POST", "/signers", 201, json={"name": "two"})
        async with http.post("/signers", json={"name": "three"}) as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "10"


async def test_pages_of_others_may_not_use_it_unless_named(launch):
    closed, opened = await launch(), await launch(allow_origin=("https://good.example",))
    for server, origin, status, allowed in (
        (closed, "https://evil.example", 403, None),
        (closed, closed.address.rstrip("/"), 202, closed.address.rstrip("/")),
        (opened, "https://good.example", 202, "https://good.example"),
        (opened, "https://evil.example", 403, None),
    ):
        async with aiohttp.ClientSession(server.address, headers={"Origin": origin}) as http:
            async with http.post("/signers/main/text", json={"text": "x"}) as response:
                assert response.status == status
                assert response.headers.get("Access-Control-Allow-Origin") == allowed
            if allowed:
                asked = {"Access-Control-Request-Method": "DELETE"}
                async with http.options("/whep/main/abc", headers=asked) as response:
                    assert response.status == 204
                    assert "DELETE" in response.headers["Access-Control-Allow-Methods"]


async def test_a_port_in_use_is_told_with_a_remedy(server):
    port = int(server.address.rstrip("/").rsplit(":", 1)[1])
    second = Server(Config(port=port), light_cast())
    with pytest.raises(StartupError, match=rf"port {port}.*in use.*--port"):
        await second.start()


async def test_a_renderer_without_a_device_is_told_with_a_remedy():
    class NoDevice(BarRenderer):
        def open(self) -> None:
            raise RuntimeError("no EGL display")

    cast = dataclasses.replace(light_cast(), renderer=lambda _: NoDevice())
    server = Server(Config(port=0), cast)
    with pytest.raises(StartupError, match=r"no EGL display.*doctor"):
        await server.start()


async def test_an_unknown_language_at_start_lists_those_that_exist():
    server = Server(Config(port=0, signers=(SignerSettings("main", language="xxx"),)), light_cast())
    with pytest.raises(StartupError, match="choose one of: ase, gsg"):
        await server.start()


async def test_run_serves_until_it_is_told_to_stop():
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run(Config(port=0), light_cast(), ready.set_result))
    address = await asyncio.wait_for(ready, 60)
    async with aiohttp.ClientSession(address) as http:
        await ask(http, "GET", "/healthz", 200)
    assert gc.get_freeze_count() > 10_000, "collections need not look through what is there from the start"
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 60)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(address.rstrip("/").rsplit(":", 1)[1]))) != 0
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"port": 70_000}, "port"),
        ({"width": 511}, "even"),
        ({"height": 4000}, "height"),
        ({"fps": 1}, "fps"),
        ({"max_viewers": 0}, "max_viewers"),
        ({"codecs": ("AV1",)}, "codecs"),
        ({"ice_servers": ("http://x",)}, "stun:host:port"),
        ({"signers": (SignerSettings("a"), SignerSettings("a"))}, "different"),
    ],
)
def test_a_wrong_setting_is_named(wrong, hint):
    with pytest.raises(ValueError, match=hint):
        Config(**wrong)


def test_ice_servers_are_passed_on():
    config = Config(ice_servers=("stun:stun.example:3478", "turn:me:secret@turn.example:3478?transport=tcp"))
    stun, turn = config.rtc_ice_servers()
    assert stun.urls == "stun:stun.example:3478"
    assert (turn.urls, turn.username, turn.credential) == (
        "turn:turn.example:3478?transport=tcp",
        "me",
        "secret",
    )
