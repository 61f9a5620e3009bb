"""A caption source and a reviser, run together: words to sign, as soon as each is certain.

Enters: a `CaptionSource`. Leaves: `Commit`s. Does not know formats or signing. Owns one task, which waits for
the source; it ends, and the source is closed, when this generator is closed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from stream.captions.changes import Change
from stream.captions.reviser import Commit, Reviser
from stream.captions.timed_text import NS_PER_S, CaptionSource, TimedText


async def commits(
    source: CaptionSource,
    reviser: Reviser,
    now_ns: Callable[[], int] = time.monotonic_ns,
    changed: Callable[[Change], None] | None = None,
) -> AsyncGenerator[Commit, None]:
    """Everything the source says, as commits; what is certain by waiting comes in its time.

    `now_ns` must be the clock of the source's `pts_ns`. changed: told of every change as soon as it is known
    (without it, ask `reviser.take_changes`). Raises what the source raises, after the last commit.
    """
    pieces = aiter(source)
    waiting: asyncio.Task[TimedText | None] | None = None
    try:
        while True:
            waiting = waiting or asyncio.create_task(_next(pieces), name="captions reader")
            due_ns = reviser.next_due_ns()
            timeout_s = None if due_ns is None else max(0.0, (due_ns - now_ns()) / NS_PER_S)
            await asyncio.wait({waiting}, timeout=timeout_s)
            if not waiting.done():
                for commit in reviser.due(now_ns()):
                    yield commit
                continue
            ended, waiting = waiting, None
            if ended.exception() is not None or (piece := ended.result()) is None:
                break
            found = reviser.feed(piece)
            _tell(reviser, changed)
            for commit in found:
                yield commit
        found = reviser.finish()
        _tell(reviser, changed)
        for commit in found:
            yield commit
        ended.result()  # raises what ended the source
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await source.aclose()


def _tell(reviser: Reviser, changed: Callable[[Change], None] | None) -> None:
    if changed is not None:
        for change in reviser.take_changes():
            changed(change)


async def _next(pieces: AsyncIterator[TimedText]) -> TimedText | None:
    return await anext(pieces, None)
