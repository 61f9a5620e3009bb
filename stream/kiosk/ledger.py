"""What was taken: so that a command that comes twice is carried out once, also over restarts of ours.

Enters: keys of commands with their answers, texts that wait. Leaves: the earlier answer; the texts that had
been taken and had not begun. Does not know MQTT. SQLite on one thread of its own; bounded for each kiosk.

What is noted is with the operating system (WAL, synchronous=NORMAL) when `Taken.noted` is done: it survives
the end of this process however it comes, though perhaps not a power cut. Everything is done in the order it
was asked for. Which keys may be there is also known on the event loop (a number for each), so that a new
command need not wait for the disk, nor for a turn of the thread beside one that computes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

log = logging.getLogger(__name__)
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
    """number: of its text, 0 without one. noted: begun with the loop's next turn, done when the command will
    not be forgotten; holds what was wrong, None when nothing.
    """

    number: int
    noted: asyncio.Task[Exception | None]


class Ledger:
    """See the module. path None: in memory. remembered: commands of one kiosk that are known again.

    trouble: whether the latest command could not be noted. Raises ValueError when the file cannot be used.
    """

    def __init__(self, path: Path | None, remembered: int) -> None:
        self._remembered = remembered
        self.trouble = False
        self._keys: dict[str, dict[int, None]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch(mode=0o600)
            self._base = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
                self._base.execute(f"PRAGMA {pragma}")
            self._base.executescript(_TABLES)
            self._number = int(self._base.execute("SELECT max(number) FROM waiting").fetchone()[0] or 0)
            for kiosk, key in self._base.execute("SELECT kiosk, key FROM taken ORDER BY number"):
                self._keys.setdefault(kiosk, {})[hash(key)] = None
        except (OSError, sqlite3.Error) as error:
            self._thread.shutdown()
            raise ValueError(
                f"kiosk memory: {path} cannot be used ({error}); name another file with --memory, "
                "or --memory none to remember nothing after the end"
            ) from error

    def take(self, kiosk: str, key: str, digest: str, answer: Answer, text: Waiting | None = None) -> Taken:
        """Begin to note a command as taken, which is not `known`, with its text."""
        number = 0
        if text is not None:
            number = self._number = self._number + 1
        keys = self._keys.setdefault(kiosk, {})
        keys.pop(hash(key), None)
        keys[hash(key)] = None
        while len(keys) > self._remembered + FORGET_EVERY:
            del keys[next(iter(keys))]

        def work() -> None:
            with _Transaction(self._base) as base:
                row = base.execute(
                    "INSERT OR REPLACE INTO taken (kiosk, key, digest, answer) VALUES (?, ?, ?, ?)",
                    (kiosk, key, digest, json.dumps(answer)),
                ).lastrowid
                if row is not None and row % FORGET_EVERY == 0:
                    self._forget(kiosk)
                if text is not None:
                    base.execute(
                        "INSERT INTO waiting (number, kiosk, id, text, language, deadline_unix_s) "
                        "VALUES (?, ?, ?, ?, ?, ?)",
                        (number, kiosk, text.id, text.text, text.language, text.deadline_unix_s),
                    )

        # A task begins after what its maker does next: the answer is on its way before the disk is asked.
        return Taken(number, asyncio.create_task(self._noting(work), name=f"note {kiosk}"))

    async def known(self, kiosk: str, key: str) -> tuple[str, Answer] | None:
        """Digest and answer of a command that was taken; None, mostly at once, for a new one."""
        if hash(key) not in self._keys.get(kiosk, ()):
            return None
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

    async def _noting(self, work: Callable[[], None]) -> Exception | None:
        try:
            await self._run(work)
        except Exception as error:  # the disk's boundary
            log.exception("the memory of commands cannot be written")
            self.trouble = True
            return error
        self.trouble = False
        return None

    async def _run(self, work: Callable[[], T]) -> T:
        # Shielded: a write that was begun is done, also when nobody waits for it any more.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))


class _Transaction:
    """All of it or nothing."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base

    def __enter__(self) -> sqlite3.Connection:
        self._base.execute("BEGIN IMMEDIATE")
        return self._base

    def __exit__(self, kind: object, *_: object) -> None:
        self._base.execute("COMMIT" if kind is None else "ROLLBACK")
