"""What was taken: so that a command that comes twice is carried out once, also over restarts of ours.

Enters: keys of commands with their answers, texts that wait. Leaves: the earlier answer; the texts that had
been taken and had not begun. Does not know MQTT. SQLite on one thread of its own; bounded for each kiosk.

A write is with the operating system before the command is acknowledged (WAL, synchronous=NORMAL): it
survives the end of this process however it comes, though perhaps not a power cut.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Answer = dict[str, Any]

FORGET_EVERY = 64
"""Commands of all kiosks between two looks at what one kiosk may forget."""

_TABLES = """
CREATE TABLE IF NOT EXISTS taken (
    number INTEGER PRIMARY KEY, kiosk TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL,
    answer TEXT NOT NULL, UNIQUE (kiosk, key));
CREATE TABLE IF NOT EXISTS waiting (
    number INTEGER PRIMARY KEY, kiosk TEXT NOT NULL, id TEXT NOT NULL, text TEXT NOT NULL,
    language TEXT NOT NULL, deadline_unix_s REAL);
CREATE INDEX IF NOT EXISTS waiting_of ON waiting (kiosk, number);
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A text that was taken and has not begun. deadline_unix_s: after that it is stale; None: never."""

    number: int
    id: str
    text: str
    language: str
    deadline_unix_s: float | None


@dataclass(frozen=True, slots=True)
class Taken:
    """number: of its text, 0 without one. before: digest and answer of a command with the same key; then
    nothing was noted.
    """

    number: int
    before: tuple[str, Answer] | None = None


class Ledger:
    """See the module. path None: in memory. remembered: commands of one kiosk that are known again.

    Raises ValueError when the file cannot be used.
    """

    def __init__(self, path: Path | None, remembered: int) -> None:
        self._remembered = remembered
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch(mode=0o600)
            self._base = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
                self._base.execute(f"PRAGMA {pragma}")
            self._base.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            self._thread.shutdown()
            raise ValueError(
                f"kiosk memory: {path} cannot be used ({error}); name another file with --memory, "
                "or --memory none to remember nothing after the end"
            ) from error

    async def take(
        self, kiosk: str, key: str, digest: str, answer: Answer, text: Waiting | None = None, new: bool = True
    ) -> Taken:
        """Note a command as taken; or, unless it is surely `new`, tell how one with its key was answered."""

        def work() -> Taken:
            with _Transaction(self._base) as base:
                if not new and (known := self._known(kiosk, key)) is not None:
                    return Taken(0, known)
                number = base.execute(
                    "INSERT OR REPLACE INTO taken (kiosk, key, digest, answer) VALUES (?, ?, ?, ?)",
                    (kiosk, key, digest, json.dumps(answer)),
                ).lastrowid
                if number is not None and number % FORGET_EVERY == 0:
                    self._forget(kiosk)
                if text is None:
                    return Taken(0)
                row = (kiosk, text.id, text.text, text.language, text.deadline_unix_s)
                insert = "INSERT INTO waiting (kiosk, id, text, language, deadline_unix_s) VALUES (?,?,?,?,?)"
                return Taken(int(base.execute(insert, row).lastrowid or 0))

        return await self._run(work)

    async def known(self, kiosk: str, key: str) -> tuple[str, Answer] | None:
        """Digest and answer of a command that was taken, None for a new one."""
        return await self._run(lambda: self._known(kiosk, key))

    async def begun(self, *numbers: int) -> None:
        """These texts wait no longer: they have begun, or were given up."""

        def work() -> None:
            with _Transaction(self._base) as base:
                base.executemany("DELETE FROM waiting WHERE number=?", [(n,) for n in numbers])

        if numbers:
            await self._run(work)

    async def waiting(self, kiosk: str, most: int) -> list[Waiting]:
        """The texts that waited when the process before this one ended, oldest first; stale ones are gone."""

        def work() -> list[Waiting]:
            with _Transaction(self._base) as base:
                base.execute("DELETE FROM waiting WHERE deadline_unix_s < ?", (time.time(),))
                rows = base.execute(
                    "SELECT number, id, text, language, deadline_unix_s FROM waiting WHERE kiosk=? "
                    "ORDER BY number LIMIT ?", (kiosk, most),
                ).fetchall()  # fmt: skip
                return [Waiting(*row) for row in rows]

        return await self._run(work)

    async def forget_packets(self, kiosk: str, prefix: str) -> None:
        """The broker has forgotten our session: its packet numbers begin anew, so ours mean nothing."""

        def work() -> None:
            with _Transaction(self._base) as base:
                base.execute(
                    "DELETE FROM taken WHERE kiosk=? AND substr(key, 1, ?)=?", (kiosk, len(prefix), prefix)
                )

        await self._run(work)

    async def close(self) -> None:
        await self._run(self._base.close)
        self._thread.shutdown()

    def _known(self, kiosk: str, key: str) -> tuple[str, Answer] | None:
        found = self._base.execute(
            "SELECT digest, answer FROM taken WHERE kiosk=? AND key=?", (kiosk, key)
        ).fetchone()
        return None if found is None else (str(found[0]), json.loads(found[1]))

    def _forget(self, kiosk: str) -> None:
        self._base.execute(
            "DELETE FROM taken WHERE kiosk=? AND number <= (SELECT number FROM taken WHERE kiosk=? "
            "ORDER BY number DESC LIMIT 1 OFFSET ?)", (kiosk, kiosk, self._remembered),
        )  # fmt: skip

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class _Transaction:
    """All of it or nothing."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base

    def __enter__(self) -> sqlite3.Connection:
        self._base.execute("BEGIN IMMEDIATE")
        return self._base

    def __exit__(self, kind: object, *_: object) -> None:
        self._base.execute("COMMIT" if kind is None else "ROLLBACK")
