"""An evaluation's plots, each with the numbers behind it. Importing this loads matplotlib."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from agent_orchestrator.agents.infrastructure.modelops.evaluation import report_content as content
from agent_orchestrator.agents.infrastructure.modelops.reports import plots
from agent_orchestrator.agents.infrastructure.modelops.reports.wording import number, seconds
from agent_orchestrator.domain.evaluation import EvalReport, ModelResult


@dataclass(frozen=True, slots=True)
class Picture:
    """A plot and its table, for those who cannot see it or want the numbers."""

    svg: Markup
    caption: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def metrics(report: EvalReport) -> Picture | None:
    """Scores and differences (in numbers: the report's own table); None without any score."""
    if not report.candidate.scores:
        return None
    svg = plots.metric_comparison(report.comparison.changes)
    both = "Scores of both models, and their difference on the same examples."
    return Picture(_trusted(svg), both if report.baseline else "The candidate's scores.")


def categories(report: EvalReport) -> Picture | None:
    """Accuracy per category; None when there are not several."""
    after = content.accuracy_by_category(report.candidate)
    if len(after) < 2:  # noqa: PLR2004
        return None
    before = content.accuracy_by_category(report.baseline)
    counts = content.examples_by_category(report)
    svg = plots.category_accuracy(before if report.baseline else None, after, counts)
    rows = [[c, str(counts[c]), number(before.get(c)), number(after[c])] for c in after]
    return Picture(
        _trusted(svg),
        "Share of right answers per category, with its number of examples.",
        ["Category", "Examples", "Baseline", "Candidate"],
        rows,
    )


def confusions(report: EvalReport) -> list[Picture]:
    """Which answer was given for which; empty when answers are no labels."""
    labels = content.labels(report)
    results = [result for result in (report.baseline, report.candidate) if result]
    counted = [(result, content.confusion_counts(result, labels)) for result in results]
    extra = {answer for _, counts in counted for _, answer in counts} - set(labels)
    columns = [*labels, *sorted(extra)]
    if not labels:
        return []
    return [
        Picture(
            _trusted(plots.confusion(counts, labels, columns, content.name_of(result))),
            f"{content.name_of(result)}: each right answer (row) and the answers it got (column).",
            ["Right answer", *columns],
            [[row, *(str(counts.get((row, c), 0)) for c in columns)] for row in labels],
        )
        for result, counts in counted
    ]


def latencies(report: EvalReport) -> Picture | None:
    """How long the calls took; None when that was not measured."""
    before, after = content.latencies(report.baseline), content.latencies(report.candidate)
    if not after:
        return None
    limit = report.settings.get("latency_limit_s")
    svg = plots.latency_distribution(before, after, limit if isinstance(limit, float) else None)
    return Picture(
        _trusted(svg),
        "Share of the calls that were answered within a time; the dot is the median.",
        ["Model", "Median", "90 %", "99 %", "Slowest"],
        [
            [content.name_of(result), *_quantiles(content.latencies(result))]
            for result in _timed(report)
        ],
    )


def _timed(report: EvalReport) -> Iterator[ModelResult]:
    for result in (report.baseline, report.candidate):
        if result and content.latencies(result):
            yield result


def _quantiles(values: Sequence[float]) -> list[str]:
    if len(values) == 1:
        return [seconds(values[0])] * 4
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return [seconds(value) for value in (cuts[49], cuts[89], cuts[98], max(values))]


def _trusted(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704 - matplotlib escapes its texts  # nosec B704
