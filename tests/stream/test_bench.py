"""`handstream bench`: its arithmetic, its page, and one run against real peers with light stand-ins."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from stream.bench import chaos, latency, soak, stamp, target
from stream.bench.outcome import Outcome, Plot, Series, percentiles, slope, where
from stream.bench.page import write_page
from stream.bench.peers import AiortcPeer, Sample
from tests.stream.stand_ins import light_cast, motion_frame

WAIT_S = 60


@pytest.mark.parametrize("entrance", latency.ENTRANCES)
async def test_every_text_is_accounted_for_at_a_real_peer(launch, entrance):
    server = await launch(target.under_test(light_cast(), target.Faults()))
    enter = latency.ENTRANCES[entrance]
    accounts, ages, unread = await latency.measure(server.address, 3, "H264", "aiortc", enter)
    assert len(accounts) == 3
    assert unread == 0
    assert len(ages) > 5
    for account in accounts:
        assert set(latency.STAGES) < set(account)
        assert account["total"] > 0
        assert abs(account["gap"]) < latency.MOST_GAP_MS
        assert sum(account[stage] for stage in latency.STAGES) == pytest.approx(
            account["total"] - account["gap"]
        )


async def test_a_killed_renderer_is_seen_in_the_stamps_and_the_stream_goes_on(launch):
    faults = target.Faults()
    server = await launch(target.under_test(light_cast(), faults))
    peer = await AiortcPeer(server.address).open()
    try:
        await peer.viewer.until(lambda: len(peer.samples) > 5, WAIT_S)
        before = len(peer.samples)
        faults.order("raise")
        faults.order("encoder")
        await peer.viewer.until(lambda: len(peer.samples) > before + 25, WAIT_S)
        newest = [sample.stamp.seq for sample in peer.samples[-5:]]
        assert len(set(newest)) > 1  # new pictures, not the last one again and again
    finally:
        await peer.close()
    with pytest.raises(ValueError, match="expected raise"):
        faults.order("explode")


def test_the_stamped_renderer_changes_nothing_but_the_strip():
    plain = light_cast(width=512, height=256).renderer(_settings())
    stamped = stamp.Stamped(light_cast(width=512, height=256).renderer(_settings()))
    for renderer in (plain, stamped):
        renderer.open()
    motion = motion_frame(9, 10**9, 4)
    one, two = plain.render(motion), stamped.render(motion)
    assert np.array_equal(one.i420[8:256], two.i420[8:256])
    read = stamp.read(two.i420[:256], two.pts_ns + 10**15)
    assert read is not None
    assert (read.gloss, read.seq) == (4, 9)


def _settings():
    from stream.config import SignerSettings

    return SignerSettings("main")


def sample(seq: int, at_ms: int, drawn_ms: int | None = None) -> Sample:
    drawn_ns = (at_ms if drawn_ms is None else drawn_ms) * 10**6
    return Sample(stamp.Stamp(drawn_ns, -1, seq % 4096), at_ms * 10**6, at_ms * 10**6)


def test_frames_without_a_new_picture_are_counted():
    steady = [sample(4090 + i, 40 * i) for i in range(20)]  # across the end of the numbers
    assert chaos.longest_run(steady) == 0
    assert chaos.longest_run(steady[:5] + steady[6:]) == 1
    again = [*steady[:5], sample(4094, 200), sample(4094, 240), *steady[7:]]
    assert chaos.longest_run(again) == 2
    assert chaos.next_new_ms([sample(1, 100, 60), sample(1, 140, 60), sample(2, 180)], 70 * 10**6) == 110


def test_slopes_and_percentiles():
    minutes = [i / 10 for i in range(100)]
    assert slope(minutes, [3 + 2 * m for m in minutes]) == pytest.approx(2)
    assert slope([1.0], [1.0]) == 0
    assert percentiles([]) == {}
    assert percentiles([1.0] * 99 + [100.0])["p50"] == 1


def test_a_soak_that_grows_is_told_as_missed():
    args = type("Args", (), {"minutes": 10.0, "connects": 0})
    diary = soak.Diary(
        memory=[(s, 300 + s / 6) for s in range(0, 600, 10)], delays=[(s, 50 + s / 30) for s in range(600)]
    )
    diary.missed, diary.missed_before = [0, 2], [0, 0]
    same = {"tasks": 3.0, "threads": 5.0, "files": 20.0}
    outcome = soak.told(args, diary, same, same, same | {"threads": 6.0}, 0.0, 0)
    assert [reached for _, reached in outcome.reached.values()] == [False, False, False, True, False]
    assert "memory" in list(outcome.reached)[-1]
    args.minutes = 2.0
    brief = soak.told(args, diary, same, same, same, 0.0, 0)
    assert not any("memory" in goal for goal in brief.reached), "two minutes are all warming up"
    assert outcome.figures["delay_ms_per_minute"] == pytest.approx(2)


def test_the_page_is_one_file_that_asks_nothing_of_the_network(tmp_path):
    plots = [
        Plot("Lines & <odd> names", "x", "y", [Series("a", [1, 2], [3, 4])], limit=3.5),
        Plot("Share", "ms", "share", [Series("b", [1, 2, 3], [])], kind="cdf"),
        Plot("Bars", "", "ms", [Series("c", [0, 1], [5, 6])], kind="bars", labels=["one", "two"]),
        Plot("Points", "x", "y", [Series("d", [], [])], kind="points", note="nothing"),
    ]
    outcome = Outcome("x", {"p95": 3.0}, [{"stage": "<b>", "p95": 1.234}], plots, {"goal": ("3 ms", False)})
    write_page(tmp_path / "page.html", outcome, where())
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 4
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    fetched = re.findall(r"""(?:src|href)=["'](?!#)([^"']+)""", page)
    assert fetched == []
    assert "missed: goal" in page


def test_the_command_names_every_benchmark_and_its_options():
    done = subprocess.run(
        [sys.executable, "-m", "stream.cli", "bench", "--help"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    for name in ("latency", "captions", "viewers", "soak", "chaos"):
        assert name in done.stdout


def test_device_and_commit_are_json():
    assert set(json.loads(json.dumps(where()))) == {"device", "commit", "date"}
