"""What an evaluation's report says, before it is laid out: pure, from the EvalReport alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import normalised
from agent_orchestrator.agents.infrastructure.modelops.reports.wording import (
    number,
    percent,
    plural,
    seconds,
    thousands,
)
from agent_orchestrator.domain.evaluation import CallRecord, EvalReport, ModelResult
from agent_orchestrator.domain.expenses import expenses
from agent_orchestrator.domain.scoring import MetricChange

NO_ANSWER: Final = "(no answer)"
OTHER: Final = "(other)"
_MAX_LABELS: Final = 12
_MAX_LABEL_CHARS: Final = 40

Kind = Literal["lost", "won", "other"]


def name_of(result: ModelResult) -> str:
    """Return how the report calls a model: its version, else its id."""
    return result.version or result.model


def headline(report: EvalReport) -> str:
    """Return the recommendation as a sentence."""
    candidate = name_of(report.candidate)
    baseline = name_of(report.baseline) if report.baseline else None
    match report.comparison.recommendation:
        case "deploy":
            return f"Deploy {candidate}: clearly better than {baseline}."
        case "deploy_canary" if baseline:
            return f"Try {candidate} on a canary: better than {baseline}."
        case "deploy_canary":
            return f"Try {candidate} on a canary: there is no baseline to compare with."
        case "reject" if (report.comparison.improvement_pct or 0.0) < 0.0:
            return f"Reject {candidate}: worse than {baseline}."
        case "reject":
            return f"Reject {candidate}: it falls short."
        case _:
            return f"{candidate} needs a review before anything is decided."


def lead(report: EvalReport) -> str:
    """Return what was found about the answers' correctness, in words."""
    change = correctness(report)
    examples = plural(report.n_examples, "held-out example")
    if change is None or change.candidate is None:
        return f"Measured on {examples}; none of them says what is right."
    first = f"On {examples}, {name_of(report.candidate)} got {percent(change.candidate)} right"
    if report.baseline is None or change.baseline is None:
        return f"{first}."
    first += f" and {name_of(report.baseline)} {percent(change.baseline)}"
    if change.interval is None or change.difference is None:
        return f"{first}."
    low, high = (number(100 * bound, 1, signed=True) for bound in change.interval)
    points = number(100 * change.difference, 1, signed=True)
    first += f": a difference of {points} points, 95 % interval {low} … {high}."
    if change.supported:
        return f"{first} The examples support it."
    more = report.examples_needed
    settle = f"; about {thousands(more)} more would settle it" if more else ""
    return f"{first} These examples do not settle it{settle}."


def correctness(report: EvalReport) -> MetricChange | None:
    """Return the metric that says how often the answer was right."""
    found = {change.metric: change for change in report.comparison.changes}
    return found.get("accuracy") or found.get("agent_routing_accuracy")


@dataclass(frozen=True, slots=True)
class Tile:
    """One key figure."""

    name: str
    value: str
    note: str = ""


def tiles(report: EvalReport) -> list[Tile]:
    """Return the key figures."""
    right, candidate, baseline = correctness(report), report.candidate, report.baseline
    decided = [c.metric for c in report.comparison.changes if c.weight and c.change_pct is not None]
    failed = [result.failed_calls for result in (candidate, baseline) if result]
    groups = len({call.group for call in candidate.calls})
    found = []
    if decided:
        improvement = _pct(report.comparison.improvement_pct)
        found.append(
            Tile("Improvement", improvement, f"weighted, {plural(len(decided), 'metric')}")
        )
    if right:
        before = percent(right.baseline) if right.baseline is not None else ""
        name = right.metric.replace("_", " ").capitalize()
        found.append(Tile(name, percent(right.candidate), before and f"from {before}"))
    if candidate.avg_latency_ms is not None:
        before = _milliseconds(baseline.avg_latency_ms if baseline else None)
        latency = _milliseconds(candidate.avg_latency_ms)
        found.append(Tile("Mean latency", latency, before and f"from {before}"))
    results = [result for result in (candidate, baseline) if result]
    calls, cached = (sum(map(n, results)) for n in (_calls, _cached_calls))
    times = f", {report.repetitions} × each" if report.repetitions > 1 else ""
    found += [
        Tile(
            "Held-out examples",
            thousands(report.n_examples),
            f"in {plural(groups, 'group')}{times}",
        ),
        Tile("Failed calls", thousands(sum(failed)), f"of {thousands(calls)}"),
    ]
    if cached:
        found.append(Tile("Kept answers", thousands(cached), f"of {thousands(calls)}, not timed"))
    return found


def _calls(result: ModelResult) -> int:
    return len(result.calls)


def _cached_calls(result: ModelResult) -> int:
    return result.cached_calls


def metric_rows(report: EvalReport) -> list[list[str]]:
    """Return the metrics' table: name, weight, both scores, change, difference, support."""
    return [
        [
            change.metric.replace("_", " "),
            f"{change.weight:g}" if change.weight else "reported",
            number(change.baseline),
            number(change.candidate),
            _pct(change.change_pct),
            _interval(change),
            {True: "supported", False: "not supported", None: "–"}[change.supported],
        ]
        for change in report.comparison.changes
    ]


EXPENSE_COLUMNS: Final = (
    "Lower is better",
    "Baseline",
    "Candidate",
    "Change",
    "Difference (95 % interval)",
)
_EXPENSES: Final = {
    "latency_s": "seconds a call",
    "tokens": "tokens a call",
    "cost_usd": "$ a call",
}


def expense_rows(report: EvalReport) -> list[list[str]]:
    """Return what a call takes: name, both means, change with its direction, interval."""
    return [
        [
            _EXPENSES[found.measure],
            _amount(found.baseline),
            _amount(found.candidate),
            _worse_or_better(found.change_pct),
            "–"
            if found.interval is None
            else f"{_amount(found.interval[0], signed=True)} … "
            f"{_amount(found.interval[1], signed=True)}",
        ]
        for found in expenses(report.candidate, report.baseline)
    ]


def _amount(value: float | None, *, signed: bool = False) -> str:
    """Return a number with three digits that count."""
    if value is None:
        return "–"
    return f"{value:{'+' if signed else ''},.3g}".replace("-", "−")


def _worse_or_better(change_pct: float | None) -> str:
    if change_pct is None:
        return "–"
    word = "" if not round(change_pct, 1) else " (worse)" if change_pct > 0 else " (better)"
    return _pct(change_pct) + word


def accuracy_by_category(result: ModelResult | None) -> dict[str, float]:
    """Return category → mean accuracy over the calls that have one."""
    scores: dict[str, list[float]] = {}
    for call in result.calls if result else ():
        if call.category and "accuracy" in call.scores:
            scores.setdefault(call.category, []).append(call.scores["accuracy"])
    return {category: sum(values) / len(values) for category, values in sorted(scores.items())}


def examples_by_category(report: EvalReport) -> dict[str, int]:
    """Return category → examples."""
    categories = {call.example_id: call.category for call in report.candidate.calls}
    return dict(sorted(Counter(categories.values()).items()))


def labels(report: EvalReport) -> list[str]:
    """Return the right answers when they are labels (few, short, one line), else nothing."""
    found = sorted({call.expected for call in report.candidate.calls})
    short = all(0 < len(label) <= _MAX_LABEL_CHARS and "\n" not in label for label in found)
    return found if short and 2 <= len(found) <= _MAX_LABELS else []  # noqa: PLR2004


def confusion_counts(result: ModelResult, known: Sequence[str]) -> dict[tuple[str, str], int]:
    """Return (right answer, answer) → calls; answers that are no label are one of two columns."""
    by_form = {normalised(label): label for label in known}

    def column(call: CallRecord) -> str:
        if call.answer is None:
            return NO_ANSWER
        return by_form.get(normalised(call.answer), OTHER)

    return dict(Counter((call.expected, column(call)) for call in result.calls))


def latencies(result: ModelResult | None) -> list[float]:
    """Return the answered calls' latencies, seconds."""
    return [c.latency_s for c in (result.calls if result else ()) if c.latency_s is not None]


@dataclass(frozen=True, slots=True)
class Differing:
    """An example on which the models' answers differ."""

    kind: Kind
    """``lost``: only the baseline is right; ``won``: only the candidate; ``other``."""
    example_id: str
    category: str
    task: str
    expected: str
    baseline: CallRecord
    candidate: CallRecord


def differing(report: EvalReport) -> list[Differing]:
    """Return the examples whose answers differ, in the examples' order."""
    calls = report.baseline.calls if report.baseline else ()
    before = {(call.example_id, call.repetition): call for call in calls}
    pairs = [(before.get((c.example_id, c.repetition)), c) for c in report.candidate.calls]
    return [
        Differing(
            _kind(old, new),
            new.example_id,
            new.category,
            report.tasks.get(new.example_id, ""),
            new.expected,
            old,
            new,
        )
        for old, new in pairs
        if old is not None and _form(old) != _form(new)
    ]


def failed_calls(report: EvalReport) -> list[tuple[str, str, str]]:
    """Return (model, example id, error) of every call that got no answer."""
    results = [result for result in (report.baseline, report.candidate) if result]
    return [(name_of(r), c.example_id, c.error) for r in results for c in r.calls if c.error]


def circumstances(report: EvalReport) -> Iterator[tuple[str, str]]:
    """Yield (what, how) of the measurement, so that it can be repeated."""
    yield "Agent", report.agent
    yield "Candidate", _model(report.candidate)
    if report.baseline:
        yield "Baseline", _model(report.baseline)
    yield "Data set", report.dataset
    yield "SHA-256 of the data set", report.dataset_hash
    yield "Held-out examples", thousands(report.n_examples)
    yield "Repetitions of each", thousands(report.repetitions)
    for result in filter(None, (report.candidate, report.baseline)):
        if result.cached_calls:
            kept = f"{thousands(result.cached_calls)} of {thousands(len(result.calls))}"
            yield f"Answers of {name_of(result)} kept from an earlier run, not timed now", kept
    yield "Evaluated at", report.evaluated_at or "–"
    for key in sorted(report.settings):
        value = report.settings[key]
        if isinstance(value, Mapping):
            value = ", ".join(f"{name} {share:g}" for name, share in value.items())
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        yield key.replace("_", " ").capitalize(), str(value)


def _kind(baseline: CallRecord, candidate: CallRecord) -> Kind:
    before, after = baseline.scores.get("accuracy"), candidate.scores.get("accuracy")
    if before is None or after is None or before == after:
        return "other"
    return "won" if after > before else "lost"


def _form(call: CallRecord) -> str | None:
    return None if call.answer is None else normalised(call.answer)


def _milliseconds(value: float | None) -> str:
    return "" if value is None else seconds(value / 1000.0)


def _model(result: ModelResult) -> str:
    return f"{result.model} ({result.version})" if result.version else result.model


def _pct(value: float | None) -> str:
    return percent(None if value is None else value / 100.0, signed=True)


def _interval(change: MetricChange) -> str:
    difference = number(change.difference, signed=True)
    if change.interval is None:
        return difference
    low, high = (number(bound, signed=True) for bound in change.interval)
    return f"{difference} ({low} … {high})"
