"""Reading `index.csv`: rows become entries, and what is wrong with a row is remembered, never fatal.

Enters: a lexicon folder (`index.csv` beside `.pose` files, as in `spoken-to-signed`). Leaves: `Entry`s and
`Problem`s. Does not know motion, nor which words are letters.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

COLUMNS: Final = (
    "path",
    "spoken_language",
    "signed_language",
    "start",
    "end",
    "words",
    "glosses",
    "priority",
)
NEEDED: Final = ("path", "signed_language", "words")
INDEX: Final = "index.csv"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a lexicon. line: of index.csv (1 is the header; 0 when it is about the whole)."""

    line: int
    what: str
    remedy: str

    def __str__(self) -> str:
        where = f"{INDEX} line {self.line}: " if self.line else ""
        return f"{where}{self.what}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording of a sign or a letter.

    clip: its key, unique over stacked lexicons. words: the spoken words it stands for. start_ms, end_ms:
    the part of the recording (end 0: to its end). letter: belongs to a fingerspelling alphabet. priority:
    lower is better.
    """

    clip: str
    language: str
    spoken: str
    words: tuple[str, ...]
    gloss: str
    path: Path
    start_ms: int = 0
    end_ms: int = 0
    priority: int = 0
    line: int = 0
    letter: bool = False


def read_index(folder: Path, shelf: str) -> tuple[list[Entry], list[Problem]]:
    """Entries of a lexicon folder in the index's order; rows that cannot be used become problems.

    shelf: prefix of the clip keys. Raises ValueError when there is no index, or not one usable row in it.
    """
    problems: list[Problem] = []
    entries: dict[str, Entry] = {}
    spoken: set[tuple[str, str]] = set()
    for line, row in _rows(folder, problems):
        try:
            entry = _entry(folder, shelf, line, row)
        except ValueError as error:
            what, _, remedy = str(error).partition("; ")
            problems.append(Problem(line, what, remedy))
            continue
        word = entry.words[0]
        known = entries.get(entry.clip)
        if known and (known.gloss, known.priority) != (entry.gloss, entry.priority):
            entry = replace(entry, clip=f"{entry.clip}/{entry.gloss}/{entry.priority}")
            known = entries.get(entry.clip)
        if (entry.clip, word) in spoken:
            problems.append(
                Problem(line, f"{word!r} with {entry.path.name} is there twice", "delete one of the rows")
            )
        elif known:
            entries[entry.clip] = replace(known, words=(*known.words, word))
        else:
            entries[entry.clip] = entry
        spoken.add((entry.clip, word))
    if not entries:
        first = f" (line {problems[0].line}: {problems[0].what})" if problems else ""
        raise ValueError(
            f"lexicon {folder}: no usable row in {INDEX}{first}; expected columns {', '.join(COLUMNS)} "
            "and .pose files at the paths named. `handstream lexicon add` makes one"
        )
    return list(entries.values()), problems


def _rows(folder: Path, problems: list[Problem]) -> Iterator[tuple[int, dict[str, str]]]:
    path = folder / INDEX
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"lexicon {folder}: cannot read {path} ({error.strerror}); expected a folder with {INDEX} "
            "and .pose files, as in spoken-to-signed"
        ) from error
    text = data.decode("utf-8-sig", errors="replace")
    if "\ufffd" in text:
        line = text[: text.index("\ufffd")].count("\n") + 1
        problems.append(Problem(line, "not UTF-8", f"save {INDEX} as UTF-8"))
    reader = csv.reader(io.StringIO(text.replace("\0", ""), newline=""))  # rows end where CSV says they do
    header = next(_readable(reader, problems), None)
    if header is None or not set(NEEDED) <= {name.strip() for name in header}:
        raise ValueError(
            f"lexicon {folder}: {INDEX} begins with {','.join(header or [])[:120]!r}; "
            f"expected the columns {','.join(COLUMNS)}"
        )
    names = [name.strip() for name in header]
    for cells in _readable(reader, problems):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            what = f"{len(cells)} cells, expected {len(names)}"
            problems.append(Problem(reader.line_num, what, "put cells holding a comma in quotes"))
            if len(cells) < len(names):
                continue
        yield reader.line_num, dict(zip(names, cells, strict=False))


def _readable(reader: Iterable[list[str]], problems: list[Problem]) -> Iterator[list[str]]:
    rows = iter(reader)
    while True:
        try:
            yield next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            line = getattr(rows, "line_num", 0)
            problems.append(Problem(line, f"not readable as CSV ({error})", "check the quotes"))


def _entry(folder: Path, shelf: str, line: int, row: dict[str, str]) -> Entry:
    cell = {name: (row.get(name) or "").strip() for name in COLUMNS}
    for name in ("path", "signed_language"):
        if not cell[name]:
            raise ValueError(f"no {name}; fill it in")
    word = cell["words"] or cell["glosses"]
    if not word:
        raise ValueError("no words and no glosses; say what the recording stands for")
    if "://" in cell["path"]:
        raise ValueError(f"{cell['path']} is not a local file; download it into the folder")
    numbers = {}
    for name in ("start", "end", "priority"):
        try:
            numbers[name] = round(float(cell[name] or 0))
        except (ValueError, OverflowError):
            raise ValueError(f"{name} is {cell[name]!r}; expected a whole number") from None
    start, end = numbers["start"], numbers["end"]
    if start < 0 or (0 < end <= start):
        raise ValueError(f"from {start} to {end} ms; expected 0 <= start < end, or end 0 for the whole")
    path = folder / cell["path"]
    if not Path(os.path.normpath(path)).is_relative_to(os.path.normpath(folder)):
        raise ValueError(f"{cell['path']} lies outside the folder; move it inside")
    try:
        there = path.is_file()
    except OSError as error:
        raise ValueError(
            f"{cell['path'][:80]} can't be a file ({error.strerror}); correct the path"
        ) from None
    if not there:
        raise ValueError(f"{cell['path']} is missing; restore the file or delete the row")
    language = cell["signed_language"]
    return Entry(
        clip=f"{shelf}:{language}:{cell['path']}#{start}-{end}",
        language=language,
        spoken=cell["spoken_language"],
        words=(word,),
        gloss=cell["glosses"] or word,
        path=path,
        start_ms=start,
        end_ms=end,
        priority=numbers["priority"],
        line=line,
    )
