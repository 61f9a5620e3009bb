"""The sequence format: what is written is read, what breaks is told, what a killed run leaves is whole."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from engine.signals import Motion
from trainer.data.sequences import COLUMNS, HEADER, MotionSequence, SequenceStore, SequenceWriter


def made(name: str, frames: int = 7, seed: int = 0) -> MotionSequence:
    rng = np.random.default_rng(seed)

    def noise(*shape: int) -> np.ndarray:
        return rng.normal(size=(frames, *shape)).astype(np.float32)

    motion = Motion(25.0, noise(60, 2), noise(2, 16, 3), noise(55, 3), noise(52), noise(2))
    spans = np.array([[1, 3], [4, frames]], np.int32)
    return MotionSequence(name, "ase", "nobody", "hé", ("H", "É"), spans, motion, (False, True), 1.25)


def same(one: MotionSequence, other: MotionSequence) -> bool:
    fields = ("name", "language", "signer", "text", "glosses", "word_ends", "rate")
    arrays = ("pose", "hands", "smplx", "expression", "confidence")
    return (
        all(getattr(one, f) == getattr(other, f) for f in fields)
        and np.array_equal(one.spans, other.spans)
        and one.motion.fps == other.motion.fps
        and all(np.array_equal(getattr(one.motion, a), getattr(other.motion, a)) for a in arrays)
    )


def test_what_is_written_is_read_across_shards_and_folders(tmp_path: Path) -> None:
    sequences = [made(f"clip {i}", 5 + i, i) for i in range(9)]
    with SequenceWriter(tmp_path / "a", shard_frames=20) as writer:
        assert all(writer.write(s) for s in sequences[:6])
        assert not writer.write(sequences[0])  # known names are left as they are
    with SequenceWriter(tmp_path / "a", shard_frames=20) as writer:
        assert "clip 5" in writer
        assert len(writer) == 6
        assert writer.write(sequences[6])
    with SequenceWriter(tmp_path / "b") as writer:
        assert writer.write_all(["clip 7", "bad", "clip 8"], lambda n: made(n, 5 if n != "bad" else 0)) == [
            ("bad", "bad: got a motion of no frames; leave the clip out")
        ]
    assert len(list((tmp_path / "a").glob("*.f32"))) > 2
    store = SequenceStore(tmp_path / "a", tmp_path / "b")
    store.check()
    assert len(store) == 9
    assert all(same(a, b) for a, b in zip(store, sequences[:7], strict=False))
    assert store.lengths.tolist() == [5, 6, 7, 8, 9, 10, 11, 5, 5]
    assert store.rows(3).shape == (8, COLUMNS)
    assert store.entry(3)["glosses"] == ["H", "É"]


@pytest.mark.parametrize("field", ["pose", "hands", "smplx", "expression", "confidence"])
def test_broken_numbers_are_refused_on_writing(field: str) -> None:
    whole = made("x").motion
    arrays = {n: getattr(whole, n).copy() for n in ("pose", "hands", "smplx", "expression", "confidence")}
    arrays[field].reshape(7, -1)[4, 0] = np.nan
    with pytest.raises(ValueError, match=f"x: {field} holds NaN .* in 1 of 7 frames, first in frame 4"):
        MotionSequence("x", "ase", "", "", (), np.zeros((0, 2)), Motion(25.0, **arrays))


def test_spans_must_fit() -> None:
    motion = made("x").motion
    cases = (([[0, 8]], "milliseconds"), ([[3, 2]], "first <= last"), ([[0, 1], [1, 2]], "as many"))
    for spans, why in cases:
        with pytest.raises(ValueError, match=why):
            MotionSequence("x", "ase", "", "", ("A",), np.array(spans), motion)


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from tests.trainer.test_data_sequences import made
    from trainer.data import sequence_writer
    writer = sequence_writer.SequenceWriter(Path(sys.argv[1]), shard_frames=30)
    for i in range(7):
        writer.write(made(f"clip {i}", 7, i))
    if sys.argv[2] == "frames":    # killed while the frames are written ...
        sequence_writer._write_whole = lambda f, d: (f.write(d[:1000]), os.kill(os.getpid(), signal.SIGKILL))
    else:                          # ... or the line
        def half(file, data, whole=sequence_writer._write_whole):
            if data[:1] == b"{":
                file.write(data[:20]), os.kill(os.getpid(), signal.SIGKILL)
            whole(file, data)
        sequence_writer._write_whole = half
    writer.write(made("clip 7", 7, 7))
"""


@pytest.mark.parametrize("when", ["frames", "line"])
def test_a_killed_run_goes_on(tmp_path: Path, when: str) -> None:
    folder = tmp_path / "s"
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(folder), when], check=False)
    assert done.returncode == -9
    store = SequenceStore(folder)  # readable as it lies
    store.check()
    assert len(store) == 7
    with SequenceWriter(folder, shard_frames=30) as writer:
        assert not writer.write_all([f"clip {i}" for i in range(10)], lambda n: made(n, 7, int(n[5:])))
    store = SequenceStore(folder)
    store.check()
    assert all(same(store[i], made(f"clip {i}", 7, i)) for i in range(10))


FULL = """
    import resource, signal, sys
    from pathlib import Path
    from tests.trainer.test_data_sequences import made
    from trainer.data.sequences import SequenceWriter
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))    # files may not grow beyond: a full disk
    with SequenceWriter(Path(sys.argv[1])) as writer:
        for i in range(9):
            writer.write(made(f"clip {i}", 7, i))
"""


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "clip 2 could not be written" in done.stderr
    assert "the 2 sequences before it are whole: make room" in done.stderr
    with SequenceWriter(folder) as writer:
        assert writer.write(made("clip 2", 7, 2))
    store = SequenceStore(folder)
    store.check()
    assert all(same(store[i], made(f"clip {i}", 7, i)) for i in range(3))


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    with SequenceWriter(tmp_path), pytest.raises(ValueError, match="another process is writing"):
        SequenceWriter(tmp_path)
    SequenceWriter(tmp_path).close()


def test_damage_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no sequences here"):
        SequenceStore(tmp_path)
    with SequenceWriter(tmp_path, shard_frames=10) as writer:
        with pytest.raises(ValueError, match="holds none"):
            SequenceStore(tmp_path)
        for i in range(3):
            writer.write(made(f"clip {i}", 7, i))
    data, journal = tmp_path / "00001.f32", tmp_path / "00001.jsonl"
    whole, lines = data.read_bytes(), journal.read_bytes()
    changed = bytearray(whole)
    changed[100] ^= 255
    data.write_bytes(changed)
    with pytest.raises(ValueError, match=r"clip 1: .*checksum"):
        SequenceStore(tmp_path).check()
    data.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"00001.f32: holds .* truncated"):
        SequenceStore(tmp_path)
    data.write_bytes(whole)
    journal.write_bytes(lines[:-5])
    with pytest.raises(ValueError, match="ends within a line"):
        SequenceStore(tmp_path)
    journal.write_bytes(b'{"name": 1}\n')
    with pytest.raises(ValueError, match=r"00001.jsonl:1: not a sequence's line"):
        SequenceStore(tmp_path)
    head = json.loads((tmp_path / HEADER).read_text())
    (tmp_path / HEADER).write_text(json.dumps({**head, "version": 99}))
    for opened in (SequenceStore, SequenceWriter):
        with pytest.raises(ValueError, match="version 99, expected"):
            opened(tmp_path)
