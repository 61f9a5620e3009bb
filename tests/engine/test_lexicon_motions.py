"""Motion of clips: made once, cached whole, the same from everywhere."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.body import load_body
from engine.lexicon import Lexicon, MotionStore
from engine.lexicon.cache import DiskCache, cache_folder
from engine.lexicon.codec import decode, encode, squeeze, unsqueeze
from engine.lexicon.lexicon import ALPHABETS, default_folder
from engine.lexicon.memory import MotionMemory, size_bytes
from engine.lexicon.motions import RecordingRetargeter, content_key
from engine.lexicon.pack import ASSET, Pack
from engine.lexicon.packing import build, missing
from engine.lexicon.shelf import open_shelf
from engine.signals import Motion


def some_motion(seed: int = 0, frames: int = 7) -> Motion:
    random = np.random.default_rng(seed)
    smplx = random.normal(0, 1, (frames, 55, 3)).astype(np.float32)
    units = random.uniform(0, 1, (frames, 52)).astype(np.float32)
    return load_body().motion(smplx, units, 25.0, random.uniform(0, 1, (frames, 2)).astype(np.float32))


def same(a: Motion, b: Motion) -> bool:
    arrays = ("pose", "hands", "smplx", "expression", "confidence")
    return a.fps == b.fps and all(np.array_equal(getattr(a, n), getattr(b, n)) for n in arrays)


class Counting:
    """A quick retargeter that says how often it was asked, and by how many at once."""

    def __init__(self, wait_s: float = 0.0) -> None:
        self.asked: list[Path] = []
        self.wait_s = wait_s

    def __call__(self, entry, source) -> Motion:
        self.asked.append(entry.path)
        time.sleep(self.wait_s)
        return some_motion(len(entry.path.name))


def a_lexicon(folder: Path, cache: Path, retargeter=None, **options) -> Lexicon:
    if not (folder / "index.csv").exists():
        (folder / "ase").mkdir(parents=True)
        rows = ["path,spoken_language,signed_language,start,end,words,glosses,priority"]
        for name, source in zip(
            ("one", "two"), sorted((default_folder() / "ase").glob("*.pose")), strict=False
        ):
            shutil.copy(source, folder / "ase" / f"{name}.pose")
            rows.append(f"ase/{name}.pose,en,ase,0,0,{name},{name},0")
        (folder / "index.csv").write_text("\n".join(rows) + "\n")
    return Lexicon.open(folder, MotionStore(retargeter=retargeter, disk=DiskCache(cache), **options))


# -- bytes --------


def test_the_cache_is_exact():
    motion = some_motion()
    assert same(decode(encode(motion)), motion)


def test_the_pack_is_close():
    motion = some_motion()
    back = unsqueeze(squeeze(motion))
    assert np.abs(back.smplx - motion.smplx).max() <= 0.5 / 4096 + 1e-6
    assert np.abs(back.expression - motion.expression).max() <= 0.5 / 255 + 1e-6
    assert same(unsqueeze(squeeze(back)), back)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300), st.integers(0, 400))
def test_damaged_bytes_are_refused(junk, cut):
    for data, read in ((encode(some_motion()), decode), (squeeze(some_motion()), unsqueeze)):
        for bad in (junk, data[: min(cut, len(data) - 1)], data[:cut] + junk):
            try:
                read(bad)
            except ValueError:
                continue
            assert bad[: len(data)] == data


# -- memory --------


def test_memory_forgets_the_least_recently_used():
    motions = [some_motion(i) for i in range(4)]
    memory = MotionMemory(3 * size_bytes(motions[0]))
    for i in range(3):
        memory.put(str(i), motions[i])
    assert memory.get("0") is motions[0]
    memory.put("3", motions[3])
    assert [name in memory for name in "0123"] == [True, False, True, True]
    assert memory.used_bytes <= memory.max_bytes
    memory.put("3", motions[3])
    assert memory.used_bytes == 3 * size_bytes(motions[0])


# -- disk --------


def test_a_second_process_does_not_retarget_again(tmp_path):
    first, second = Counting(), Counting()
    one = a_lexicon(tmp_path / "lex", tmp_path / "cache", first)
    two = a_lexicon(tmp_path / "lex", tmp_path / "cache", second)
    clip = one.sign("one", "ase")
    assert same(one.motion(clip), two.motion(clip))
    assert (len(first.asked), len(second.asked)) == (1, 0)


def test_the_key_follows_content_span_source_and_method(tmp_path):
    lexicon = a_lexicon(tmp_path / "lex", tmp_path / "cache", Counting())
    entry = lexicon.entry(lexicon.sign("one", "ase"))
    source = lexicon.shelves[0].source_of(entry)
    keys = {content_key(entry, source), content_key(entry, source, "other"), content_key(entry, source[:1])}
    entry.path.write_bytes(entry.path.read_bytes() + b"\0")
    keys.add(content_key(entry, source))
    assert len(keys) == 4


def test_another_method_is_another_motion(tmp_path):
    first, second = Counting(), Counting()
    clip = a_lexicon(tmp_path / "lex", tmp_path / "cache").sign("one", "ase")
    a_lexicon(tmp_path / "lex", tmp_path / "cache", first, method="a").motion(clip)
    a_lexicon(tmp_path / "lex", tmp_path / "cache", second, method="b").motion(clip)
    assert (len(first.asked), len(second.asked)) == (1, 1)


@pytest.mark.parametrize(
    "damage", [lambda d: b"", lambda d: d[: len(d) // 2], lambda d: d[:-900] + b"x" * 900]
)
def test_a_corrupt_cache_file_is_made_again(tmp_path, damage):
    again = Counting()
    lexicon = a_lexicon(tmp_path / "lex", tmp_path / "cache", Counting())
    clip = lexicon.sign("one", "ase")
    motion = lexicon.motion(clip)
    (file,) = (tmp_path / "cache").rglob("*.motion")
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert same(a_lexicon(tmp_path / "lex", tmp_path / "cache", again).motion(clip), motion)
    assert len(again.asked) == 1
    assert file.read_bytes() == whole


def test_a_full_disk_is_said_once_and_done_without(tmp_path, monkeypatch, caplog):
    lexicon = a_lexicon(tmp_path / "lex", tmp_path / "cache", counting := Counting())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    for word in ("one", "two", "one"):
        assert len(lexicon.motion(lexicon.sign(word, "ase"))) == 7
    assert len(counting.asked) == 2
    assert len([r for r in caplog.records if "No space left" in r.getMessage()]) == 1
    assert "HANDSTREAM_CACHE" in caplog.text
    assert not list((tmp_path / "cache").rglob("*.tmp"))


def test_a_cache_that_cannot_be_made_is_done_without(tmp_path, caplog):
    (tmp_path / "cache").write_text("a file where a folder should be")
    lexicon = a_lexicon(tmp_path / "lex", tmp_path / "cache", Counting())
    assert len(lexicon.motion(lexicon.sign("one", "ase"))) == 7
    assert "cannot write" in caplog.text


def test_the_oldest_go_when_there_are_too_many(tmp_path):
    cache = DiskCache(tmp_path)
    for i in range(6):
        assert cache.save(f"{i:040}", b"x")
        os.utime(cache.path(f"{i:040}"), (i, i))
    cache.load(f"{0:040}")  # used again
    assert DiskCache(tmp_path, max_files=3).save("f" * 40, b"x")
    assert [i for i in range(6) if cache.path(f"{i:040}").exists()] == [0, 4, 5]


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("HANDSTREAM_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("HANDSTREAM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "handstream"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == Path.home() / ".cache" / "handstream"


def _write_and_read(folder: str, seed: int, rounds: int) -> int:
    cache, wrong = DiskCache(Path(folder)), 0
    expected = [encode(some_motion(i)) for i in range(3)]
    for i in range(rounds):
        which = (i + seed) % 3
        cache.save(f"{which:040}", expected[which])
        data = cache.load(f"{(which + 1) % 3:040}")
        wrong += data is not None and data != expected[(which + 1) % 3]
    return wrong


def test_two_processes_share_a_cache(tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.starmap(_write_and_read, [(str(tmp_path), 0, 200), (str(tmp_path), 1, 200)]) == [0, 0]
    assert len(list(tmp_path.rglob("*"))) == 2 + 3  # motions/00/ and three files: nothing left behind


# -- threads --------


def test_many_threads_make_a_motion_once(tmp_path):
    lexicon = a_lexicon(tmp_path / "lex", tmp_path / "cache", counting := Counting(0.05))
    clips = [lexicon.sign(word, "ase") for word in ("one", "two")]
    got: list[Motion] = []
    threads = [
        threading.Thread(target=lambda i=i: got.append(lexicon.motion(clips[i % 2]))) for i in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counting.asked) == 2
    assert len({id(motion) for motion in got}) == 2


def test_warming_does_not_block_and_ends_with_close(tmp_path):
    lexicon = a_lexicon(tmp_path / "lex", tmp_path / "cache", counting := Counting(1.0))
    clips = [lexicon.sign(word, "ase") for word in ("one", "two")]
    started = time.monotonic()
    for _ in range(50):
        lexicon.warm(clips)
    assert time.monotonic() - started < 1.0
    for clip in clips:
        lexicon.motion(clip)
        assert lexicon.ready(clip)
    assert len(counting.asked) == 2
    lexicon.close()
    lexicon.warm(clips)
    assert not [t for t in threading.enumerate() if t.name.startswith("lexicon")]


def test_a_broken_recording_is_no_trouble_for_warming(tmp_path):
    lexicon = a_lexicon(tmp_path / "lex", tmp_path / "cache")
    clip = lexicon.sign("one", "ase")
    lexicon.entry(clip).path.write_bytes(b"broken")
    lexicon.warm([clip])
    lexicon.close()
    with pytest.raises(ValueError, match=r"one\.pose"):
        lexicon.motion(clip)


# -- the real thing --------


def test_cached_is_retargeted(tmp_path):
    lexicon = a_lexicon(tmp_path / "lex", tmp_path / "cache")
    clip = lexicon.sign("one", "ase")
    entry = lexicon.entry(clip)
    live = RecordingRetargeter()(entry, lexicon.shelves[0].source_of(entry))
    assert same(lexicon.motion(clip), live)
    assert same(a_lexicon(tmp_path / "lex", tmp_path / "cache", Counting()).motion(clip), live)


def test_the_shipped_pack_holds_every_letter():
    """When this fails, the method, the body or the recordings changed: `python -m engine.lexicon.packing`."""
    assert missing() == 0, "letters are not packed; run `python -m engine.lexicon.packing`"
    assert ASSET.stat().st_size < 8 * 2**20


@pytest.mark.parametrize(("language", "letter"), [("ase", "a"), ("sgg", "sch"), ("jos", "س")])
def test_the_shipped_pack_is_what_retargeting_gives(language, letter):
    """When this fails and the one above does not, retargeting changed without a new METHOD."""
    shelf = open_shelf(default_folder(), ALPHABETS)
    entry = shelf.entries[shelf.alphabets[language][letter]]
    packed = Pack().load(content_key(entry, shelf.source_of(entry)))
    live = RecordingRetargeter()(entry, shelf.source_of(entry))
    assert packed is not None
    assert np.abs(packed.pose - live.pose).max() < 0.02  # shoulder widths; other machines round otherwise


def test_letters_come_from_the_pack(tmp_path):
    counting = Counting()
    lexicon = Lexicon.default(MotionStore(retargeter=counting, disk=DiskCache(tmp_path), pack=Pack()))
    for clip in lexicon.alphabet("ase").values():
        assert len(lexicon.motion(clip)) > 5
    assert counting.asked == []
    assert not list(tmp_path.rglob("*.motion"))
    lexicon.close()


@pytest.mark.parametrize("damage", [None, b"", b"PK broken"])
def test_without_a_pack_letters_are_retargeted(tmp_path, damage, caplog):
    path = tmp_path / "alphabets.motion"
    if damage is not None:
        path.write_bytes(damage)
    counting = Counting()
    lexicon = Lexicon.default(MotionStore(retargeter=counting, disk=DiskCache(tmp_path), pack=Pack(path)))
    lexicon.motion(lexicon.letter("a", "ase"))
    assert len(counting.asked) == 1
    assert "engine.lexicon.packing" in caplog.text


def test_packing_is_reproducible(tmp_path):
    """The same folder packed twice, by one process and by two, gives the same file."""
    lexicon = a_lexicon(tmp_path / "lex", tmp_path / "unused")
    files = []
    for processes in (1, 2):
        files.append(tmp_path / f"{processes}.motion")
        count = build(
            lexicon.shelves[0], files[-1], processes=processes, cache=tmp_path / f"cache{processes}"
        )
        assert count == 2
    assert files[0].read_bytes() == files[1].read_bytes()


def test_engine_lexicon_needs_no_renderer_and_no_stream():
    code = "import sys, engine.lexicon, engine.glossing; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    rooms = {name.split(".")[0] for name in loaded.split()}
    assert "engine" in rooms
    assert rooms.isdisjoint({"renderer", "stream", "trainer", "simplemma", "mediapipe"})
