"""paho's reading and writing in as few system calls and turns of the loop as can be; reaches into paho.

Enters: a paho client that aiomqtt drives. Leaves: the same one, quicker. Does not know what is sent. Beside a
thread that computes, the loop may lose its turn at the interpreter with each system call, and waits for it
each time that it looks for what is ready. As it comes, an answer takes eleven such calls: three or four to
read the command, a byte here and there, one to wake a thread that there is not, and two looks until the loop
has noticed that the socket takes what was queued. Here one reads all there is, and whoever publishes has
written when it is done.
"""

from __future__ import annotations

import socket
from typing import Any

GULP = 4096
"""Bytes read at once, if nobody wants more: some fifty commands, which are parsed before others have their
turn."""


class Gulps:
    """A socket for paho, which asks for a byte, another, and the rest; it is asked for all there is."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._left = memoryview(b"")

    def recv(self, size: int) -> bytes:
        """At most `size` bytes, none at the end. Raises what the socket raises when there are none yet."""
        if not self._left:
            self._left = memoryview(self._inner.recv(max(size, GULP)))
        taken, self._left = bytes(self._left[:size]), self._left[size:]
        return taken

    def pending(self) -> int:
        """Bytes that are here and will not make the socket readable; aiomqtt reads on while there are any."""
        below = getattr(self._inner, "pending", None)
        return len(self._left) + (below() if below is not None else 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def read_in_gulps(paho: Any) -> None:
    """Before it connects."""
    create = paho._create_socket

    def create_socket() -> Gulps:
        inner = create()
        # Without it a QoS 1 round trip takes 44 ms: Nagle's algorithm meets a delayed acknowledgement.
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Gulps(inner)

    paho._create_socket = create_socket


def write_at_once(paho: Any) -> None:
    """When it is connected, on the loop: what the socket does not take is left to aiomqtt, as before."""
    later = paho.on_socket_register_write

    def write(paho: Any, data: Any, sock: Any) -> None:
        paho.loop_write()
        if paho.want_write():
            later(paho, data, sock)

    paho.on_socket_register_write = write
    paho._reset_sockets(sockpair_only=True)  # nobody listens at the other end
