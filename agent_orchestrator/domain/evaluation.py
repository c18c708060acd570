"""What an evaluation of a candidate against a baseline found."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agent_orchestrator.domain.scoring import Comparison

MAX_FAILED_SHARE: Final = 0.1
"""Share of a model's calls that may fail; beyond, they measure the connection, not the model."""


def bearable_failures(calls: int) -> int:
    """Return how many of ``calls`` may fail."""
    return math.ceil(MAX_FAILED_SHARE * calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One model call on one example.

    A failed call has an ``error``, no answer, and counts as wrong for accuracy; it has no other
    score.
    """

    example_id: str
    group: str
    """Cluster of the example (e.g. its source file); examples of a group are not independent."""
    category: str
    """For break-downs, e.g. the defect's kind; empty when the data set has none."""
    expected: str
    answer: str | None
    latency_s: float | None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    """None unless the model's price is known."""
    error: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    """Metric → score 0..1. What was not measured is absent."""
    ended_at: str | None = None
    """ISO 8601: when the answer was there."""
    repetition: int = 0
    """Which asking of the example it is, from 0."""
    cached: bool = False
    """Whether an earlier run had paid for the answer; such a call has no latency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """One model's run over the examples."""

    model: str
    version: str | None
    calls: tuple[CallRecord, ...]
    scores: Mapping[str, float]
    """Mean per metric over the calls that have it."""
    failed_calls: int
    avg_latency_ms: float | None
    total_tokens: int | None
    cost_usd: float | None = None
    """Of all answers; None unless each one's is known."""

    @property
    def cached_calls(self) -> int:
        """Answers that an earlier run had paid for."""
        return sum(call.cached for call in self.calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalReport:
    """Candidate against baseline on the same examples."""

    agent: str
    dataset: str
    dataset_hash: str
    candidate: ModelResult
    baseline: ModelResult | None
    comparison: Comparison
    n_examples: int
    examples_needed: int | None
    """Further examples that would settle an undecided accuracy change; None when it is settled."""
    experiment_url: str | None = None
    """LangSmith's page that compares the arms; None when nothing was uploaded."""
    upload_error: str | None = None
    """Why LangSmith did not take the experiments; None when it did, or was not to."""
    evaluated_at: str = ""
    """ISO 8601, UTC."""
    repetitions: int = 1
    """How often each example was asked."""
    tasks: Mapping[str, str] = field(default_factory=dict)
    """Example id → what was asked."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Metrics, targets and limits it was measured with, JSON."""


def by_example(
    calls: Iterable[CallRecord], read: Callable[[CallRecord], float | None]
) -> dict[str, float]:
    """Return example id → mean over its repetitions of what ``read`` finds; None is left out."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for call in calls:
        value = read(call)
        if value is not None:
            found[call.example_id].append(value)
    return {example: math.fsum(values) / len(values) for example, values in found.items()}
