"""What the serving processes share: how they log, and that none outlives who started it."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Final

WITH_PARENT: Final = "--with-parent"
"""Flag of a process whose standard input is a pipe that whoever started it holds open."""

_BLOCK: Final = 4096


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that every process has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(WITH_PARENT, action="store_true", help="end when standard input ends")
    return parser


def start_logging(level: str) -> None:
    """Log to stderr."""
    logging.basicConfig(
        stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(message)s"
    )


def when_parent_ends(stop: Callable[[], object]) -> None:
    """Call ``stop``, in a thread, when standard input ends.

    The kernel closes the other end of the pipe when the parent dies, even by SIGKILL.
    """

    def wait() -> None:
        while os.read(sys.stdin.fileno(), _BLOCK):
            pass
        stop()

    threading.Thread(target=wait, name="parent", daemon=True).start()
