"""Weights, improvement and the recommendation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from agent_orchestrator.domain.paired import PairedDifference
from agent_orchestrator.errors import InputError

Recommendation = Literal["deploy", "deploy_canary", "needs_review", "reject"]

#: What decides, and how much. Other metrics are reported beside them.
DEFAULT_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "accuracy": 30.0,
        "workflow_completeness": 25.0,
        "token_efficiency": 20.0,
        "latency_threshold": 15.0,
        "mcp_integration_quality": 10.0,
    }
)

DEPLOY_ABOVE_PCT = 15.0
CANARY_ABOVE_PCT = 5.0
REJECT_BELOW_PCT = -5.0
METRIC_LOSS_PCT = -20.0
"""A single weighted metric that falls further than this rejects the candidate."""
SCORE_FLOOR = 0.5
"""A weighted score of the candidate below this rejects it."""

_DECIMALS = 9  # so that 0.80 → 0.92 is 15 %, whatever binary fractions make of it


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


def compare(
    baseline: Mapping[str, float] | None,
    candidate: Mapping[str, float],
    *,
    differences: Mapping[str, PairedDifference] | None = None,
    weights: Mapping[str, float] = DEFAULT_WEIGHTS,
) -> Comparison:
    """Recommend what to do with a candidate.

    Args:
        baseline: Metric → score 0..1, higher is better; None when there is no baseline.
        candidate: Metric → score 0..1 of the candidate. What was not measured is left out.
        differences: Metric → paired difference on the same examples, where it was measured. It is
            reported and may call a change unsupported; it does not change the recommendation.
        weights: Metric → share in the weighted mean. Only these metrics decide.
            ``agent_routing_accuracy`` takes the place of ``accuracy`` (task correctness of routing
            sets) when no model has an accuracy.

    Returns:
        The first rule that applies: a weighted metric worse by more than 20 % → reject; a weighted
        score of the candidate under 0.5 → reject; no baseline → deploy_canary; nothing to compare
        → needs_review; improvement > 15 % → deploy; > 5 % → deploy_canary; ≥ −5 % → needs_review;
        else reject. Percentages are rounded to 9 decimals first.

    Raises:
        InputError: a score is not a number in 0..1, or a weight is negative.
    """
    _check_scores("candidate", candidate)
    _check_scores("baseline", baseline or {})
    _check_weights(weights)
    weights = _for_routing(weights, baseline or {}, candidate)
    changes = tuple(_changes(baseline or {}, candidate, differences or {}, weights))
    weighted = [change for change in changes if change.weight > 0]
    improvement = _improvement(weighted)
    recommendation, reasons = _decide(weighted, improvement, has_baseline=baseline is not None)
    notes = (
        *(_missing(weighted, weights) if baseline is not None else ()),
        *_unsupported(changes, differences or {}),
    )
    return Comparison(
        improvement_pct=improvement,
        recommendation=recommendation,
        reasons=(*reasons, *notes),
        changes=changes,
    )


def _check_scores(who: str, scores: Mapping[str, float]) -> None:
    for metric, score in scores.items():
        if not _is_score(score):
            raise InputError(
                f"Score {metric!r} of the {who} is {score!r}.",
                remedy="Scores lie in 0..1; leave out what was not measured.",
            )


def _is_score(value: object) -> bool:
    return isinstance(value, int | float) and 0.0 <= value <= 1.0  # False for NaN


def _check_weights(weights: Mapping[str, float]) -> None:
    for metric, weight in weights.items():
        if not (weight >= 0.0 and math.isfinite(weight)):
            raise InputError(
                f"Weight of {metric!r} is {weight!r}.", remedy="Weights are numbers ≥ 0."
            )


def _for_routing(
    weights: Mapping[str, float], baseline: Mapping[str, float], candidate: Mapping[str, float]
) -> Mapping[str, float]:
    """Give accuracy's weight to agent_routing_accuracy when no model has an accuracy."""
    measured = baseline.keys() | candidate.keys()
    if "accuracy" in measured or "agent_routing_accuracy" not in measured:
        return weights
    if "accuracy" not in weights or "agent_routing_accuracy" in weights:
        return weights
    return {
        "agent_routing_accuracy" if metric == "accuracy" else metric: weight
        for metric, weight in weights.items()
    }


def _changes(
    baseline: Mapping[str, float],
    candidate: Mapping[str, float],
    differences: Mapping[str, PairedDifference],
    weights: Mapping[str, float],
) -> Iterator[MetricChange]:
    """Yield the change of every measured metric, weighted ones first."""
    measured = baseline.keys() | candidate.keys()
    order = [m for m in weights if m in measured] + sorted(measured - weights.keys())
    for metric in order:
        before, after = baseline.get(metric), candidate.get(metric)
        paired = differences.get(metric)
        yield MetricChange(
            metric=metric,
            baseline=before,
            candidate=after,
            change_pct=_change_pct(before, after),
            weight=weights.get(metric, 0.0),
            difference=paired.mean if paired else None,
            interval=paired.interval if paired else None,
            supported=paired.supported if paired else None,
        )


def _change_pct(before: float | None, after: float | None) -> float | None:
    if not before or after is None:
        return None
    return round((after - before) / before * 100.0, _DECIMALS)


def _improvement(weighted: list[MetricChange]) -> float | None:
    """Return the mean change over the metrics that have one, weights renormalised."""
    terms = [(c.weight, c.change_pct) for c in weighted if c.change_pct is not None]
    if not terms:
        return None
    total = math.fsum(weight for weight, _ in terms)
    return round(math.fsum(weight * change for weight, change in terms) / total, _DECIMALS)


def _decide(
    weighted: list[MetricChange], improvement: float | None, *, has_baseline: bool
) -> tuple[Recommendation, tuple[str, ...]]:
    """Apply the rules in their order; the reasons say which one decided."""
    objections = (*_losses(weighted), *_low_scores(weighted))
    if objections:
        return "reject", objections
    if not has_baseline:
        if not weighted:
            return "needs_review", ("No weighted metric was measured.",)
        return "deploy_canary", ("There is no baseline; a canary compares on real traffic.",)
    if improvement is None:
        return "needs_review", ("No weighted metric can be compared with the baseline.",)
    return _by_improvement(improvement)


def _by_improvement(improvement: float) -> tuple[Recommendation, tuple[str, ...]]:
    change = _pct(improvement)
    if improvement > DEPLOY_ABOVE_PCT:
        return "deploy", (f"Weighted improvement {change}, above 15 %.",)
    if improvement > CANARY_ABOVE_PCT:
        return "deploy_canary", (f"Weighted improvement {change}, above 5 % and at most 15 %.",)
    if improvement >= REJECT_BELOW_PCT:
        return "needs_review", (f"Weighted improvement {change}, between −5 % and 5 %.",)
    return "reject", (f"Weighted improvement {change}, below −5 %.",)


def _losses(weighted: list[MetricChange]) -> Iterator[str]:
    for c in weighted:
        if c.change_pct is not None and c.change_pct < METRIC_LOSS_PCT:
            yield (
                f"{c.metric} changed by {_pct(c.change_pct)} ({c.baseline:.4g} → "
                f"{c.candidate:.4g}), a loss of more than 20 %."
            )


def _low_scores(weighted: list[MetricChange]) -> Iterator[str]:
    for c in weighted:
        if c.candidate is not None and c.candidate < SCORE_FLOOR:
            yield f"{c.metric} of the candidate is {c.candidate:.9g}, below 0.5."


def _missing(weighted: list[MetricChange], weights: Mapping[str, float]) -> Iterator[str]:
    """Name the weighted metrics that left the mean, and why."""
    for c in weighted:
        if c.baseline is None or c.candidate is None:
            who = "baseline" if c.baseline is None else "candidate"
            yield f"{c.metric} was not measured for the {who} and left the mean."
        elif c.baseline == 0.0:
            yield f"{c.metric} of the baseline is 0, so it has no percentage and left the mean."
    measured = {c.metric for c in weighted}
    absent = [m for m, weight in weights.items() if weight > 0 and m not in measured]
    if absent:
        yield f"Not measured: {', '.join(absent)}; the other weights were renormalised."


def _unsupported(
    changes: tuple[MetricChange, ...], differences: Mapping[str, PairedDifference]
) -> Iterator[str]:
    """Say which changes the examples do not settle."""
    for c in changes:
        if c.supported is not False or c.interval is None:
            continue
        low, high = c.interval
        needed = differences[c.metric].examples_needed
        more = f"; about {needed} more examples would settle it" if needed else ""
        yield (
            f"{c.metric}: the change of {c.difference:+.3f} is not supported, its interval "
            f"{low:+.3f} … {high:+.3f} includes 0{more}."
        )


def _pct(value: float) -> str:
    """Format with one decimal, or with all where one would hide on which side of a limit it is."""
    short = f"{value:+.1f}"
    limits = (DEPLOY_ABOVE_PCT, CANARY_ABOVE_PCT, REJECT_BELOW_PCT, METRIC_LOSS_PCT)
    text = f"{value:+.{_DECIMALS}f}".rstrip("0") if float(short) in limits else short
    return f"{text.rstrip('.').replace('-', '−')} %"
