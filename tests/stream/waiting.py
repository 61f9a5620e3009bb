"""Waiting for what must come about, however slow the machine is.

Enters: a condition. Leaves: once it holds. Tests wait for conditions, never for a time they hope is enough.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Returns once `condition` holds. Raises TimeoutError after `timeout_s`, which no healthy run comes
    near.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - any condition will do
            await asyncio.sleep(0.02)
