"""Ports of loopback that are free.

Below those that a kernel gives to clients: one of these could be taken at any moment.
"""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack


def free_port() -> int:
    """Return a port that is free."""
    return _first_of_free(1)


def free_neighbours() -> int:
    """Return a port that is free and has a free one after it."""
    return _first_of_free(2)


def _first_of_free(count: int) -> int:
    while True:
        first = 20_000 + secrets.randbelow(10_000)
        try:
            with ExitStack() as held:
                for port in range(first, first + count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
