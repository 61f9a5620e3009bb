"""The whole way on real recordings and the real avatar: text posted, a sign seen by a real peer."""

import threading

import numpy as np
import pytest

from engine.body import Body
from stream.cast import default_cast
from stream.config import Config, SignerSettings
from stream.server import Server
from tests.stream.viewer import Viewer
from tests.stream.waiting import until


@pytest.fixture
async def server():
    settings = (SignerSettings("main"), SignerSettings("other", language="gsg", background="transparent"))
    config = Config(port=0, width=256, height=256, signers=settings)
    server = Server(config, default_cast(config))
    await server.start()
    yield server
    await server.close()


async def test_fingerspelling_reaches_a_peer(server):
    viewer = await Viewer(server.address, keep_pictures=True, channels=("events", "motion")).connect()
    other = await Viewer(server.address, signer="other", keep_pictures=True).connect()
    try:
        await viewer.until(lambda: viewer.frames >= 10 and viewer.of_type("hello"), 20)
        said = await server.stage.channels["main"].say("Hi")
        assert [g["label"] for g in said["glosses"]] == ["H", "I"]
        await viewer.until(lambda: viewer.of_type("idle"), 30)
        await other.until(lambda: other.frames >= 5, 20)
    finally:
        await viewer.close()
        await other.close()
    told = viewer.of_type("gloss")
    assert [g["label"] for g in told] == ["H", "I"]
    assert viewer.of_type("latency")[0]["total_ms"] > 0
    assert len(viewer.motion) >= 10
    luma = {pts: picture[:256].astype(int) for pts, picture in viewer.pictures}
    assert all(viewer.shown_s(g["rtp"]) for g in told), "the pictures that the events name were decoded"
    rest = luma[viewer.pictures[3][0]]
    assert max(np.abs(picture - rest).mean() for picture in luma.values()) > 1.0, "the signer moves"
    colour_and_alpha = other.pictures[-1][1]
    assert colour_and_alpha.shape == (768, 256)
    alpha = colour_and_alpha[256:512]
    assert alpha.min() < 40
    assert alpha.max() > 200


async def test_unseen_signing_is_told_without_its_motion_and_seen_by_who_comes_in_its_midst(
    server, monkeypatch
):
    channel, made, told = server.stage.channels["main"], [], []
    make = Body.frame
    monkeypatch.setattr(Body, "frame", lambda *args, **named: made.append(1) or make(*args, **named))
    channel.listeners.append(told.append)
    await channel.say("Hi there")
    await until(lambda: sum(m["type"] == "gloss" for m in told) >= 2, 20)
    assert not made, "the other signer dozes, and nobody sees this one"
    viewer = await Viewer(server.address, channels=("events", "motion")).connect()
    try:
        await viewer.until(lambda: viewer.of_type("idle"), 30)
        assert made
        assert len(viewer.motion) >= 10
    finally:
        await viewer.close()
    assert [m["label"] for m in told if m["type"] == "gloss"] == list("HITHERE")


def test_signers_share_their_clips_and_the_lexicon_ends_with_its_cast():
    def lexicon_threads() -> int:
        return sum(thread.name.startswith("lexicon") for thread in threading.enumerate())

    before = lexicon_threads()
    cast = default_cast(Config())
    one, two = (cast.signer(SignerSettings(name)) for name in ("one", "two"))
    assert one.choreography is two.choreography
    cast.warm("ase")
    assert lexicon_threads() == before + 1
    cast.close()
    assert lexicon_threads() == before
