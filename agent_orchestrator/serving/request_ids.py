"""Ids of requests: unique within this process, a client's own where that is safe."""

from __future__ import annotations

from collections import OrderedDict
from secrets import token_hex
from uuid import UUID

_REMEMBERED = 50_000


class RequestIds:
    """Gives every request its id.

    A client may bring a UUID of its own, so that it can give feedback without reading the answer's
    headers. One that was used before (a client library's retry carries the same headers) or that is
    no UUID is replaced: outcomes are told apart by this id.
    """

    def __init__(self) -> None:
        self._used: OrderedDict[str, None] = OrderedDict()

    def take(self, proposed: str | None = None) -> str:
        """Return ``proposed`` in canonical form if it is an unused UUID, else a fresh one."""
        taken = _canonical(proposed) if proposed is not None else None
        if taken is None or taken in self._used:
            taken = _fresh()
        self._used[taken] = None
        if len(self._used) > _REMEMBERED:
            self._used.popitem(last=False)
        return taken


def _fresh() -> str:
    """Return a random UUID (version 4): ``str(uuid4())`` in a third of its time."""
    text = token_hex(16)
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def _canonical(text: str) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        return None
