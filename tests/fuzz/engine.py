"""Runs damaged inputs through readers, and keeps the books.

Enters: readers, a number, a seed. Leaves: a `Report`. Does not know what is read.
"""

from __future__ import annotations

import random
import time
import traceback
from dataclasses import dataclass, field

from tests.fuzz.readers import Reader

HANG_S = 1.0
NASTY = (
    b"\x00", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xed\xa0\x80", b"\xf0\x9f\x91\xa9", b"9" * 400, b"-1",
    b"1e999",
    b"NaN", b"null", b"[" * 60, b"{\"a\":" * 30, b'"', b"\\", b"\r\n", b"\r\n\r\n", b"\xdd\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\x90", b"\xc1", b"=", b":", b" " * 90,
)  # fmt: skip


@dataclass
class Report:
    """inputs per reader; crashes and hangs with what did it; the slowest input, in ms of the processor."""

    inputs: dict[str, int] = field(default_factory=dict)
    crashes: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)
    slowest_ms: dict[str, float] = field(default_factory=dict)


def damaged(data: bytes, chance: random.Random, most: int = 100_000) -> bytes:
    """Up to six changes: cut, repeat, move, overwrite, insert, flip a bit."""
    for _ in range(chance.randint(1, 6)):
        a, b = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
        kind = chance.randrange(6)
        if kind == 0 and chance.random() < 0.5:
            data = data[:a] + data[b:]
        elif kind == 1:
            data = data[:b] + data[a : min(b, a + 500)] + data[b:]
        elif kind == 2:
            data = data[:a] + data[b:] + data[a:b]
        elif kind == 3:
            data = data[:a] + chance.randbytes(min(4, len(data) - a)) + data[a + 4 :]
        elif kind == 4:
            data = data[:a] + chance.choice(NASTY) + data[a:]
        elif data:
            at = min(a, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        data = data[:most]
    return data


def fuzz(readers: dict[str, Reader], inputs: int, seed: int = 0) -> Report:
    """That many inputs, each to one reader."""
    chance, report = random.Random(seed), Report()
    names = list(readers)
    shares = [readers[name].share for name in names]
    for _ in range(inputs):
        name = chance.choices(names, shares)[0]
        reader = readers[name]
        data = damaged(chance.choice(reader.seeds), chance)
        report.inputs[name] = report.inputs.get(name, 0) + 1
        began_s = time.thread_time()
        try:
            reader.read(data)
        except Exception:
            report.crashes.append(f"{name}: {data[:600]!r}\n{traceback.format_exc()}")
        took_s = time.thread_time() - began_s
        report.slowest_ms[name] = round(max(report.slowest_ms.get(name, 0.0), took_s * 1e3), 1)
        if took_s > HANG_S:
            report.hangs.append(f"{name}: {took_s:.1f} s: {data[:600]!r}")
    return report
