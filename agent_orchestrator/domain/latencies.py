"""The quantiles of latencies that people look at."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

QUANTILES = (0.50, 0.95, 0.99)
"""Those of ``Latencies``, in the order of its fields."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """Quantiles of some latencies, in their unit. Each is one that was measured."""

    p50: float
    p95: float
    p99: float


def latencies(values: Iterable[float]) -> Latencies:
    """Return the quantiles of ``values`` by nearest rank. Raises ValueError without a value."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("There are no latencies.")
    return Latencies(*(ordered[rank(q, len(ordered))] for q in QUANTILES))


def rank(quantile: float, count: int) -> int:
    """Return the place, from 0, of a quantile among ``count`` ≥ 1 ordered values: nearest rank."""
    return max(0, math.ceil(quantile * count) - 1)
