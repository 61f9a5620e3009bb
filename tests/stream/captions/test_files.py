"""WebVTT and SRT: however the text is cut, finished or growing, the same cues; ffmpeg reads the same."""

# ruff: noqa: ASYNC221, ASYNC240 - small files and one ffmpeg, with nothing else on the loop

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.captions import CaptionError, Feed, Limits, open_captions
from stream.captions.cue_files import CueReader
from tests.stream.captions.conftest import everything, take, texts

SRT = (
    "1\n00:00:00,500 --> 00:00:03,000\nHeavy rain\nin the south\n\n"
    "2\r\n00:00:03,000 --> 00:00:08,500\r\nSnow & <i>wind</i>, 3 < 5 and 6 > 4\r\n\r\n"
    "00:00:09,000 --> 00:00:11,000\nSun {\\an8}tomorrow\n\n\n"
    "4\nno time at all\n\n"
    "5\n01:00:09,000 --> 01:00:11,000\nÄäh … übermorgen"
)
SRT_TEXTS = [
    "Heavy rain\nin the south",
    "Snow & wind, 3 < 5 and 6 > 4",
    "Sun tomorrow",
    "Ääh … übermorgen",
]
VTT = (
    "\ufeffWEBVTT - of today\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\n"
    "STYLE\n::cue { color: red }\n\n"
    "NOTE nothing\n\nfirst\n00:00.500 --> 00:03.000 align:left\n<v Anna>Rain &amp; <c.loud>wind</c>\n\n"
    "00:03.000 --> 00:04.000\nand <00:03.500>snow\n"
)
LIMITS = Limits(poll_s=0.01)


@pytest.fixture
def growing(tmp_path: Path) -> Path:
    return tmp_path / "live.srt"


@given(st.lists(st.integers(0, len(SRT)), max_size=30))
def test_srt_gives_the_same_cues_however_it_is_cut(cuts: list[int]) -> None:
    reader = CueReader("srt")
    edges = [0, *sorted(cuts), len(SRT)]
    cues = [c for a, b in pairwise(edges) for c in reader.push(SRT[a:b])] + reader.finish()
    assert [cue.text for cue in cues] == SRT_TEXTS
    assert cues[0].start_ns == 500_000_000
    assert cues[-1].end_ns == 3_611_000_000_000


@given(st.lists(st.integers(0, len(VTT)), max_size=30))
def test_webvtt_gives_the_same_cues_however_it_is_cut(cuts: list[int]) -> None:
    reader = CueReader("vtt")
    edges = [0, *sorted(cuts), len(VTT)]
    cues = [c for a, b in pairwise(edges) for c in reader.push(VTT[a:b])] + reader.finish()
    assert [cue.text for cue in cues] == ["Rain & wind", "and snow"]
    assert reader.metadata == ["X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000"]


async def test_ffmpeg_s_conversion_says_the_same(tmp_path: Path) -> None:
    srt, vtt, back = tmp_path / "a.srt", tmp_path / "a.vtt", tmp_path / "b.srt"
    srt.write_text(SRT.replace("3 < 5 and 6 > 4", "both").replace("4\nno time at all\n\n", ""), "utf-8")
    for source, target in ((srt, vtt), (vtt, back)):
        subprocess.run(["ffmpeg", "-loglevel", "error", "-i", source, target], check=True, timeout=60)
    first, second, third = [await everything(open_captions(str(p))) for p in (srt, vtt, back)]
    assert texts(first) == texts(second) == texts(third)
    assert [(p.start_ns, p.end_ns) for p in first] == [(p.start_ns, p.end_ns) for p in second]


async def test_cues_that_begin_together_are_two_and_a_rewritten_file_repeats_nothing(growing: Path) -> None:
    both = "1\n00:00:01,000 --> 00:00:02,000\nAnna\n\n2\n00:00:01,000 --> 00:00:02,000\nBen\n\n"
    growing.write_text(both, "utf-8")
    feed = open_captions(f"follow:{growing}", limits=LIMITS)
    assert texts(await take(feed, 2)) == ["Anna", "Ben"]
    written = growing.with_suffix(".new")
    written.write_text(both.replace("Ben", "Bert") + "3\n00:00:03,000 --> 00:00:04,000\nCarl\n\n", "utf-8")
    os.replace(written, growing)
    revised, new = await take(feed, 2)
    await feed.aclose()
    assert (revised.text, revised.revises) == ("Bert", 2)
    assert (new.text, new.revises) == ("Carl", None)


async def test_a_growing_file_is_followed_through_truncation_rotation_and_absence(growing: Path) -> None:
    feed = open_captions(f"follow:{growing}", limits=LIMITS)
    await asyncio.sleep(0.05)  # it does not exist yet

    def cue(second: int, text: str) -> str:
        return f"{second}\n00:00:{second:02},000 --> 00:00:{second + 1:02},000\n{text}\n\n"

    with growing.open("w", encoding="utf-8") as file:
        for n in range(3):
            for half in (cue(n, f"line {n} é")[:20], cue(n, f"line {n} é")[20:]):
                file.write(half)
                file.flush()
                await asyncio.sleep(0.02)
    assert texts(await take(feed, 3)) == ["line 0 é", "line 1 é", "line 2 é"]
    growing.write_text(cue(4, "cut"), "utf-8")
    assert texts(await take(feed, 1)) == ["cut"]
    growing.rename(growing.with_suffix(".1"))
    await asyncio.sleep(0.05)
    growing.write_text(cue(5, "rotated"), "utf-8")
    assert texts(await take(feed, 1)) == ["rotated"]
    await feed.aclose()


async def test_a_file_is_replayed_at_its_own_times(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text(SRT.split("4\nno")[0], "utf-8")
    pieces = await everything(open_captions(str(path), speed=20))
    assert (pieces[2].pts_ns - pieces[0].pts_ns) / 1e9 == pytest.approx(8.5 / 20, abs=0.15)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nothing.srt", "cannot be read"),
        ("a.docx", ".docx"),
        ("follow:a.ttml", "cannot grow"),
        ("ftp://host/a.vtt", "cannot open"),
        ("file:", "cannot open"),
    ],
)
async def test_what_cannot_be_opened_says_what_to_do(name: str, says: str) -> None:
    with pytest.raises(CaptionError, match=says):
        await everything(open_captions(name))


async def test_what_is_not_webvtt_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.vtt"
    path.write_text(SRT, "utf-8")
    with pytest.raises(CaptionError, match="not WebVTT"):
        await everything(open_captions(str(path)))


async def test_a_reader_that_stops_leaves_nothing_and_a_full_feed_waits(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a line\n" * 5000, "utf-8")
    feed = open_captions(str(path), limits=Limits(queue=8))
    await take(feed, 10)
    await asyncio.sleep(0.05)
    assert isinstance(feed, Feed)
    assert feed.waiting == 8
    await feed.aclose()
    assert feed.waiting == 0


async def test_no_cue_is_too_long_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("word " * 3000 + "\n" + "x" * 9000, "utf-8")
    pieces = await everything(open_captions(str(path)))
    assert max(len(piece.text) for piece in pieces) <= 4000
    assert " ".join(texts(pieces)).split()[:3000] == ["word"] * 3000
    assert sum(text.count("x") for text in texts(pieces)) == 9000


async def test_standard_input_is_signed_line_by_line_and_may_end_at_any_time() -> None:
    """A real process, whose standard input stays open; it must end all the same."""
    program = (
        "import asyncio\nfrom stream.captions import open_captions\n"
        "async def main():\n"
        "    feed = open_captions('-')\n"
        "    async for piece in feed:\n"
        "        print(piece.text, flush=True)\n"
        "        if piece.text == 'enough': break\n"
        "    await feed.aclose()\n"
        "asyncio.run(main())\n"
    )
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdin=pipe, stdout=pipe)
    assert process.stdin
    assert process.stdout
    for line in ("first", "enough"):
        process.stdin.write(f"{line}\n".encode())
        assert (await asyncio.wait_for(process.stdout.readline(), 60)).decode() == f"{line}\n"
    assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_a_named_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.srt")
    with pytest.raises(CaptionError, match="standard input"):
        await everything(open_captions(str(tmp_path / "a.srt")))
