"""HLS subtitles as ffmpeg writes them, and as live encoders do: each cue once, on one time axis."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from aiohttp import web

from stream.captions import CaptionError, Limits, open_captions
from stream.captions.hls_time import MediaAxis
from stream.captions.timed_text import Cue
from tests.stream.captions.conftest import Serve, everything, take, texts
from tests.stream.captions.test_files import SRT, SRT_TEXTS

LIMITS = Limits(poll_s=0.02, longest_poll_s=0.02, backoff_s=0.1)
VIDEO = "-f lavfi -i color=black:s=16x16:r=5:d=12"
OPTIONS = "-map 0:v -map 1:s -c:v libx264 -g 10 -c:s webvtt -f hls -hls_time 4 -hls_list_size 0"
MASTER = "-var_stream_map v:0,s:0,sgroup:subs -master_pl_name master.m3u8 v%v.m3u8"
SEGMENTS = "-c:s webvtt -f segment -segment_list subs.m3u8 -segment_format webvtt -segment_time 4 seg%03d.vtt"


def made_by_ffmpeg(folder: Path) -> None:
    (folder / "a.srt").write_text(SRT.replace("3 < 5 and 6 > 4", "both").split("4\nno")[0], "utf-8")
    for command in (f"-i a.srt {SEGMENTS}", f"{VIDEO} -i a.srt {OPTIONS} {MASTER}"):
        subprocess.run(["ffmpeg", "-loglevel", "error", *command.split()], cwd=folder, check=True, timeout=60)


async def test_segments_made_by_ffmpeg(tmp_path: Path, serve: Serve) -> None:
    made_by_ffmpeg(tmp_path)
    address = await serve(web.static("/", tmp_path))
    expected = [text.replace("3 < 5 and 6 > 4", "both") for text in SRT_TEXTS[:3]]
    for name in ("subs.m3u8", "master.m3u8"):  # a media playlist, and a master playlist that names one
        pieces = await everything(open_captions(f"hls:{address}/{name}", limits=LIMITS))
        assert texts(pieces) == expected
        assert (pieces[2].start_ns or 0) - (pieces[0].start_ns or 0) == 8_500_000_000


class LivePlaylist:
    """A live window of segments that moves on with every request, and fails now and then."""

    def __init__(self, segments: list[str], window: int = 2) -> None:
        self.segments, self.window, self.asked, self.failures = segments, window, 0, 0

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/live.m3u8", self.playlist), web.get("/{n}.vtt", self.segment)]

    async def playlist(self, _request: web.Request) -> web.Response:
        self.asked += 1
        if self.asked % 4 == 3:
            self.failures += 1
            raise web.HTTPServiceUnavailable
        last = min(self.asked, len(self.segments))
        first = max(0, last - self.window)
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
        for n in range(first, last):
            lines += ["#EXT-X-DISCONTINUITY"] * ("JUMP" in self.segments[n]) + ["#EXTINF:1,", f"{n}.vtt"]
        return web.Response(text="\n".join(lines + ["#EXT-X-ENDLIST"] * (last == len(self.segments))))

    async def segment(self, request: web.Request) -> web.Response:
        return web.Response(text=self.segments[int(request.match_info["n"])])


def segment(ticks: int, *cues: tuple[int, int, str], jump: bool = False) -> str:
    header = f"WEBVTT{' JUMP' * jump}\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:{ticks}\n\n"
    return header + "".join(f"00:{a:02}.000 --> 00:{b:02}.000\n{text}\n\n" for a, b, text in cues)


async def test_a_live_window_with_overlaps_a_clock_that_turns_over_and_discontinuities(serve: Serve) -> None:
    near_end = (1 << 33) - 90_000  # the clock turns over one second later
    live = LivePlaylist(
        [
            segment(near_end, (0, 2, "one")),
            segment(0, (0, 1, "one"), (1, 2, "two")),  # nothing of "one" is left but its end: said otherwise
            segment(near_end, (0, 2, "one"), (3, 4, "three")),  # the very cue again
            "WEBVTT\n\n",
            "not a segment at all",
            segment(900_000_000, (0, 1, "four"), jump=True),
            segment(900_090_000, (0, 1, "five")),
        ]
    )
    address = await serve(*live.routes())
    pieces = await everything(open_captions(f"hls:{address}/live.m3u8", limits=LIMITS))
    assert texts(pieces) == ["one", "one", "two", "three", "four", "five"]
    assert live.failures
    starts = [(piece.start_ns or 0) / 1e9 for piece in pieces]
    assert [round(s - starts[0], 3) for s in starts] == [0, 1, 2, 3, 4, 5]


async def test_a_window_that_moved_on_too_far_goes_on_from_there(serve: Serve) -> None:
    asked = 0

    async def playlist(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        first = 0 if asked == 1 else 50
        end = "#EXT-X-ENDLIST" if asked > 1 else ""
        return web.Response(text=f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:{first}\n#EXTINF:1,\n{first}.vtt\n{end}\n")

    async def piece(request: web.Request) -> web.Response:
        second = int(request.match_info["n"])
        return web.Response(text=segment(0, (second, second + 1, f"at {second}")))

    address = await serve(web.get("/live.m3u8", playlist), web.get("/{n}.vtt", piece))
    assert texts(await everything(open_captions(f"{address}/live.m3u8", limits=LIMITS))) == ["at 0", "at 50"]


@pytest.mark.parametrize(
    ("body", "says"), [("<html>", "not an HLS playlist"), ("#EXTM3U\n" + "x" * 2_000_000, "bytes")]
)
async def test_a_bad_playlist_is_refused(serve: Serve, body: str, says: str) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=body)

    address = await serve(web.get("/a.m3u8", answer))
    with pytest.raises(CaptionError, match=says):
        await everything(open_captions(f"hls:{address}/a.m3u8"))
    with pytest.raises(CaptionError, match="404"):
        await everything(open_captions(f"hls:{address}/b.m3u8"))
    with pytest.raises(CaptionError, match="cannot be fetched"):
        await everything(open_captions("hls:http://127.0.0.1:1/b.m3u8"))
    with pytest.raises(CaptionError, match="only http"):
        await everything(open_captions("hls:file:///etc/passwd"))


async def test_segments_elsewhere_than_http_are_not_fetched(serve: Serve) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")

    address = await serve(web.get("/a.m3u8", answer))
    assert await everything(open_captions(f"hls:{address}/a.m3u8", limits=LIMITS)) == []


async def test_closing_in_the_middle_of_waiting(serve: Serve) -> None:
    live = LivePlaylist([segment(0, (n, n + 1, f"cue {n}")) for n in range(500)])
    address = await serve(*live.routes())
    feed = open_captions(f"hls:{address}/live.m3u8", limits=LIMITS)
    assert texts(await take(feed, 3)) == ["cue 0", "cue 1", "cue 2"]
    await feed.aclose()


def test_small_steps_back_are_no_jump() -> None:
    axis = MediaAxis()
    assert axis.place([Cue("a", start_ns=10**10, end_ns=2 * 10**10)], [])[0].start_ns == 10**10
    axis.restart()
    assert axis.place([Cue("b", start_ns=19 * 10**9, end_ns=20 * 10**9)], [])[0].start_ns == 19 * 10**9
