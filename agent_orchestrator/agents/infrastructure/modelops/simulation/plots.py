"""A simulated canary as a picture: when its runs end, and how their evidence gets there.

Importing this module loads matplotlib and numpy.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from agent_orchestrator.agents.infrastructure.modelops.reports.drawing import (
    BAD,
    BASELINE,
    GOOD,
    INK,
    drawn,
    standalone,
)
from agent_orchestrator.agents.infrastructure.modelops.simulation.canaries import CanaryRuns
from agent_orchestrator.agents.infrastructure.modelops.simulation.curves import curves
from agent_orchestrator.agents.infrastructure.modelops.simulation.streams import (
    PROMOTION,
    ROLLBACK,
)

_WIDE, _HIGH = 9.2, 4.6
_LEAST_EVIDENCE: Final = 1e-2
"""Less is drawn as this: how much less says nothing more."""


def draw(runs: CanaryRuns) -> str:
    """Return the SVG document: ends of the runs above, paths of the evidence below."""
    plan = runs.plan
    title = (
        f"Simulated canary: {plan.stable_rate:g} against {plan.candidate_rate:g} at {plan.weight} %"
    )
    with drawn(title, _WIDE, _HIGH) as plot:
        ends, evidence = plot.figure.subplots(2, 1, sharex=True, height_ratios=[1.0, 1.2])
        _ends(ends, runs)
        _evidence(evidence, runs)
        evidence.set_xlim(0, runs.paths.shape[0])
        evidence.set_xlabel("candidate requests")
    return standalone(plot.svg)


def _ends(axes: Axes, runs: CanaryRuns) -> None:
    """Draw the share of the runs that has ended by each candidate request."""
    lines = [
        ("rolled back", runs.rollout, ROLLBACK, BAD, "solid"),
        ("promoted", runs.rollout, PROMOTION, GOOD, "solid"),
    ]
    if runs.sprt is not None:
        name = "rolled back if both rates were known"
        lines.append((name, runs.sprt, ROLLBACK, BASELINE, "dashed"))
    for name, decisions, code, colour, style in lines:
        at = decisions.candidate_requests[decisions.code == code]
        if at.size:
            x, counts = np.unique(at, return_counts=True)
            y = np.cumsum(counts) / runs.plan.runs
            last = max(runs.paths.shape[0], int(x[-1]))
            axes.step(
                [0, *x, last],
                [0.0, *y, y[-1]],
                where="post",
                linewidth=2.0,
                label=f"{name}, {y[-1]:.1%}",
                color=colour,
                linestyle=style,
            )
    axes.set(ylim=(0, 1.02), yticks=[0, 0.5, 1.0])
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.set_title("share of the runs that ended by …", pad=24)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.0)


def _evidence(axes: Axes, runs: CanaryRuns) -> None:
    """Draw some runs' evidence, each to where it reaches the bound."""
    for path in curves(runs).paths:
        values = np.maximum(path.evidence, _LEAST_EVIDENCE)
        axes.plot(path.requests, values, color=INK, linewidth=0.9, alpha=0.55)
        if path.rolls_back:
            axes.plot(path.requests[-1], values[-1], "o", color=BAD, markersize=4)
    axes.axhline(runs.threshold, color=BAD, linewidth=1.4, linestyle=(0, (4, 2)))
    axes.set_yscale("log")
    axes.set_ylim(0.5 * _LEAST_EVIDENCE, runs.threshold * 10)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title(
        f"evidence that it is worse (e-value) in {runs.paths.shape[1]} runs; "
        f"{runs.threshold:g} rolls back"
    )
