"""A server in a process of its own, for benchmarks that are its viewers.

Enters: options of `handstream serve`. Leaves: its address, its processor time and memory, its metrics.
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from stream.bench.outcome import ROOT, where

__all__ = ["ServerProcess", "StampedServer", "where"]

ENDS_S = 20.0


class ServerProcess:
    """`with ServerProcess("--signer", "main:ase") as server:` starts one and ends it. Raises RuntimeError.

    log: a file for what it says; by default it says warnings on our standard error.
    """

    command: tuple[str, ...] = ("-m", "stream.cli")
    subcommand = "serve"

    def __init__(self, *options: str, log: Path | None = None) -> None:
        self._options = options
        self._log = log
        self.url = ""

    def __enter__(self) -> Self:
        command = [sys.executable, *self.command, "--log-level", "warning", self.subcommand, "--port", "0"]
        said = self._log.open("ab") if self._log is not None else None
        try:
            self._process = subprocess.Popen(
                [*command, *self._options],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        finally:
            if said is not None:
                said.close()
        assert self._process.stdout is not None
        for line in self._process.stdout:
            words = [word for word in line.split() if word.startswith("http")]
            if words:
                self.url = words[0].rstrip("/") + "/"
                break
        else:
            raise RuntimeError(f"the server ended with {self._process.wait()}; see what it said above")
        urllib.request.urlopen(f"{self.url}healthz", timeout=10).close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def until_ready(self, timeout_s: float = 180.0) -> None:
        """Wait until letters are warm and frames flow. Raises TimeoutError."""
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            try:
                urllib.request.urlopen(f"{self.url}readyz", timeout=10).close()
                return
            except OSError:
                time.sleep(0.2)
        raise TimeoutError(f"the server was not ready within {timeout_s:.0f} s; ask {self.url}readyz why")

    def metrics(self) -> dict[str, float]:
        """Its /metrics: values by the name of the sample, those of different labels added up, and by name and
        label where there is one label.
        """
        with urllib.request.urlopen(f"{self.url}metrics", timeout=10) as answer:
            return totals(answer.read().decode())

    def cpu_s(self) -> float:
        """Processor seconds used so far, all threads."""
        return self.metrics()["process_cpu_seconds_total"]

    def memory_bytes(self) -> int:
        return int(self.metrics()["process_resident_memory_bytes"])


def totals(text: str) -> dict[str, float]:
    """The samples of a metrics page, as `ServerProcess.metrics` has them."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
            if len(sample.labels) == 1:
                ((label, value),) = sample.labels.items()
                found[f'{sample.name}{{{label}="{value}"}}'] = sample.value
    return found


class StampedServer(ServerProcess):
    """A server whose pictures are stamped (stamp.py) and that breaks on command (target.py)."""

    command = ("-m", "stream.bench.target")

    def fault(self, what: str) -> None:
        """Have something break now, as `target.Faults` understands it."""
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
