"""The server under test: `handstream serve` with stamped pictures, and with faults when standard input asks.

    python -m stream.bench.target serve [options of `handstream serve`]

Enters: arguments; on standard input, a line for each fault: `raise`, `hang SECONDS`, `slow SECONDS`,
`slow SECONDS EACH`, `encoder`. Leaves: what the server leaves. Nothing of it can be reached from the
network, and `handstream serve` has none.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence

from engine.signals import MotionFrame
from renderer.base import Bytes, Picture, Renderer
from stream import cli, encoder, serve_command
from stream.bench.stamp import Stamped
from stream.config import Config, SignerSettings
from stream.performer import Cast
from stream.server import Beside
from stream.shot import Shot

SLOW_S = 0.1
"""What each drawing takes longer while it is slow, if not told otherwise: two and a half frames."""


ORPHAN_S = 10.0
"""How long it outlives whoever started it."""


class Faults:
    """What is to go wrong next. Written by one thread, read by those of renderer and encoders."""

    def __init__(self) -> None:
        self._raise = self._encoder = False
        self._hang_s = 0.0
        self._slow_until_s, self._slow_s = 0.0, SLOW_S

    def order(self, line: str) -> None:
        """Raises ValueError for an order it does not know."""
        what, _, number = line.strip().partition(" ")
        if what == "raise":
            self._raise = True
        elif what == "encoder":
            self._encoder = True
        elif what == "hang":
            self._hang_s = float(number)
        elif what == "slow":
            seconds, _, each = number.partition(" ")
            self._slow_s = float(each) if each else SLOW_S
            self._slow_until_s = time.monotonic() + float(seconds)
        else:
            raise ValueError(
                f"fault: got {line!r}, expected raise, hang SECONDS, slow SECONDS [EACH] or encoder"
            )

    def draw(self) -> None:
        """Before a drawing."""
        if self._raise:
            self._raise = False
            raise RuntimeError("the renderer was killed, on request")
        hang_s, self._hang_s = self._hang_s, 0.0
        if hang_s:
            time.sleep(hang_s)
        if time.monotonic() < self._slow_until_s:
            time.sleep(self._slow_s)

    def encode(self) -> None:
        """Before an encoding."""
        if self._encoder:
            self._encoder = False
            raise RuntimeError("the encoder failed, on request")


class Faulty:
    """A renderer that fails when it is told to."""

    def __init__(self, inner: Renderer, faults: Faults) -> None:
        self._inner, self._faults = inner, faults

    def open(self) -> None:
        self._inner.open()

    def render(self, motion: MotionFrame) -> Picture:
        self._faults.draw()
        return self._inner.render(motion)

    def rgba(self, motion: MotionFrame) -> Bytes:
        return self._inner.rgba(motion)

    def close(self) -> None:
        self._inner.close()


def under_test(cast: Cast, faults: Faults) -> Cast:
    """The cast with stamped pictures, and faults in the renderer that it prefers."""

    def renderer(settings: SignerSettings) -> Renderer:
        return Stamped(Faulty(cast.renderer(settings), faults))

    def sound(settings: SignerSettings) -> Renderer:
        return Stamped((cast.fallback or cast.renderer)(settings))

    return dataclasses.replace(cast, renderer=renderer, fallback=sound)


def _break_encoders(faults: Faults) -> None:
    sound = encoder.VideoEncoder.encode

    def encode(self: encoder.VideoEncoder, shot: Shot, keyframe: bool = False) -> encoder.EncodedFrame | None:
        faults.encode()
        return sound(self, shot, keyframe)

    encoder.VideoEncoder.encode = encode  # type: ignore[method-assign]


def _obey(faults: Faults) -> None:
    for line in sys.stdin:
        faults.order(line)
    # Whoever measured is gone. Killed, it could not end us; otherwise its signal is on its way already.
    time.sleep(ORPHAN_S)
    os.kill(os.getpid(), signal.SIGTERM)


def serve(config: Config, beside: Sequence[Beside] = ()) -> int:
    """As `stream.server.serve`, under test."""
    import uvloop

    from stream.cast import default_cast
    from stream.server import run

    faults = Faults()
    _break_encoders(faults)
    threading.Thread(target=_obey, args=(faults,), name="faults", daemon=True).start()
    cast = default_cast(config)
    try:
        uvloop.run(run(config, under_test(cast, faults), beside=beside))
    finally:
        cast.close()
    return 0


def main() -> int:
    import stream.server

    stream.server.serve = serve
    assert serve_command.__name__ == cli.COMMANDS["serve"][0], "the command that calls what is replaced here"
    return cli.main()


if __name__ == "__main__":
    raise SystemExit(main())
