"""Several models and modes on the same examples: what was measured, and what it supports.

An arm is a model in a mode. Repetitions of an example are averaged before arms are compared, and
examples of a group count as one cluster, so that asking more often does not feign certainty. All
comparisons with the baseline are one family and are corrected together (Holm).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agent_orchestrator.domain.evaluation import CallRecord, bearable_failures, by_example
from agent_orchestrator.domain.expenses import tokens
from agent_orchestrator.domain.paired import (
    Paired,
    PairedDifference,
    adjusted,
    corrected,
    paired_difference,
)

PREFERRED: Final = "preferred"
"""The metric of a pairwise judge: 1 the arm's answer is better, ½ a tie, 0 the baseline's is."""
INDIFFERENT: Final = 0.5


@dataclass(frozen=True, slots=True)
class Arm:
    """A model in a mode."""

    model: str
    mode: str

    @property
    def name(self) -> str:
        """How people call it."""
        return f"{self.model} · {self.mode}"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean of scores 0..1 with its 95 % interval, clustered, not corrected, cut at 0 and 1."""

    mean: float
    interval: tuple[float, float] | None
    n: int
    """Calls that have the score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRun:
    """One arm's calls."""

    arm: Arm
    calls: Sequence[CallRecord]
    """A repeated example has several, under its id."""
    cost_usd: float | None
    """None when a price is not known."""
    preferences: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Example id → the judge's verdicts against the baseline; empty without a pairwise judge."""

    @property
    def usable(self) -> bool:
        """Whether enough calls were answered to compare the arm."""
        failed = sum(call.error is not None for call in self.calls)
        return failed <= bearable_failures(len(self.calls))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmResult:
    """One arm in figures. Lower is better for latency, tokens and cost."""

    model: str
    mode: str
    scores: Mapping[str, Estimate]
    calls: int
    failed_calls: int
    compared: bool
    """False when too many of its calls failed."""
    cached_calls: int
    avg_latency_s: float | None
    avg_tokens: float | None
    cost_usd: float | None

    @property
    def name(self) -> str:
        """How people call it."""
        return Arm(self.model, self.mode).name


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One arm against the baseline in one metric."""

    arm: str
    metric: str
    difference: float
    interval: tuple[float, float] | None
    """It excludes 0 exactly where Holm's procedure, over all contrasts, rejects."""
    p_value: float | None
    p_adjusted: float | None
    supported: bool | None
    examples_needed: int | None
    """Further examples that would settle it if effect and spread stay as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentReport:
    """What an experiment found."""

    name: str
    description: str
    examples: str
    """Where they are from."""
    examples_hash: str
    n_examples: int
    n_groups: int
    repetitions: int
    baseline: str
    arms: tuple[ArmResult, ...]
    contrasts: tuple[Contrast, ...]
    by_category: Mapping[str, Mapping[str, float]]
    """Category → arm → mean accuracy."""
    categories: Mapping[str, int]
    """Category → examples."""
    failures: tuple[tuple[str, str, str], ...]
    """(arm, example id, error) of the calls that got no answer, the first of them."""
    run_at: str
    """ISO 8601, UTC."""
    experiment_url: str | None = None
    """LangSmith's page that compares the arms; None when nothing was uploaded."""
    upload_error: str | None = None
    """Why LangSmith did not take the experiments; None when it did, or was not to."""
    settings: Mapping[str, Any] = field(default_factory=dict)


SHOWN_FAILURES: Final = 50


def summary(run: ArmRun) -> ArmResult:
    """Return an arm in figures."""
    scores: dict[str, Estimate] = {}
    for metric in sorted({metric for call in run.calls for metric in call.scores}):
        scored = [call for call in run.calls if metric in call.scores]
        scores[metric] = estimate(
            [call.scores[metric] for call in scored], [call.group for call in scored]
        )
    if run.preferences:
        groups = {call.example_id: call.group for call in run.calls}
        verdicts = [(v, groups[e]) for e, values in run.preferences.items() for v in values]
        scores[PREFERRED] = estimate([v for v, _ in verdicts], [g for _, g in verdicts])
    return ArmResult(
        model=run.arm.model,
        mode=run.arm.mode,
        scores=scores,
        calls=len(run.calls),
        failed_calls=sum(call.error is not None for call in run.calls),
        compared=run.usable,
        cached_calls=sum(call.cached for call in run.calls),
        avg_latency_s=_mean(c.latency_s for c in run.calls),
        avg_tokens=_mean(tokens(c) for c in run.calls),
        cost_usd=run.cost_usd,
    )


def contrasts(baseline: ArmRun, others: Sequence[ArmRun], metrics: Sequence[str]) -> list[Contrast]:
    """Compare every usable arm with the baseline in every metric that both have, as one family."""
    family: dict[tuple[str, str], Paired] = {}
    for run in others if baseline.usable else ():
        for metric in metrics if run.usable else ():
            pairs = _preferences(run) if metric == PREFERRED else _pairs(baseline, run, metric)
            if pairs is not None:
                family[run.arm.name, metric] = pairs
    plain = {key: pairs.test() for key, pairs in family.items()}
    known = {key: found.p_value for key, found in plain.items() if found.p_value is not None}
    after = adjusted(known)
    return [
        _contrast(key, found, known.get(key), after.get(key))
        for key, found in corrected(family).items()
    ]


def accuracy_by_category(runs: Sequence[ArmRun]) -> dict[str, dict[str, float]]:
    """Return category → arm → mean accuracy; empty when examples have no categories."""
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for run in runs:
        scores: defaultdict[str, list[float]] = defaultdict(list)
        for call in run.calls:
            if call.category and "accuracy" in call.scores:
                scores[call.category].append(call.scores["accuracy"])
        for category, values in sorted(scores.items()):
            found[category][run.arm.name] = math.fsum(values) / len(values)
    return dict(found)


def _contrast(
    key: tuple[str, str], found: PairedDifference, p: float | None, adjusted_p: float | None
) -> Contrast:
    return Contrast(
        arm=key[0],
        metric=key[1],
        difference=found.mean,
        interval=found.interval,
        p_value=p,
        p_adjusted=adjusted_p,
        supported=found.supported,
        examples_needed=found.examples_needed,
    )


def _pairs(baseline: ArmRun, other: ArmRun, metric: str) -> Paired | None:
    """Return the differences of the examples' means over their repetitions."""
    before, after = (
        by_example(run.calls, lambda call: call.scores.get(metric)) for run in (baseline, other)
    )
    both = [example for example in after if example in before]
    if not both:
        return None
    groups = {call.example_id: call.group for call in other.calls}
    return Paired([after[e] - before[e] for e in both], [groups[e] for e in both])


def _preferences(run: ArmRun) -> Paired | None:
    """Return how far the examples' mean preference is from indifference."""
    groups = {call.example_id: call.group for call in run.calls}
    means = {e: math.fsum(v) / len(v) for e, v in run.preferences.items() if v}
    if not means:
        return None
    return Paired(
        [m - INDIFFERENT for m in means.values()], [groups[e] for e in means], INDIFFERENT
    )


def estimate(values: Sequence[float], clusters: Sequence[str]) -> Estimate:
    """Return the mean of scores with its interval; ``clusters`` names each one's group."""
    found = paired_difference(values, clusters)
    inside = found.interval and (max(0.0, found.interval[0]), min(1.0, found.interval[1]))
    return Estimate(found.mean, inside, found.n)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
