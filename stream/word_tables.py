"""What is known of a language's words, read before the first caption needs it.

Enters: spoken languages. Leaves: nothing; the tables are `engine.pacing_words`' own, and are read once for a
process. Does not know captions. The first word of a language takes most of a second (a table of frequencies,
number words), which the first caption would wait for.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from engine.pacing_words import worth_of


class WordTables:
    """`warm` the languages that are on air; never blocks. `close` ends the thread."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._asked: dict[str, Future[object]] = {}
        self._closed = False

    def warm(self, spoken: str) -> None:
        """Read what is known of the words of this spoken language, in the background."""
        if spoken in self._asked or self._closed:
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="words")
        self._asked[spoken] = self._thread.submit(worth_of, "word", spoken)

    @property
    def warming(self) -> bool:
        return any(not asked.done() for asked in list(self._asked.values()))

    def close(self) -> None:
        self._closed = True
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
