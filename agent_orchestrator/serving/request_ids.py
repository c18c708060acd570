"""Ids of requests: unique within this process, a client's own where that is safe."""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID, uuid4

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
            taken = str(uuid4())
        self._used[taken] = None
        if len(self._used) > _REMEMBERED:
            self._used.popitem(last=False)
        return taken


def _canonical(text: str) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        return None
