"""An experiment's picture: every arm with its interval, and its difference from the baseline.

Importing this module loads matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from agent_orchestrator.agents.infrastructure.modelops.experiments import content
from agent_orchestrator.agents.infrastructure.modelops.reports.drawing import (
    BAD,
    BASELINE,
    CANDIDATE,
    CARD,
    GOOD,
    LINE,
    MUTED,
    drawn,
)
from agent_orchestrator.agents.infrastructure.modelops.reports.wording import label, number
from agent_orchestrator.domain.experiments import ArmResult, Contrast, ExperimentReport

_WIDE = 9.4
_ROW = 0.34


def arms(report: ExperimentReport) -> str:
    """Draw the arms' first metric, best on top, and where it was compared, the differences."""
    metric = content.first_metric(report)
    ranked = [arm for arm in content.ranking(report) if metric in arm.scores]
    found = [content.settled(report, arm) for arm in ranked]
    compared = any(found)
    title = f"{metric.replace('_', ' ')} of every arm"
    with drawn(title, _WIDE, 0.85 + _ROW * len(ranked)) as plot:
        grid = plot.figure.subplots(
            1, 1 + compared, sharey=True, width_ratios=[1.0, 0.8][: 1 + compared], squeeze=False
        )[0]
        _scores(grid[0], ranked, metric, report.baseline)
        if compared:
            _differences(grid[1], found)
    return plot.svg


def _scores(axes: Axes, ranked: Sequence[ArmResult], metric: str, baseline: str) -> None:
    for row, arm in enumerate(ranked):
        colour = BASELINE if arm.name == baseline else CANDIDATE
        found = arm.scores[metric]
        if found.interval is not None:
            axes.plot(found.interval, [row, row], color=colour, linewidth=2.2, alpha=0.55)
        fill = CARD if arm.name == baseline else colour
        axes.plot(found.mean, row, "o", color=fill, markeredgecolor=colour, markeredgewidth=2)
        axes.annotate(
            f"{100 * found.mean:.0f} %",
            (1.0, row),
            xytext=(10, 0),
            color=MUTED,
            textcoords="offset points",
            va="center",
            annotation_clip=False,
        )
    axes.set_title(f"{metric.replace('_', ' ')}, with 95 % interval")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(len(ranked) - 0.5, -0.5)
    axes.set_yticks(range(len(ranked)), [label(arm.name, 44) for arm in ranked])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.grid(axis="y", visible=False)


def _differences(axes: Axes, found: Sequence[Contrast | None]) -> None:
    for row, contrast in enumerate(found):
        if contrast is None:
            continue
        colour = MUTED
        if contrast.supported:
            colour = GOOD if contrast.difference > 0 else BAD
        if contrast.interval is not None:
            axes.plot(contrast.interval, [row, row], color=colour, linewidth=2.2, alpha=0.6)
        axes.plot(contrast.difference, row, "D", color=colour, markersize=5)
    axes.axvline(0.0, color=LINE, linewidth=1.4)
    axes.set_title("difference from the baseline, corrected")
    axes.xaxis.set_major_formatter(lambda value, _: number(100 * value, 0, signed=True))
    axes.margins(x=0.08)
    axes.grid(axis="y", visible=False)
