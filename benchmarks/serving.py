"""A server in a process of its own, for benchmarks that are its viewers.

Enters: options of `handstream serve`. Leaves: its address, its processor time and memory.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType

import psutil

ROOT = Path(__file__).parent.parent


class ServerProcess:
    """`with ServerProcess("--signer", "main:ase") as server:` starts one and ends it. Raises RuntimeError."""

    command = ("-m", "stream.cli")

    def __init__(self, *options: str) -> None:
        self._options = options
        self.url = ""

    def __enter__(self) -> ServerProcess:
        command = [sys.executable, *self.command, "--log-level", "warning", "serve", "--port", "0"]
        self._process = subprocess.Popen(
            [*command, *self._options], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            words = [word for word in line.split() if word.startswith("http")]
            if words:
                self.url = words[0].rstrip("/") + "/"
                break
        else:
            raise RuntimeError(f"the server ended with {self._process.wait()}; see what it said above")
        self._stats = psutil.Process(self._process.pid)
        urllib.request.urlopen(f"{self.url}healthz", timeout=10).close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def cpu_s(self) -> float:
        """Processor seconds used so far, all threads."""
        times = self._stats.cpu_times()
        return float(times.user + times.system)

    def memory_bytes(self) -> int:
        return int(self._stats.memory_info().rss)


def where() -> dict[str, object]:
    """Device and commit, for the JSON line."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "device": f"{platform.machine()}, {os.cpu_count()} cores",
        "commit": commit.stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
    }
