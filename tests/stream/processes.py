"""A `handstream` command in a process of its own, as a user starts it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Command:
    """`async with Command("serve", "--port", "0") as it:` runs it; `it.url` is the address it prints."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.arguments = arguments
        self.environment = os.environ | {"OMP_NUM_THREADS": "1"} | environment
        self.url = ""

    async def __aenter__(self) -> Command:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "stream.cli", "--log-level", "warning", *self.arguments,
            cwd=ROOT, env=self.environment, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(180):
                while line := (await self.process.stdout.readline()).decode():
                    if found := [word for word in line.split() if word.startswith("http://localhost")]:
                        self.url = found[0]
                        return self
        except TimeoutError:
            await self.stop()
        raise RuntimeError(f"{self.arguments}: ended with {self.process.returncode}")

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 60)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self.process.kill()
                await self.process.wait()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
