"""`python -m benchmarks.viewers [VIEWERS ...] [--seconds S]`: as `handstream bench viewers`."""

from __future__ import annotations

import itertools
import sys

from stream.cli import main

if __name__ == "__main__":
    arguments = sys.argv[1:]
    numbers = list(itertools.takewhile(str.isdigit, arguments))
    given = ["--viewers", *numbers] if numbers else []
    raise SystemExit(main(["bench", "viewers", *given, *arguments[len(numbers) :]]))
