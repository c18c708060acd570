"""A log in a file that grows: its end, or page by page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from agent_orchestrator.domain.jobs import LogPart

_BLOCK: Final = 64 * 1024
"""Bytes that are read at most; a longer line comes in pieces."""


def read_part(path: Path, after: int | None, most: int, *, growing: bool) -> LogPart:
    """Return at most so many lines from byte ``after`` on, with None the last ones.

    While it is ``growing``, a last line without its end is left for later. A file that is not there
    has no lines yet.
    """
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            start = max(0, size - _BLOCK) if after is None else min(after, size)
            log.seek(start)
            read = log.read(_BLOCK)
    except FileNotFoundError:
        return LogPart((), 0)
    if after is None and start > 0:  # the block may begin within a line
        cut = read.find(b"\n") + 1
        start, read = start + cut, read[cut:]
    lines = _lines(read, whole=not growing and start + len(read) >= size)
    if after is None:
        end = start + sum(map(len, lines))
        lines = lines[-most:] if most > 0 else []
    else:
        lines = lines[:most]
        end = start + sum(map(len, lines))
    return LogPart(tuple(map(_shown, lines)), end)


def _lines(read: bytes, *, whole: bool) -> list[bytes]:
    """Return the lines with their ends; the last without one only when ``whole``, or alone."""
    *ended, rest = read.split(b"\n")
    lines = [line + b"\n" for line in ended]
    if rest and (whole or (not lines and len(read) >= _BLOCK)):
        lines.append(rest)
    return lines


def _shown(line: bytes) -> str:
    """Return a line as a terminal would show it: a carriage return begins it anew."""
    return line.decode(errors="replace").rstrip("\r\n").rpartition("\r")[2]
