"""Bad input, item by item, against the real thing: `handstream` as a process, a real viewer watching.

What an item asks and where it is tested (here, unless a path is given):

    empty, emoji-only, right-to-left,   test_odd_text_is_answered_and_the_stream_goes_on,
      control characters                  stream/test_server.py::test_odd_text_is_taken_and_the_stream_goes_on
    1 MB                                test_a_megabyte_is_refused_with_a_remedy,
                                          engine/test_glossing.py::test_a_megabyte_takes_linear_time
    unknown language                    test_an_unknown_language_lists_those_there_are
    letters without a recording         test_odd_text_is_answered_and_the_stream_goes_on
    corrupt or truncated .pose,         test_a_damaged_lexicon_signs_what_it_can,
      lexicon with a missing file         test_check_names_each_damage,
                                          engine/test_lexicon.py::test_a_corrupt_recording_is_passed_over,
                                          engine/test_retarget_reading.py::test_every_truncation_...
    full cache disk                     test_a_full_cache_disk_is_said_and_done_without,
                                          engine/test_lexicon_motions.py::test_a_full_disk_...
    full disk at --out                  test_a_full_disk_leaves_no_half_written_file
    no GL                               test_without_gl_each_command_says_what_is_missing,
                                          renderer/test_avatar_lifetime.py::test_no_gl_names_the_packages
    a port in use                       test_a_port_in_use_ends_at_once
    peer vanishing mid-handshake        stream/test_whep.py::test_a_peer_that_vanishes_mid_handshake_is_reaped
    malformed SDP                       stream/test_server.py::test_a_malformed_offer_...,
                                          stream/test_server.py::test_a_damaged_real_offer_...
    an offer in several packets         test_an_offer_in_several_packets_is_read_whole
    a flood of sessions                 stream/test_whep.py::test_a_flood_is_answered_503_...
    a writer who falls silent           test_a_caption_whose_writer_falls_silent_is_signed_to_its_end
    nothing leaks                       test_signers_and_texts_leave_nothing_behind,
                                          stream/test_whep.py::test_nothing_leaks
"""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
import pytest

from engine.lexicon.lexicon import default_folder
from engine.lexicon.shelf import open_shelf
from tests.stream.viewer import Viewer

COMMAND = [sys.executable, "-m", "stream.cli"]
NO_GL = {"__EGL_VENDOR_LIBRARY_FILENAMES": "/nonexistent"}
FULL_DISK = 'mount -t tmpfs -o size=64k tmpfs "$0" && { cat /dev/zero > "$0/full" 2>/dev/null; exec "$@"; }'
"""Run with a folder and a command: the folder is a full disk, for that command and nobody else."""


def handstream(
    *args: str, env: dict[str, str] | None = None, before: tuple[str, ...] = ()
) -> tuple[int, str]:
    """Exit code and everything that was said."""
    done = subprocess.run(
        [*before, *COMMAND, *args],
        env=os.environ | (env or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stdout, done.stdout
    return done.returncode, done.stdout


def on_full_disk(folder: Path) -> tuple[str, ...]:
    """What to put before a command so that `folder` is a full disk for it; skips where that is forbidden."""
    prefix = ("unshare", "--map-root-user", "--mount", "sh", "-c", FULL_DISK, str(folder))
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no file system may be mounted here, so none can be full: {tried.stderr.strip()}")
    return prefix


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> Path:
    """A lexicon with one sound recording, three damaged ones and one that is missing."""
    folder = tmp_path_factory.mktemp("damaged")
    sound = next(iter(open_shelf(default_folder()).entries.values())).path.read_bytes()
    for word, content in (("good", sound), ("cut", sound[:3000]), ("junk", b"\x7f" * 5000), ("void", b"")):
        (folder / f"{word}.pose").write_bytes(content)
    words = ("good", "cut", "junk", "void", "gone")
    rows = [f"{w}.pose,en,ase,0,0,{w},{w},0" for w in words]
    header = "path,spoken_language,signed_language,start,end,words,glosses,priority"
    (folder / "index.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


@dataclass
class OnAir:
    """A running `handstream serve`."""

    base: str
    process: psutil.Process
    log: Path


@pytest.fixture(scope="module")
def on_air(tmp_path_factory, damaged):
    """One server for all of it, with the damaged lexicon."""
    folder = tmp_path_factory.mktemp("served")
    log = folder / "log.txt"
    args = ("serve", "--port", "0", "--size", "128x128", "--lexicon", str(damaged), "--max-signers", "3")
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [*COMMAND, *args],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | {"HANDSTREAM_CACHE": str(folder / "cache")},
        ) as process,
    ):
        assert process.stdout is not None
        try:
            ready = process.stdout.readline()
            address = re.search(r"http\S+", ready)
            assert address, (ready, log.read_text())
            assert "on air" in ready
            yield OnAir(address[0], psutil.Process(process.pid), log)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert "Traceback" not in log.read_text()


@pytest.fixture
async def http(on_air):
    async with aiohttp.ClientSession(on_air.base) as session:
        yield session


@pytest.fixture
async def viewer(on_air, http):
    """Somebody else, who watches all the while and must notice nothing."""
    watching = await Viewer(on_air.base).connect()
    await watching.until(lambda: watching.frames >= 2 and watching.of_type("hello"))
    yield watching
    seen = watching.frames
    await watching.until(lambda: watching.frames >= seen + 5)
    await watching.close()
    async with http.post("/signers/main/interrupt") as response:
        assert response.status == 202


async def say(http, text, status=202, **more):
    async with http.post("/signers/main/text", json={"text": text} | more) as response:
        answer = await response.json()
        assert response.status == status, answer
        return answer


ODD = {
    "empty": ("", "nothing to sign"),
    "blank": (" \n\t ", "nothing to sign"),
    "marks alone": ("\u0301\u0301", "nothing to sign"),
    "emoji": ("🙂🙂", "symbol"),
    "right-to-left": ("שלום", "no such letter"),
    "override": ("\u202eab\u202c", '"B"'),
    "control": ("x\x00y\x07z\x1b[2J", '"X"'),
    "half characters": ("ok \ud800", '"K"'),
    "as long as may be": ("wxyz" * 1000, '"Z"'),
    "one letter, many marks": ("b" + "\u0301" * 900, '"B"'),
    "all symbols": ("🙂 " * 2000, "symbol"),
}


@pytest.mark.parametrize(("text", "expected"), ODD.values(), ids=ODD.keys())
async def test_odd_text_is_answered_and_the_stream_goes_on(http, viewer, text, expected):
    answer = await say(http, text)
    assert expected in json.dumps(answer, ensure_ascii=False)
    if "note" not in answer or text.strip():  # the viewers are told too, however long it is
        await viewer.until(lambda: any(e["seq"] == answer["caption"] for e in viewer.of_type("caption")))


async def test_a_megabyte_is_refused_with_a_remedy(http, viewer):
    assert "pieces" in (await say(http, "x" * (1 << 20), 413))["remedy"]
    assert "pieces" in (await say(http, "x" * 4001, 413))["remedy"]


async def test_numbers_that_grow_when_spelled_out_are_bounded(http, viewer):
    answer = await say(http, "7" * 4000, 413)
    assert "signs" in answer["error"]
    assert "pieces" in answer["remedy"]
    assert (await say(http, "77"))["glosses"]  # and nothing of it stays behind


async def test_an_unknown_language_lists_those_there_are(http, viewer):
    assert "gsg" in (await say(http, "hi", 422, language="xxx"))["remedy"]
    code, said = handstream("say", "hi", "--language", "xxx", "--out", "never.npz")
    assert code == 1
    assert "gsg" in said


async def test_a_damaged_lexicon_signs_what_it_can(http, viewer, on_air):
    answer = await say(http, "good cut junk void gone")
    assert [g["label"] for g in answer["glosses"]] == ["GOOD", *"CUTJUNKVOIDGONE"]
    assert [g["spelled"] for g in answer["glosses"]] == [False] + [True] * 15
    log = on_air.log.read_text()
    assert "gone.pose is missing; restore the file" in log
    assert all(f"{word} is left out" in log for word in ("cut", "junk", "void"))


def test_check_names_each_damage(damaged):
    code, said = handstream("lexicon", "check", str(damaged))
    assert code == 1
    assert [f"index.csv line {n}:" in said for n in range(2, 7)] == [False, True, True, True, True]
    assert said.count("delete the row") == 4


def test_a_full_cache_disk_is_said_and_done_without(damaged, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    full, out = on_full_disk(disk), tmp_path / "good.npz"
    arguments = ("say", "good", "--lexicon", str(damaged), "--out", str(out), "--quiet")
    code, said = handstream(*arguments, env={"HANDSTREAM_CACHE": str(disk)}, before=full)
    assert code == 0
    assert out.exists()
    assert "No space left" in said
    assert "HANDSTREAM_CACHE" in said
    _, said = handstream("doctor", "--json", env={"HANDSTREAM_CACHE": str(disk)}, before=full)
    cache = next(f for f in json.loads(said) if f["what"] == "cache")
    assert not cache["ok"]
    assert "HANDSTREAM_CACHE" in cache["follows"]


@pytest.mark.parametrize("suffix", ["npz", "mp4"])
def test_a_full_disk_leaves_no_half_written_file(tmp_path, suffix):
    disk = tmp_path / "disk"
    disk.mkdir()
    out = disk / f"hi.{suffix}"
    prefix = on_full_disk(disk)
    script = FULL_DISK.replace("exec ", "") + '; code=$?; ls -A "$0"; exit $code'
    show = (*(script if part == FULL_DISK else part for part in prefix),)
    code, said = handstream("say", "hi", "--out", str(out), "--quiet", "--size", "128x128", before=show)
    assert code == 1
    assert "free some space" in said
    assert str(out) in said
    assert said.strip().splitlines()[-1] == "full"  # the disk holds nothing else


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("serve", "--port", "0"), 1, "apt-get install"),
        (("say", "hi", "--out", "{out}.mp4", "--quiet"), 1, "apt-get install"),
        (("say", "hi", "--out", "{out}.npz", "--quiet"), 0, "2 glosses"),  # motion needs no picture
        (("doctor",), 1, "cannot serve: OpenGL"),
    ],
    ids=["serve", "video", "motion", "doctor"],
)
def test_without_gl_each_command_says_what_is_missing(tmp_path, arguments, code, expected):
    out = str(tmp_path / "hi")
    exit_code, said = handstream(*(a.format(out=out) for a in arguments), env=NO_GL)
    assert exit_code == code, said
    assert expected in said


def test_a_port_in_use_ends_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = handstream("serve", "--port", str(port))
    assert code == 1
    assert f"port {port} on 127.0.0.1 is in use" in said
    assert "--port" in said


async def test_an_offer_in_several_packets_is_read_whole(on_air, viewer):
    body = viewer.offer.encode()
    head = f"POST /whep/main HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    port = int(on_air.base.rstrip("/").rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}Content-Type: application/sdp\r\nConnection: close\r\n\r\n".encode() + body[:700])
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.write(body[700:])
    answer = await reader.read()
    writer.close()
    assert b" 201 " in answer.splitlines()[0], answer


async def test_a_caption_whose_writer_falls_silent_is_signed_to_its_end(http, viewer):
    answer = await say(http, "wow zy", final=False)
    assert [g["label"] for g in answer["glosses"]] == [*"WOW"]  # more may come
    labels = lambda: [g["label"] for e in viewer.of_type("caption")[-1:] for g in e["glosses"]]  # noqa: E731
    await viewer.until(lambda: labels() == [*"WOWZY"])
    assert "note" in await say(http, "", final=True)  # the late end of it is no new caption
    assert (await say(http, "again"))["caption"] == answer["caption"] + 1


async def test_signers_and_texts_leave_nothing_behind(http, on_air):
    async def come_and_go(times: int) -> None:
        for i in range(times):
            settings = {"name": f"guest-{i}", "background": ("plain", "transparent")[i % 2]}
            async with http.post("/signers", json=settings) as response:
                assert response.status == 201, await response.text()
            await say(http, f"text {i}")
            async with http.post("/signers/main/interrupt") as response:
                assert response.status == 202
            async with http.delete(f"/signers/guest-{i}") as response:
                assert response.status == 204

    def counts() -> tuple[int, int]:
        return on_air.process.num_threads(), on_air.process.num_fds()

    await come_and_go(3)
    threads, files = counts()
    memory = on_air.process.memory_info().rss
    await come_and_go(12)
    after = counts()
    assert after[0] <= threads + 1
    assert after[1] <= files + 2
    assert on_air.process.memory_info().rss - memory < 60e6
