"""What a model's answers take: time, tokens, money. Lower is better, unlike for scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agent_orchestrator.domain.evaluation import CallRecord, ModelResult, by_example
from agent_orchestrator.domain.paired import paired_difference

Measure = Literal["latency_s", "tokens", "cost_usd"]


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """What tokens cost, USD each."""

    prompt: float
    completion: float

    def of(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Return what a call costs, USD."""
        return self.prompt * prompt_tokens + self.completion * completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Expense:
    """One measure, a call's mean."""

    measure: Measure
    baseline: float | None
    candidate: float | None
    change_pct: float | None
    """Above 0 is more, thus worse; None without a baseline, or with one of 0."""
    interval: tuple[float, float] | None
    """95 % interval of the mean paired difference candidate − baseline, clustered; each measure for
    itself. None when the data give no error."""


def tokens(call: CallRecord) -> int | None:
    """Return prompt and completion tokens; None unless both are known."""
    if call.prompt_tokens is None or call.completion_tokens is None:
        return None
    return call.prompt_tokens + call.completion_tokens


def cost(call: CallRecord, price: TokenPrice | None) -> float | None:
    """Return what a call's tokens cost, USD; None unless price and tokens are known."""
    if price is None or call.prompt_tokens is None or call.completion_tokens is None:
        return None
    return price.of(call.prompt_tokens, call.completion_tokens)


def total_cost(calls: Sequence[CallRecord]) -> float | None:
    """Return what the answers cost together; None unless each one's cost is known."""
    costs = [call.cost_usd for call in calls if call.error is None]
    known = [value for value in costs if value is not None]
    return math.fsum(known) if len(known) == len(costs) else None


_MEASURES: Final[Mapping[Measure, Callable[[CallRecord], float | None]]] = {
    "latency_s": lambda call: call.latency_s,
    "tokens": tokens,
    "cost_usd": lambda call: call.cost_usd,
}


def expenses(candidate: ModelResult, baseline: ModelResult | None) -> tuple[Expense, ...]:
    """Return every measure that the candidate has; a change is of the examples that both have."""
    found = []
    for measure, read in _MEASURES.items():
        after = by_example(candidate.calls, read)
        before = by_example(baseline.calls if baseline else (), read)
        if after:
            found.append(_expense(measure, before, after, candidate))
    return tuple(found)


def _expense(
    measure: Measure,
    before: Mapping[str, float],
    after: Mapping[str, float],
    candidate: ModelResult,
) -> Expense:
    groups = {call.example_id: call.group for call in candidate.calls}
    both = [example for example in after if example in before]
    if not both:
        mean = math.fsum(after.values()) / len(after)
        return Expense(
            measure=measure, baseline=None, candidate=mean, change_pct=None, interval=None
        )
    old = math.fsum(before[example] for example in both) / len(both)
    new = math.fsum(after[example] for example in both) / len(both)
    paired = paired_difference([after[e] - before[e] for e in both], [groups[e] for e in both])
    return Expense(
        measure=measure,
        baseline=old,
        candidate=new,
        change_pct=100.0 * (new - old) / old if old else None,
        interval=paired.interval,
    )
