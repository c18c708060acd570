"""Draw the pictures of support/docs/ROLLOUTS.md.

    python support/scripts/rollout_pictures.py [FOLDER]

Two simulated canaries, with fixed seeds, and the rules that ``support/benchmarks/verdicts.py``
compared, from its results. FOLDER is support/docs/images by default.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from agent_orchestrator.agents.infrastructure.modelops.reports.drawing import (
    BAD,
    BASELINE,
    CANDIDATE,
    GOOD,
    INK,
    MUTED,
    UNSURE,
    drawn,
    standalone,
)
from agent_orchestrator.agents.infrastructure.modelops.simulation.canaries import play_canary
from agent_orchestrator.agents.infrastructure.modelops.simulation.plots import draw
from agent_orchestrator.domain.rollout import RolloutPolicy
from agent_orchestrator.domain.simulation import CanaryPlan

SUPPORT: Final = Path(__file__).parents[1]
BASE: Final = 0.80
LOOKS: Final = {
    "e-process": (CANDIDATE, "solid"),
    "threshold, three strikes": (BAD, "dashed"),
    "z-test at each look": (UNSURE, "dashdot"),
    "TensorZero GLR": (GOOD, "dotted"),
    "SPRT that knows both rates": (BASELINE, "dashed"),
}
"""Rule → colour and line."""


def canary(candidate_rate: float, most: int) -> str:
    """Return the picture of a simulated canary against a stable arm of 0.80."""
    plan = CanaryPlan(
        stable_rate=BASE,
        candidate_rate=candidate_rate,
        weight=20,
        max_requests=most,
        runs=2000,
        seed=0,
    )
    return draw(play_canary(plan, RolloutPolicy()))


def rules(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the picture of the rules: false alarms, and requests until a loss is caught."""
    of = {(r["rule"], r["loss_points"]): r for r in records if r["base"] == BASE}
    with drawn("Rules for canaries on the same streams", 9.2, 3.4) as plot:
        false, soon = plot.figure.subplots(1, 2, width_ratios=[1.0, 1.5])
        _false_alarms(false, of)
        _medians(soon, of)
    return standalone(plot.svg)


def _false_alarms(axes: Axes, of: Mapping[tuple[str, int], Mapping[str, Any]]) -> None:
    names = [rule for rule in LOOKS if (rule, 0) in of]
    rates = [of[rule, 0]["rollback_rate"] for rule in names]
    axes.barh(names, rates, color=[LOOKS[rule][0] for rule in names], height=0.5)
    for row, rate in enumerate(rates):
        axes.text(rate + 0.01, row, f"{rate:.1%}", va="center", color=INK)
    axes.axvline(0.05, color=MUTED, linewidth=1.2, linestyle="dashed")
    axes.invert_yaxis()
    axes.set_xlim(0, max(rates) * 1.25)
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.grid(visible=False, axis="y")
    axes.set_title("equal candidates rolled back")


def _medians(axes: Axes, of: Mapping[tuple[str, int], Mapping[str, Any]]) -> None:
    for rule, (colour, style) in LOOKS.items():
        points = [
            (loss, of[rule, loss]["median"]) for loss in (5, 10, 20, 40) if (rule, loss) in of
        ]
        axes.plot(
            [loss for loss, _ in points],
            [median for _, median in points],
            color=colour,
            linestyle=style,
            linewidth=2.0,
            marker="o",
            markersize=5,
            label=rule,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([5, 10, 20, 40], ["−5", "−10", "−20", "−40"])
    axes.set_yticks([10, 30, 100, 300], ["10", "30", "100", "300"])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("points lost from a rate of 0.80")
    axes.set_title("median candidate requests to rollback")
    axes.legend()


def main() -> None:
    """Write the pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SUPPORT / "docs" / "images"
    results = SUPPORT / "benchmarks" / "results" / "verdicts.json"
    records = json.loads(results.read_text(encoding="utf-8"))["records"]
    pictures = {
        "rollout-worse.svg": canary(0.70, 1000),
        "rollout-equal.svg": canary(BASE, 1000),
        "rollout-rules.svg": rules(records),
    }
    for name, svg in pictures.items():
        (folder / name).write_text(svg, encoding="utf-8")
        print(f"{name}: {len(svg) // 1024} kB")


if __name__ == "__main__":
    main()
