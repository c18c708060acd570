"""Texts that are nearly the same: shingles, MinHash signatures in bands, Jaccard similarity.

Broder, *On the resemblance and containment of documents* (1997); banding as in Leskovec, Rajaraman
and Ullman, *Mining of Massive Datasets*, chapter 3. With ten bands of six values a pair whose
similarity is 0.85 shares a band with probability 0.99, one of 0.5 with 0.15; candidates are then
compared exactly, so that a pair is sometimes missed and never invented.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Sequence
from typing import Final

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import normalised

THRESHOLD: Final = 0.85
"""Jaccard similarity of the shingles from which on two texts count as nearly the same."""
_BANDS: Final = 10
_ROWS: Final = 6
_SHINGLE: Final = 3
_SEED: Final = 1
#: Scripts without spaces between words: every character is one.
_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|\w+|[^\w\s]")


def shingles(text: str) -> frozenset[str]:
    """Return the runs of three words (or signs) of a text, normalised; a shorter text is one."""
    words = _WORD.findall(normalised(text))
    starts = range(max(1, len(words) - _SHINGLE + 1))
    return frozenset(" ".join(words[i : i + _SHINGLE]) for i in starts)


def bands(text: str) -> Sequence[int]:
    """Return ten signed 64-bit keys; texts that are nearly the same very likely share one."""
    from rensa import RMinHash  # noqa: PLC0415 - composing the system needs no signature

    signature = RMinHash(num_perm=_BANDS * _ROWS, seed=_SEED)
    signature.update(sorted(shingles(text)))
    values = signature.digest()
    return [_key(band, values[band * _ROWS : (band + 1) * _ROWS]) for band in range(_BANDS)]


def _key(band: int, values: Sequence[int]) -> int:
    content = struct.pack(f">B{_ROWS}I", band, *values)
    (key,) = struct.unpack(">q", hashlib.blake2b(content, digest_size=8).digest())
    return int(key)


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the Jaccard similarity of two sets of shingles, 0..1."""
    return len(one & other) / len(one | other)
