"""Weights, improvement and the recommendation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Recommendation = Literal["deploy", "deploy_canary", "needs_review", "reject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricChange:
    """One metric of the candidate beside the baseline's."""

    metric: str
    baseline: float | None
    candidate: float | None
    change_pct: float | None
    """(candidate − baseline) / baseline × 100; None with a zero or missing baseline."""
    weight: float
    """Share in the weighted mean before renormalising, 0 for reported-only metrics."""
    difference: float | None = None
    """Mean paired difference candidate − baseline."""
    interval: tuple[float, float] | None = None
    """95 % interval of ``difference``; None when it was not measured pairwise."""
    supported: bool | None = None
    """Whether the interval excludes 0; None without an interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The outcome of ``compare``."""

    improvement_pct: float | None
    """Weighted mean change in percent; None when no metric could be compared."""
    recommendation: Recommendation
    reasons: tuple[str, ...]
    changes: tuple[MetricChange, ...] = field(default_factory=tuple)
