"""What paho reads through a `Gulps` is what was sent, however it asks; and it is one call of the system."""

from __future__ import annotations

import socket

import numpy as np
import pytest

from stream.kiosk.wire import GULP, Gulps


class Counted:
    """A socket whose reads are counted."""

    def __init__(self, inner: socket.socket) -> None:
        self.inner, self.reads = inner, 0

    def recv(self, size: int) -> bytes:
        self.reads += 1
        return self.inner.recv(size)

    def fileno(self) -> int:
        return self.inner.fileno()


def test_read_in_pieces_is_what_was_sent_and_little_is_asked_of_the_system() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        counted = Counted(ours)
        gulps = Gulps(counted)
        assert gulps.fileno() == ours.fileno(), "else it is the socket it wraps"
        random = np.random.default_rng(0)
        sent = random.bytes(3000)
        theirs.sendall(sent)
        got = b"".join(gulps.recv(int(random.integers(1, 40))) for _ in range(60))
        assert gulps.pending() == len(sent) - len(got)
        while gulps.pending():
            got += gulps.recv(500)
        assert got == sent
        assert counted.reads == 1
        with pytest.raises(BlockingIOError):
            gulps.recv(1)
        theirs.sendall(sent * 3)
        big = gulps.recv(2 * GULP)
        assert big == (sent * 3)[: len(big)]
        assert len(big) > GULP, "who wants more gets more"
        theirs.close()
        while more := gulps.recv(GULP):
            big += more
        assert big == sent * 3
        assert gulps.recv(1) == b"", "the end stays the end"
