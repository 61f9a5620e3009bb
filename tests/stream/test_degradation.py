"""Renderers that are slow, dead, hung or gone: the picture goes on, the failure is counted, and it heals."""

import asyncio
import dataclasses
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable

import pytest

from renderer.base import Policy
from stream import lanes
from stream.rendering import RenderThreads
from stream.rung import Rung
from stream.shot import Shot
from tests.stream.faults import Faults
from tests.stream.stand_ins import BarRenderer, light_cast, motion_frame, read_bars
from tests.stream.viewer import Viewer

PERIOD_S = 0.04
QUICK = Policy(hung_s=1.0, retry_s=0.05, trial_pictures=2)
ABOVE = Policy(late_periods=5.0, slow_calls=3, hung_s=5.0, retry_s=0.1, trial_pictures=2)


class Studio:
    """A signer that moves 25 times a second on a thread of its own, and the pictures that come of it."""

    def __init__(self, fallback: bool = False) -> None:
        self.faults, self.below = Faults(), Faults()
        self.shots: list[Shot] = []
        self.seen: list[int] = []
        self.threads = RenderThreads(1 / PERIOD_S, spare=QUICK, preferred=ABOVE)
        self._make = self.faults.wrap(lambda _: BarRenderer())
        self._fallback = self.below.wrap(lambda _: BarRenderer()) if fallback else None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._move, daemon=True)

    async def open(self) -> "Studio":
        below = self._fallback
        await self.threads.add(
            "main", lambda: self._make(None), self._shown, (lambda: below(None)) if below else None
        )
        self._thread.start()
        return self

    def _shown(self, shot: Shot) -> None:
        self.shots.append(shot)
        self.seen.append(read_bars(shot.i420[:64]))

    def _move(self) -> None:
        due_s, seq = time.monotonic(), 0
        while not self._stop.is_set():
            seq += 1
            self.threads.submit("main", motion_frame(seq, round(due_s * 1e9)))
            due_s += PERIOD_S
            time.sleep(max(0.0, due_s - time.monotonic()))

    def stats(self) -> dict:
        return self.threads.stats("main")

    def failures(self, kind: str) -> int:
        return self.stats()["render_failures_by_kind"][kind]

    async def until(self, condition: Callable[[], object], timeout_s: float = 60.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 - any condition will do
                await asyncio.sleep(0.01)

    async def settled(self) -> None:
        """Both rungs stand ready, and pictures flow."""
        await self.until(lambda: self.stats()["renderers"] == ["fit", "fit"])
        await self.moved(3)

    async def moved(self, pictures: int) -> None:
        """So many more pictures of new motion."""
        newest = max(self.seen, default=0)
        await self.until(lambda: max(self.seen, default=0) >= newest + pictures)

    async def close(self) -> None:
        self._stop.set()
        self.faults.release()
        self.below.release()
        self._thread.join(30)
        await self.threads.close()


@pytest.fixture
async def studio() -> AsyncIterator[Studio]:
    made = await Studio().open()
    yield made
    await made.close()
    assert [s.pts_ns for s in made.shots] == sorted({s.pts_ns for s in made.shots}), "one time each"
    assert made.seen == sorted(made.seen), "no picture is older than one before it"


@pytest.fixture
async def two_kinds() -> AsyncIterator[Studio]:
    made = await Studio(fallback=True).open()
    yield made
    await made.close()
    assert made.seen == sorted(made.seen)


@pytest.mark.parametrize(("how", "kind"), [("kill", "dead"), ("lose", "lost")])
async def test_one_that_dies_misses_no_picture_and_is_rebuilt(studio, how, kind):
    """The spare draws the very motion that the first one could not."""
    await studio.settled()
    first = studio.faults.drawing()
    getattr(studio.faults, how)()
    await studio.until(lambda: studio.failures(kind) == 1)
    await studio.until(lambda: studio.stats()["renderers_healed"] == 1)
    await studio.settled()
    assert first.gone
    assert studio.faults.drawing() is not first
    assert studio.stats()["rendered_below"] > 0
    assert studio.failures("hung") == 0


async def test_killed_again_and_again_every_dead_one_is_closed(studio):
    await studio.settled()
    kills = 4
    for number in range(kills):
        studio.faults.kill()
        await studio.until(lambda n=number: studio.failures("dead") == n + 1)
        await studio.settled()
    made, closed = studio.faults.made, studio.faults.closed
    assert made - closed == 2, "the first and the spare; every dead one was closed"


async def test_one_that_hangs_is_abandoned_with_its_thread(studio):
    await studio.settled()
    hanging = studio.faults.drawing()
    studio.faults.hang()
    await studio.until(lambda: studio.failures("hung") == 1)
    assert studio.threads.threads() == {"abandoned": 1, "hanging": 1}
    await studio.settled()
    assert not hanging.gone, "it cannot be closed while it hangs"
    studio.faults.release()
    await studio.until(lambda: hanging.gone)
    await studio.until(lambda: studio.threads.threads() == {"abandoned": 1, "hanging": 0})
    await studio.moved(5)


async def test_while_nobody_can_draw_the_last_picture_is_sent_again(studio):
    """One picture for each motion, and healing by itself when drawing is possible again."""
    await studio.settled()
    studio.faults.unopenable = True
    studio.faults.kill(everybody=True)
    await studio.until(lambda: studio.threads.failing("main"))
    repeated, newest = studio.stats()["repeated"], studio.seen[-1]
    await studio.until(lambda: studio.stats()["repeated"] >= repeated + 10)
    assert studio.seen[-1] == newest, "nothing new can be shown"
    times_ms = [shot.pts_ns / 1e6 for shot in studio.shots[-10:]]
    assert max(b - a for a, b in itertools.pairwise(times_ms)) == pytest.approx(40, abs=1)
    await studio.until(lambda: studio.failures("unopened") >= 2)
    studio.faults.unopenable = False
    await studio.settled()
    assert studio.stats()["drawing"] == 0


async def test_threads_that_hang_are_bounded(studio, monkeypatch):
    """Every renderer hangs for ever: so many threads are given up and no more, and pictures still come."""
    monkeypatch.setattr(lanes, "MAX_ABANDONED", 3)
    await studio.settled()
    for _ in range(3):
        if studio.threads.threads()["hanging"] < 3:
            studio.faults.hang(everybody=True)
            before = studio.threads.threads()["abandoned"]
            await studio.until(lambda b=before: studio.threads.threads()["abandoned"] > b)
            await asyncio.sleep(0.2)
    assert studio.threads.threads()["hanging"] <= 4, "both lanes may hang in the same moment"
    count = len(studio.shots)
    await studio.until(lambda: len(studio.shots) >= count + 10)
    studio.faults.release()
    await studio.until(lambda: studio.threads.threads()["hanging"] == 0)


async def test_a_slow_one_gives_way_to_the_quicker_below_and_comes_back(two_kinds):
    """At two pictures a second the one below draws; new pictures go on, and it heals after a trial."""
    studio = two_kinds
    await studio.settled()
    await studio.until(lambda: studio.faults.drawn and studio.stats()["drawing"] == 0)
    studio.faults.slow_s = 0.5
    await studio.until(lambda: studio.failures("slow") >= 1)
    assert studio.below.drawn > 10, "it was stood in for from the first late picture on"
    await studio.moved(5)
    assert studio.stats()["drawing"] == 1
    studio.faults.slow_s = 0.0
    await studio.until(lambda: studio.stats()["drawing"] == 0)
    assert studio.stats()["renderers_healed"] >= 1
    assert studio.failures("hung") == studio.failures("dead") == 0


async def test_without_its_device_the_one_below_draws_from_the_start():
    studio = Studio(fallback=True)
    studio.faults.unopenable = True
    await studio.open()
    try:
        await studio.moved(3)
        assert studio.stats()["drawing"] == 1
        studio.faults.unopenable = False
        await studio.until(lambda: studio.stats()["drawing"] == 0)
    finally:
        await studio.close()


async def test_a_spare_cannot_stand_in_for_a_missing_device():
    studio = Studio()
    studio.faults.unopenable = True
    with pytest.raises(RuntimeError, match="no device"):
        await studio.open()
    await studio.threads.close()


def test_the_pause_before_a_retry_doubles_and_is_forgotten():
    rung = Rung(0, BarRenderer, Policy(retry_s=1, retry_most_s=4, steady_s=10))
    pauses, now = [], 100.0
    for _ in range(4):
        rung.failed("dead", now)
        pauses.append(rung.retry_at_s - now)
        now += 5
    assert pauses == [1, 2, 4, 4]
    rung.failed("dead", now + 20)
    assert rung.retry_at_s - (now + 20) == 1


async def test_other_signers_go_on_and_nothing_is_left(launch):
    """A renderer that hangs in one signer's picture: another's viewer sees new motion all along. Captions
    that arrive meanwhile are signed."""
    faults, policy = Faults(), dataclasses.replace(QUICK, hung_s=0.3)
    cast = light_cast()
    cast = dataclasses.replace(cast, renderer=faults.wrap(cast.renderer))
    from stream.config import SignerSettings

    server = await launch(cast, signers=(SignerSettings("anna"), SignerSettings("ben")))
    server.stage.pipeline._render._spare = policy
    anna, ben = [
        await Viewer(server.address, signer=name, keep_pictures=True).connect() for name in ("anna", "ben")
    ]

    def newest(viewer: Viewer) -> int:
        return read_bars(viewer.pictures[-1][1][:64])

    try:
        for viewer in (anna, ben):
            await viewer.until(lambda v=viewer: v.frames >= 5, 30)
        await ben.until(lambda: server.stage.pipeline.stats_of("anna")["renderers"] == ["fit", "fit"], 30)
        faults.hang()
        said = await server.stage.channels["anna"].say("HELLO WORLD")
        await ben.until(lambda: server.stage.pipeline.stats()["drawing_threads"]["abandoned"] == 1, 30)
        said = [said, await server.stage.channels["anna"].say("AGAIN")]
        shown = newest(anna), newest(ben)
        await anna.until(lambda: newest(anna) > shown[0] + 5 and newest(ben) > shown[1] + 5, 30)
        labels = [g["label"] for answer in said for g in answer["glosses"]]
        await anna.until(lambda: [g["label"] for g in anna.of_type("gloss")] == labels, 30)
    finally:
        faults.release()
        for viewer in (anna, ben):
            await viewer.close()
    await server.close()
    names = [t.name for t in threading.enumerate() if t.name.startswith("render")]
    assert not names, "every drawing thread has ended"
