"""Live captions through the real server: signed once, told, and what one feed does hurts no other."""

import argparse
import asyncio

import aiohttp
import aiohttp.web
import pytest

from stream.caption_line import label
from stream.captions import Cue
from stream.config import CaptionSettings, Config, SignerSettings
from stream.errors import Refusal, StartupError
from stream.serve_command import add_arguments, configuration
from tests.stream.stand_ins import CountingSigner, light_cast
from tests.stream.viewer import Viewer

WORDS = ["GOOD", "MORNING", "THE", "WEATHER", "TODAY", "IS", "SUNNY"]


@pytest.fixture
async def watch():
    """`await watch(server, signer)`: a real aiortc viewer, connected and greeted."""
    viewers: list[Viewer] = []

    async def start(server, signer="main"):
        viewer = Viewer(server.address, signer=signer)
        viewers.append(await viewer.connect())
        await viewer.until(lambda: viewer.of_type("hello") and viewer.frames)
        return viewer

    yield start
    for viewer in viewers:
        await viewer.close(delete=False)


@pytest.fixture
async def http(server):
    async with aiohttp.ClientSession(server.address) as session:
        yield session


def signed(viewer):
    return [event["label"] for event in viewer.of_type("gloss")]


async def until(condition, timeout_s=60.0):
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - any condition will do
            await asyncio.sleep(0.01)


async def asked(session, path):
    async with session.get(path) as response:
        assert response.status == 200, await response.text()
        return await response.json()


def fed(*feeds, **manner):
    return {"captions": CaptionSettings(tuple(feeds), **manner)}


async def test_a_growing_file_is_signed_in_order_each_word_once(launch, watch, tmp_path):
    path = tmp_path / "live.vtt"
    server = await launch(**fed(("main", f"follow:{path}")))
    viewer = await watch(server)
    path.write_text("WEBVTT\n\n00:00.000 --> 00:01.000\ngood morning\n\n")
    await viewer.until(lambda: signed(viewer) == WORDS[:2])
    with path.open("a") as file:  # rolls up: the line above is shown again
        file.write("00:01.000 --> 00:02.000\ngood morning\nthe weather today\n\n")
        file.flush()
        await asyncio.sleep(0.2)
        file.write("00:02.000 --> 00:03.000\nthe weather today\nis sunny\n\n")
    await viewer.until(lambda: len(signed(viewer)) >= len(WORDS))
    await viewer.until(lambda: viewer.of_type("idle"))
    assert signed(viewer) == WORDS
    assert server.stage.trouble() == []


async def test_growing_partial_results_are_signed_once_and_corrections_told(server, http, watch):
    viewer = await watch(server)
    async with http.ws_connect("/signers/main/captions/lines") as socket:
        for end in range(1, len(WORDS) + 1):
            await socket.send_json({"text": " ".join(WORDS[:end]).lower(), "final": False})
        await socket.send_json({"text": "good evening the weather today is sunny", "final": True})
        await viewer.until(lambda: len(signed(viewer)) >= len(WORDS))
    async with http.ws_connect("/signers/main/captions/lines") as socket:  # connected again: another caption
        await socket.send_json({"text": "thanks", "final": True})
        await viewer.until(lambda: len(signed(viewer)) > len(WORDS))
    assert signed(viewer) == [*WORDS, "THANKS"]
    told = {"type": "changed", "feed": "posted", "signed": "morning", "now": "evening", "reason": "changed"}
    assert [{k: v for k, v in e.items() if k != "cue"} for e in viewer.of_type("changed")] == [told]
    assert await asked(http, "/signers/main/changes") == viewer.of_type("changed")


async def test_a_numbered_post_that_is_sent_again_is_signed_once(http, server, watch):
    viewer = await watch(server)
    for seq, text in ((1, "one two"), (1, "one two"), (2, "three"), (2, "three")):
        body = f"2026-01-31T12:00:0{seq}.000\n{text}\n"
        async with http.post(f"/signers/main/captions/numbered?seq={seq}", data=body) as response:
            assert response.status == 200
    await viewer.until(lambda: len(signed(viewer)) >= 3 and viewer.of_type("idle"))
    assert signed(viewer) == ["ONE", "TWO", "THREE"]


async def test_a_broken_feed_is_shown_and_hurts_nobody(launch, watch, tmp_path, unused_tcp_port):
    """The file ends in a way that no retry mends; the playlist may come back; both viewers see pictures."""
    broken = f"hls:http://user:secret@127.0.0.1:{unused_tcp_port}/subs.m3u8?key=secret"
    names = [SignerSettings("main"), SignerSettings("other")]
    missing = tmp_path / "missing.vtt"
    server = await launch(signers=tuple(names), **fed(("main", broken), ("main", f"file:{missing}")))
    main, other = await watch(server), await watch(server, "other")
    await until(lambda: len(server.stage.trouble()) == 2)
    async with aiohttp.ClientSession(server.address) as session:
        health = await asked(session, "/healthz")
        stats = await asked(session, "/stats")
    assert health["status"] == "degraded"
    assert "subs.m3u8" in health["trouble"][0]
    assert "missing.vtt" in health["trouble"][1]
    assert "secret" not in str(health) + str(stats), "anybody may read these"
    assert str(tmp_path) not in str(health) + str(stats)
    states = {feed["feed"]: feed["state"] for feed in stats["signers"]["main"]["captions"]}
    assert states == {"hls:subs.m3u8": "open", "file:missing.vtt": "failed"}
    seen = main.frames, other.frames
    await main.until(lambda: main.frames > seen[0] + 10)
    await other.until(lambda: other.frames > seen[1] + 10)


async def test_a_playlist_that_comes_back_is_signed(launch, unused_tcp_port, tmp_path):
    server = await launch(**fed(("main", f"hls:http://127.0.0.1:{unused_tcp_port}/subs.m3u8")))
    await until(lambda: server.stage.trouble())
    (tmp_path / "subs.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.vtt\n#EXT-X-ENDLIST\n"
    )
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n\n")
    app = aiohttp.web.Application()
    app.router.add_static("/", tmp_path)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    try:
        await aiohttp.web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
        stats = server.stage.captions_of("main").stats
        await until(lambda: stats()[0]["state"] == "ended")
        assert stats()[0]["commits"] == 1
        assert server.stage.trouble() == []
    finally:
        await runner.cleanup()


async def test_a_full_signer_makes_the_feed_wait_and_loses_nothing(launch, tmp_path):
    signer = CountingSigner(frames_per_gloss=1)
    cast = light_cast(fps=60)
    object.__setattr__(cast, "signer", lambda settings: signer)
    said: list[str] = []
    say = signer.say
    signer.say = lambda caption: (said.extend(caption.text.split()), say(caption))[1]  # type: ignore[method-assign]
    path = tmp_path / "much.txt"
    words = [f"w{i}" for i in range(60)]
    path.write_text("\n".join(words))
    server = await launch(cast, max_backlog_glosses=10, fps=60, **fed(("main", f"file:{path}")))
    stats = server.stage.captions_of("main").stats
    await until(lambda: stats()[0]["waits_for_signer"])
    assert signer.pending <= 10
    await until(lambda: stats()[0]["state"] == "ended")
    assert said == words
    assert not server.stage.captions_of("main").changes


async def test_what_an_interrupt_drops_is_recorded_and_the_feed_goes_on(server, monkeypatch):
    channel, captions = server.stage.channels["main"], server.stage.captions_of("main")
    say, calls = channel.say, []

    async def dropped(text, final=True, language=None, live=None):
        calls.append(text)
        if len(calls) == 1:
            raise asyncio.CancelledError  # what awaiting a future gives that an interrupt has cancelled
        if len(calls) == 2:
            raise Refusal(413, "too many signs", "send it in pieces")
        return await say(text, final, language, live)

    monkeypatch.setattr(channel, "say", dropped)
    feed = captions.posted()
    await feed.put(Cue("gone"))
    await feed.put(Cue("one two three"))
    await until(lambda: len(calls) == 4)
    assert [(e["now"], e["reason"]) for e in captions.changes] == [("gone", "interrupted")]
    assert [text.split() for text in calls[2:]] == [["one", "two"], ["three"]]


async def test_only_own_and_allowed_pages_may_send(http, server):
    foreign = {"Origin": "http://elsewhere.example"}
    for path in ("text", "numbered?seq=1"):
        async with http.post(f"/signers/main/captions/{path}", data="x", headers=foreign) as response:
            assert response.status == 403
    for path in ("lines", "ebutt-live/s/publish"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"/signers/main/captions/{path}", headers=foreign)
        assert refused.value.status == 403
    own = {"Origin": server.address.rstrip("/")}
    async with http.ws_connect("/signers/main/captions/lines", headers=own) as socket:
        await socket.send_str("hello")
    async with http.post("/signers/nobody/captions/text", data="x") as response:
        assert response.status == 404
        assert "main" in (await response.json())["remedy"]
    async with http.post("/signers/main/captions/text", data="x" * 70_000) as response:
        assert response.status == 413


async def test_a_deleted_signer_closes_its_feeds(launch, tmp_path):
    server = await launch(**fed(("main", f"follow:{tmp_path / 'live.vtt'}")))
    async with aiohttp.ClientSession(server.address) as session:
        socket = await session.ws_connect("/signers/main/captions/lines")
        await socket.send_str("hello")
        feed = server.stage.captions_of("main").posted()
        async with session.delete("/signers/main") as response:
            assert response.status == 204
        assert feed.closed
        assert (await socket.receive(timeout=60)).type is aiohttp.WSMsgType.CLOSE
        await socket.close()
        async with session.get("/signers/main/changes") as response:
            assert response.status == 404


async def test_nothing_is_left_of_feeds_after_the_server(launch, tmp_path, unused_tcp_port):
    before = asyncio.all_tasks()
    sources = (f"follow:{tmp_path / 'a.vtt'}", f"ws://127.0.0.1:{unused_tcp_port}/", f"{tmp_path / 'b.srt'}")
    server = await launch(**fed(*(("main", source) for source in sources)))
    async with aiohttp.ClientSession(server.address) as session:
        socket = await session.ws_connect("/signers/main/captions/lines")
        await until(lambda: server.stage.trouble())
        await server.close()
        await socket.close()
    await asyncio.sleep(0.05)
    left = [task for task in asyncio.all_tasks() - before if "caption" in task.get_name()]
    assert left == []


async def test_a_source_without_meaning_is_told_at_start(launch):
    with pytest.raises(StartupError, match=r"main=gopher://x.*follow:PATH"):
        await launch(**fed(("main", "gopher://x")))


def test_the_command_line():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = ["--captions", "main=hls:http://x/y.m3u8?a=b", "--captions", "main=-", "--caption-hold-ms", "500"]
    captions = configuration(parser.parse_args([*given, "--caption-agreement", "3"])).captions
    assert captions == CaptionSettings((("main", "hls:http://x/y.m3u8?a=b"), ("main", "-")), 500, 3)


@pytest.mark.parametrize(
    ("feeds", "hint"),
    [
        ((("main", ""),), "main=follow:live.vtt"),
        ((("", "x.vtt"),), "signer"),
        ((("other", "x.vtt"),), "--signer other"),
        ((("main", "-"), ("main", "-")), "twice"),
    ],
)
def test_settings_that_cannot_be(feeds, hint):
    with pytest.raises(ValueError, match=hint):
        Config(captions=CaptionSettings(feeds))


def test_labels_name_no_folders_users_or_keys():
    assert label("follow:/srv/news/live.vtt") == "follow:live.vtt"
    assert label("hls:http://u:p@host/a/subs.m3u8?k=v") == "hls:subs.m3u8"
    assert label("wss://u:p@host:9/") == "wss:host:9"
    assert label("-") == "standard input"


async def test_feeds_of_the_same_file_name_are_told_apart(launch, tmp_path):
    paths = [tmp_path / folder / "live.vtt" for folder in ("one", "two")]
    for path in paths:
        path.parent.mkdir()
        path.write_text("WEBVTT\n\n")
    server = await launch(**fed(*(("main", f"follow:{path}") for path in paths)))
    async with aiohttp.ClientSession(server.address) as http:
        feeds = (await asked(http, "/stats"))["signers"]["main"]["captions"]
    assert [feed["feed"] for feed in feeds] == ["follow:live.vtt", "follow:live.vtt (2)"]
