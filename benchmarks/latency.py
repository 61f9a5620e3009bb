"""`python -m benchmarks.latency [POSTS] [--codec H264|VP8]`: as `handstream bench latency`."""

from __future__ import annotations

import sys

from stream.cli import main

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments and arguments[0].isdigit():
        arguments = ["--posts", *arguments]
    raise SystemExit(main(["bench", "latency", *arguments]))
