"""Replays cues at their own times, as a broadcaster would have sent them.

Enters: cues with times, as fast as they come. Leaves: the same, none before its start. Does not know formats.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

from stream.captions.timed_text import NS_PER_S, Cue


async def paced(cues: AsyncGenerator[Cue, None], speed: float = 1.0) -> AsyncGenerator[Cue, None]:
    """The first cue comes at once; each later one after the time that lies between their starts, / speed."""
    began_ns = time.monotonic_ns()
    first_ns: int | None = None
    try:
        async for cue in cues:
            if cue.start_ns is not None:
                first_ns = cue.start_ns if first_ns is None else first_ns
                due_ns = began_ns + (cue.start_ns - first_ns) / speed
                await asyncio.sleep(max(0.0, (due_ns - time.monotonic_ns()) / NS_PER_S))
            yield cue
    finally:
        await cues.aclose()
