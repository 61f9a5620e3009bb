"""Adding a recording to a lexicon folder, and looking a whole folder over.

Enters: a folder, a `.pose` file, what it stands for. Leaves: a longer `index.csv`; `Problem`s.
Does not know how a recording is made (`video` does).

The index is rewritten under a lock and replaced as a whole: two processes may add at once, and a crash in
between leaves the old index.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import hashlib
import io
import os
import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.lexicon.index import COLUMNS, INDEX, NEEDED, Problem
from engine.lexicon.languages import language_info
from engine.lexicon.shelf import open_shelf
from engine.retarget import read_pose
from engine.skeleton import SIDES

_CODE = re.compile(r"[a-z]{3}")
_LOCK = ".index.lock"


def add_recording(
    folder: Path,
    recording: bytes,
    *,
    word: str,
    language: str,
    spoken: str | None = None,
    gloss: str | None = None,
    start_ms: int = 0,
    end_ms: int = 0,
    priority: int = 0,
) -> Path:
    """Copy a `.pose` recording into a lexicon folder (made when missing) and list it. Returns its new path.

    Raises ValueError for a word or code that can't be, or a recording that can't be read; OSError when the
    folder can't be written. Nothing is changed then.
    """
    word = unicodedata.normalize("NFC", word).strip()
    if not word or any(unicodedata.category(c) == "Cc" for c in word):
        raise ValueError(f"--word: got {word!r}, expected the word the recording stands for")
    if not _CODE.fullmatch(language):
        raise ValueError(
            f"--language: got {language!r}, expected a code of three letters (ISO 639-3) like sgg"
        )
    if start_ms < 0 or (end_ms and end_ms <= start_ms):
        raise ValueError(f"from {start_ms} to {end_ms} ms: expected 0 <= start < end, or end 0 for the whole")
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{_slug(word)}-{hashlib.sha256(recording).hexdigest()[:8]}.pose"
    path = folder / language / name
    with _locked(folder):
        header, text = _read(folder / INDEX)
        path.parent.mkdir(exist_ok=True)
        existed = path.exists()
        _replace(path, recording)
        try:
            read_pose(path, start_ms, end_ms or None)
        except ValueError:
            if not existed:
                path.unlink()
            raise
        row: dict[str, object] = {
            "path": f"{language}/{name}",
            "spoken_language": spoken or language_info(language).spoken,
            "signed_language": language,
            "start": start_ms,
            "end": end_ms,
            "words": word,
            "glosses": gloss or word,
            "priority": priority,
        }
        line = io.StringIO()
        csv.DictWriter(line, header, extrasaction="ignore", lineterminator="\n").writerow(row)
        _replace(folder / INDEX, (text + line.getvalue()).encode())
    return path


def check_folder(
    folder: Path, progress: Callable[[int, int], object] = lambda done, total: None
) -> list[Problem]:
    """Read every recording of a lexicon. Raises ValueError when the folder can't be opened at all."""
    shelf = open_shelf(folder)
    problems = list(shelf.problems)
    for done, entry in enumerate(shelf.entries.values(), 1):
        try:
            recording = read_pose(entry.path, entry.start_ms, entry.end_ms or None)
        except ValueError as error:
            problems.append(Problem(entry.line, str(error), "or delete the row"))
        else:
            if not any(recording.hand_seen(side).any() for side in SIDES):
                what = f"{entry.path.name}: no hand is seen in any frame"
                problems.append(Problem(entry.line, what, "record it again, with both hands in the picture"))
        progress(done, len(shelf.entries))
    return sorted(problems, key=lambda problem: problem.line)


def _slug(word: str) -> str:
    bare = unicodedata.normalize("NFKD", word).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", bare).strip("-")[:40] or "sign"


def _read(index: Path) -> tuple[list[str], str]:
    """Header names, and the whole text ending in a newline. A new index begins with the usual header."""
    try:
        text = index.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return list(COLUMNS), ",".join(COLUMNS) + "\n"
    except UnicodeDecodeError as error:
        raise ValueError(f"{index}: not UTF-8 ({error.reason}); save it as UTF-8 first") from error
    header = [name.strip() for name in next(csv.reader(io.StringIO(text.lstrip("\ufeff"))), [])]
    if not set(NEEDED) <= set(header):
        raise ValueError(
            f"{index}: got columns {header}, expected {','.join(COLUMNS)}; correct its first line"
        )
    return header, text if text.endswith("\n") else text + "\n"


def _replace(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One writer at a time; the lock goes when its process does."""
    with open(folder / _LOCK, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
