"""Ports of loopback that are free."""

from __future__ import annotations

import secrets
import socket


def free_neighbours() -> int:
    """Return a port that is free and has a free one after it.

    Below those that a kernel gives to clients: one of these could be taken at any moment.
    """
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
