"""The reports' plots, as SVG to be put into an HTML page.

Importing this module loads matplotlib.
"""

from __future__ import annotations

import itertools
import statistics
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullFormatter

from agent_orchestrator.agents.infrastructure.modelops.reports.drawing import (
    BAD,
    BASELINE,
    CANDIDATE,
    CARD,
    GOOD,
    INK,
    LINE,
    MUTED,
    UNSURE,
    drawn,
)
from agent_orchestrator.agents.infrastructure.modelops.reports.wording import (
    label,
    number,
    seconds,
)
from agent_orchestrator.domain.scoring import MetricChange
from agent_orchestrator.domain.verdict import Verdict

VERDICTS: Final = {
    Verdict.PASS: GOOD,
    Verdict.FAIL: BAD,
    Verdict.INCONCLUSIVE: UNSURE,
    Verdict.ERROR: BAD,
}
_WIDE: Final = 9.2
"""Inches: the page's measure."""
_LEAST_EVIDENCE: Final = 1e-3
"""Less is drawn as this: how much less says nothing more."""
_ROW: Final = 0.40
"""Inches a row of a dot plot takes."""


# ---------------------------------------------------------------- evaluation


def metric_comparison(changes: Sequence[MetricChange]) -> str:
    """Draw each metric's scores and, where both models have it, their paired difference."""
    rows = [change for change in changes if change.candidate is not None]
    compared = any(change.difference is not None for change in rows)
    with drawn("Scores, and their paired differences", _WIDE, 0.85 + _ROW * len(rows)) as plot:
        grid = plot.figure.subplots(
            1, 1 + compared, sharey=True, width_ratios=[1.0, 0.8][: 1 + compared], squeeze=False
        )[0]
        _dumbbells(
            grid[0],
            [label(change.metric.replace("_", " ")) for change in rows],
            [change.baseline for change in rows],
            [change.candidate or 0.0 for change in rows],
        )
        grid[0].set_title("score, 0 … 1")
        if compared:
            _differences(grid[1], rows)
    return plot.svg


def category_accuracy(
    baseline: Mapping[str, float] | None, candidate: Mapping[str, float], counts: Mapping[str, int]
) -> str:
    """Draw accuracy per category, the candidate's best first; ``counts``: examples of each."""
    order = sorted(candidate, key=lambda category: (-candidate[category], category))
    with drawn("Accuracy per category", _WIDE, 0.6 + _ROW * len(order)) as plot:
        _dumbbells(
            plot.figure.subplots(),
            [f"{label(category)} ({counts[category]})" for category in order],
            [(baseline or {}).get(category) for category in order],
            [candidate[category] for category in order],
        )
    return plot.svg


def confusion(
    counts: Mapping[tuple[str, str], int], rows: Sequence[str], columns: Sequence[str], name: str
) -> str:
    """Draw how often each right answer (row) got each answer (column); shade: share of the row."""
    side = 0.36  # inches of a cell
    width = 0.55 + _inches(rows) + side * len(columns)
    height = 0.55 + 0.75 * _inches(columns) + side * len(rows)
    with drawn(f"Answers of {label(name)} for each right answer", width, height) as plot:
        axes = plot.figure.subplots()
        for y, expected in enumerate(rows):
            total = sum(counts.get((expected, answered), 0) for answered in columns)
            for x, answered in enumerate(columns):
                count = counts.get((expected, answered), 0)
                _cell(
                    axes, x, y, count, count / total if total else 0.0, right=answered == expected
                )
        axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5), aspect="equal")
        names = [label(column) for column in columns]
        axes.set_xticks(range(len(columns)), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(rows)), [label(row) for row in rows], color=INK)
        axes.set_ylabel("right answer")
        axes.set_xlabel(f"answer of {label(name)}")
        axes.grid(visible=False)
    return plot.svg


def latency_distribution(
    baseline: Sequence[float], candidate: Sequence[float], limit_s: float | None = None
) -> str:
    """Draw the share of calls that were answered within each time; latencies in seconds."""
    with drawn("Distribution of the latencies", _WIDE, 2.5) as plot:
        axes = plot.figure.subplots()
        for latencies, colour, style in (
            (baseline, BASELINE, (0, (4, 2))),
            (candidate, CANDIDATE, "-"),
        ):
            if latencies:
                axes.ecdf(latencies, color=colour, linestyle=style, linewidth=2.0)
                inside = CARD if colour == BASELINE else colour
                median = statistics.median(latencies)
                axes.plot(median, 0.5, "o", color=colour, mfc=inside, markersize=8, mew=2)
        slowest = max([*baseline, *candidate])
        if limit_s is not None and limit_s <= 3 * slowest:
            axes.axvline(limit_s, color=UNSURE, linewidth=1.2, linestyle=(0, (2, 2)))
            _note(axes, limit_s, 1.02, "limit", UNSURE, ha="center")
        axes.set(ylim=(0, 1), xlim=(0, None))
        axes.set_yticks([0, 0.5, 1.0], ["0 %", "50 %", "100 %"])
        axes.xaxis.set_major_formatter(lambda value, _: seconds(value) if value else "0")
        axes.set_title("share of calls answered within …")
    return plot.svg


# ---------------------------------------------------------------- training and rollout


def loss_curve(losses: Sequence[tuple[int, float]]) -> str:
    """Draw a training's loss, as logged and smoothed; ``losses``: (step, loss) in order."""
    with drawn("Training loss by step", _WIDE, 2.6) as plot:
        axes = plot.figure.subplots()
        steps = [step for step, _ in losses]
        values = [loss for _, loss in losses]
        smooth = _smoothed(values)
        axes.plot(steps, values, color=CANDIDATE, alpha=0.3, linewidth=1.0)
        axes.plot(steps, smooth, color=CANDIDATE, linewidth=2.0)
        if losses:
            axes.plot(steps[-1], smooth[-1], "o", color=CANDIDATE, markersize=7, clip_on=False)
            _note(axes, 1.02, smooth[-1], number(smooth[-1]), INK, across=True)
            axes.set_xlim(0, steps[-1])
        axes.set_ylim(bottom=0)
        axes.set_xlabel("step")
        axes.set_title("training loss, smoothed")
    return plot.svg


@dataclass(frozen=True, slots=True)
class TimelinePoint:
    """What was known at one look at a rollout."""

    at_s: float
    """Seconds since the rollout began."""
    asked: float
    """Candidate's share asked for, 0..1."""
    realised: float | None = None
    """Its share of the tasks so far in this step, 0..1."""
    evidence: Mapping[str, float] = field(default_factory=dict)
    """Guardrail → e-value, > 0."""
    difference: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Guardrail → interval of candidate − stable, −1..1, that holds at every moment."""


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """Something that was decided."""

    at_s: float
    text: str
    verdict: Verdict


def canary_timeline(
    points: Sequence[TimelinePoint], events: Sequence[TimelineEvent], threshold: float
) -> str:
    """Draw a rollout: its split asked and realised, its evidence, and the difference of the arms.

    The evidence is a betting e-process per guardrail, on a logarithmic scale: at ``threshold`` the
    candidate is rolled back. The difference, where it is known, is that of the guardrail with the
    largest evidence at the end.
    """
    compared = any(point.difference for point in points)
    with drawn("Rollout: split and evidence over time", _WIDE, 6.4 if compared else 4.6) as plot:
        rows = plot.figure.subplots(
            2 + compared, 1, sharex=True, height_ratios=[1.0, 1.2, 1.0][: 2 + compared]
        )
        split, evidence = rows[:2]
        _split(split, points)
        _evidence(evidence, points, threshold)
        if compared:
            _difference(rows[2], points)
        last = max([point.at_s for point in points] + [event.at_s for event in events], default=1.0)
        evidence.set_xlim(0, last)
        evidence.xaxis.set_major_formatter(lambda value, _: seconds(value) if value else "0")
        for event, level in zip(events, _levels(events, last), strict=True):
            colour = VERDICTS[event.verdict]
            for axes in rows:
                axes.axvline(event.at_s, color=colour, linewidth=1.4, alpha=0.85)
            side = (
                "right"
                if event.at_s > 0.9 * last
                else "left"
                if event.at_s < 0.1 * last
                else "center"
            )
            _note(split, event.at_s, 1.09 + 0.15 * level, label(event.text), colour, ha=side)
        split.set_title(
            "candidate's share of the tasks: asked (area) and realised (line)",
            pad=24.0 + 13.0 * max(_levels(events, last), default=0),
        )
    return plot.svg


def _split(axes: Axes, points: Sequence[TimelinePoint]) -> None:
    times, asked = [point.at_s for point in points], [point.asked for point in points]
    axes.fill_between(times, asked, step="post", color=CANDIDATE, alpha=0.18, linewidth=0)
    axes.step(times, asked, where="post", color=CANDIDATE, linewidth=1.5)
    realised = [(p.at_s, p.realised) for p in points if p.realised is not None]
    axes.plot([at for at, _ in realised], [s for _, s in realised], color=INK, linewidth=1.2)
    axes.set(ylim=(0, 1.02), yticks=[0, 0.2, 0.5, 1.0])
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")


def _evidence(axes: Axes, points: Sequence[TimelinePoint], threshold: float) -> None:
    looks = ((INK, "-"), (CANDIDATE, (0, (5, 2))), (MUTED, (0, (1.5, 1.5))), (BASELINE, "-."))
    guardrails = dict.fromkeys(name for point in points for name in point.evidence)
    for guardrail, (colour, style) in zip(guardrails, itertools.cycle(looks), strict=False):
        series = [(p.at_s, p.evidence[guardrail]) for p in points if guardrail in p.evidence]
        axes.plot(
            [at for at, _ in series],
            [max(value, _LEAST_EVIDENCE) for _, value in series],
            color=colour,
            linestyle=style,
            linewidth=1.6,
            label=label(guardrail),
        )
    axes.axhline(threshold, color=BAD, linewidth=1.4, linestyle=(0, (4, 2)))
    _note(
        axes, 0.01, 1.25 * threshold, f"rolls back at {threshold:g}", BAD, va="bottom", across=True
    )
    axes.set_yscale("log")
    axes.set_ylim(min(0.3, axes.get_ylim()[0]), threshold * 5)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title("evidence that it is worse (e-value)")
    if guardrails:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0.0)


def _difference(axes: Axes, points: Sequence[TimelinePoint]) -> None:
    """Draw the interval of candidate − stable, in points, of the guardrail that says most."""
    known = [point for point in points if point.difference]
    last = known[-1]
    guardrail = max(last.difference, key=lambda name: last.evidence.get(name, 0.0))
    series = [(p.at_s, *p.difference[guardrail]) for p in known if guardrail in p.difference]
    times = [at for at, _, _ in series]
    lows, highs = [100 * low for _, low, _ in series], [100 * high for _, _, high in series]
    axes.fill_between(times, lows, highs, color=CANDIDATE, alpha=0.18, linewidth=0)
    axes.plot(times, lows, color=CANDIDATE, linewidth=1.2)
    axes.plot(times, highs, color=CANDIDATE, linewidth=1.2)
    axes.axhline(0.0, color=MUTED, linewidth=1.2)
    axes.set_ylim(-100, 100)
    axes.set_title(
        f"{label(guardrail)}: candidate − stable in points, an interval that holds at every moment"
    )


def _levels(events: Sequence[TimelineEvent], last: float) -> list[int]:
    """Return a line for each event's text so that no two lie upon each other."""
    ends: list[float] = []
    levels = []
    for event in events:
        half = 0.006 * len(label(event.text)) * last  # as wide as 13 px letters are
        level = next((n for n, end in enumerate(ends) if event.at_s - half > end), len(ends))
        ends[level : level + 1] = [event.at_s + half]
        levels.append(level)
    return levels


# ---------------------------------------------------------------- parts


def _dumbbells(
    axes: Axes,
    names: Sequence[str],
    baseline: Sequence[float | None],
    candidate: Sequence[float],
) -> None:
    """Draw one row a name: a ring for the baseline, a dot for the candidate, both as numbers."""
    for row, (before, after) in enumerate(zip(baseline, candidate, strict=True)):
        text = number(after)
        if before is not None:
            axes.plot([before, after], [row, row], color=CANDIDATE, linewidth=3.5, alpha=0.28)
            axes.plot(before, row, "o", color=BASELINE, markerfacecolor=CARD, markersize=8, mew=2)
            text = f"{number(before)} → {text}"
        axes.plot(after, row, "o", color=CANDIDATE, markersize=8)
        _note(axes, 1.03, row, text, INK, across=True)
    axes.set(xlim=(-0.02, 1.02), ylim=(len(names) - 0.5, -0.5), xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_yticks(range(len(names)), names, color=INK)
    axes.grid(visible=False, axis="y")


def _differences(axes: Axes, rows: Sequence[MetricChange]) -> None:
    bounds = [b for change in rows for b in (change.interval or (change.difference or 0.0,))]
    reach = max(0.02, *(1.15 * abs(bound) for bound in bounds))
    axes.axvline(0.0, color=MUTED, linewidth=1.0, zorder=1)
    for row, change in enumerate(rows):
        if change.difference is not None:
            _interval(axes, row, change, change.difference)
    axes.set_xlim(-reach, reach)
    axes.xaxis.set_major_formatter(lambda value, _: number(value, 2, signed=True))
    axes.tick_params(labelleft=False)
    axes.grid(visible=False, axis="y")
    axes.set_title("difference, 95 % interval")


def _interval(axes: Axes, row: int, change: MetricChange, difference: float) -> None:
    colour = UNSURE if difference else MUTED
    if change.supported:
        colour = GOOD if difference > 0 else BAD
    if change.interval is not None:
        ends = change.interval
        axes.plot(ends, [row, row], "|-", color=colour, linewidth=2.0, markersize=9, mew=2)
    axes.plot(difference, row, "D", color=colour, markersize=6)
    _note(axes, 1.03, row, number(difference, signed=True), colour, across=True)


def _cell(axes: Axes, x: int, y: int, count: int, share: float, *, right: bool) -> None:
    colour = GOOD if right else BAD
    corner, size = (x - 0.47, y - 0.47), 0.94
    if count:
        alpha = 0.10 + 0.50 * share
        axes.add_patch(Rectangle(corner, size, size, facecolor=colour, alpha=alpha, linewidth=0))
        axes.text(x, y, str(count), ha="center", va="center", color=INK)
    else:
        axes.add_patch(Rectangle(corner, size, size, facecolor=LINE, alpha=0.25, linewidth=0))


def _note(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    colour: str,
    *,
    ha: str = "left",
    va: str = "center",
    across: bool = False,
) -> None:
    """Write beside the data; ``across``: x runs from 0 to 1 over the axes' width."""
    transform = axes.get_yaxis_transform() if across else axes.transData
    axes.text(x, y, text, color=colour, ha=ha, va=va, transform=transform, clip_on=False)


def _inches(texts: Sequence[str]) -> float:
    """Return about how long the longest label is."""
    letters = (
        sum(1.7 if unicodedata.east_asian_width(c) in "WF" else 1.0 for c in label(text))
        for text in texts
    )
    return 0.088 * max(letters, default=0.0)


def _smoothed(values: Sequence[float]) -> list[float]:
    """Return the centred moving average over a twentieth of the values."""
    half = len(values) // 40
    windows = (values[max(0, i - half) : i + half + 1] for i in range(len(values)))
    return [statistics.fmean(window) for window in windows]
