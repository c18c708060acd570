"""How soon the web page shows something, and how smoothly its plots move.

    python support/benchmarks/page.py [--runs 9] [--rounds 7]

Headless chromium looks at the real API of an installation with a history. First view: from the
first request of a browser that knows nothing to what the view is about. A panning frame: the job's
view with a loss curve of 10,000 points, moved by wheel in every frame, in turns with the same line
drawn and moved by Chart.js, as it comes and with its decimation. The interval of frames is what
people see (16.7 ms at best); the work is what an event's handler and the drawing took of the main
thread. Needs `make page` and chromium. Minutes; writes results/page.json beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).parent / "results" / "page.json"
ROOT: Final = Path(__file__).parents[2]
FIRST_VIEW_GOAL_MS: Final = 1000
FRAME_GOAL_MS: Final = 33


def measure(runs: int, rounds: int) -> dict[str, Any]:
    """Start an installation and have a browser look at it. Returns what it measured."""
    with tempfile.TemporaryDirectory() as folder:
        installation = subprocess.Popen(
            [sys.executable, "-m", "tests.doubles.pictured_state", f"{folder}/it"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert installation.stdout is not None
        try:
            asked = {**json.loads(installation.stdout.readline()), "runs": runs, "rounds": rounds}
            command = ["npm", "run", "--silent", "benchmark", "--workspace", "@codechef/views"]
            found = subprocess.run(
                [*command, "--", json.dumps(asked)],
                cwd=ROOT / "extensions",
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        finally:
            installation.terminate()
            installation.wait()
    measured: dict[str, Any] = json.loads(found.stdout)
    return measured


def summary(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return medians, and the peers' work beside ours round by round."""
    turns: Mapping[str, Sequence[Mapping[str, Sequence[float]]]] = measured["panning"]
    work = {
        name: [statistics.median(turn["work_ms"]) for turn in of_it]
        for name, of_it in turns.items()
    }
    first = {
        view: {"median_ms": statistics.median(times), "worst_ms": max(times), "n": len(times)}
        for view, times in measured["first_view_ms"].items()
    }
    return {
        "first_view": first,
        "panning": [
            {
                "drawn_by": name,
                "points": measured["points"],
                **_of("frame_ms", [one for turn in of_it for one in turn["frame_ms"]]),
                **_of("work_ms", [one for turn in of_it for one in turn["work_ms"]]),
                "work_beside_ours": _ratio(work[name], work["ours"]),
            }
            for name, of_it in turns.items()
        ],
    }


def _of(name: str, values: Sequence[float]) -> dict[str, float]:
    return {
        f"{name}_median": round(statistics.median(values), 2),
        f"{name}_p95": round(statistics.quantiles(values, n=20)[-1], 2),
    }


def _ratio(theirs: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """Return how many times as long they take: median over the rounds, least and most."""
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    values = {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
    return {name: round(value, 2) for name, value in values.items()}


def show(found: Mapping[str, Any]) -> None:
    """Print the tables."""
    print(f"First view, ms (goal: {FIRST_VIEW_GOAL_MS} in the median)")
    for view, times in found["first_view"].items():
        print(f"  {view:22}{times['median_ms']:8.0f}   worst {times['worst_ms']:.0f}")
    print(f"Panning 10,000 points, ms a frame (goal: {FRAME_GOAL_MS} in the median)")
    print(f"  {'':22}{'frame':>8}{'p95':>8}{'work':>8}{'p95':>8}   work beside ours")
    for row in found["panning"]:
        ratio = row["work_beside_ours"]
        cells = "".join(
            f"{row[f'{name}_{of}']:8.1f}"
            for name in ("frame_ms", "work_ms")
            for of in ("median", "p95")
        )
        spread = f"{ratio['median']:.1f} ({ratio['least']:.1f} … {ratio['most']:.1f})"
        print(f"  {row['drawn_by']:22}{cells}   {spread}")


def main() -> None:
    """Measure, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description="First view and panning of the web page.")
    parser.add_argument("--runs", type=int, default=9, help="first views of each kind")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each way of drawing")
    arguments = parser.parse_args()
    found = summary(measure(arguments.runs, arguments.rounds))
    show(found)
    machine = {
        "cpus": os.cpu_count(),
        "load_average": round(os.getloadavg()[1], 1),
        "python": platform.python_version(),
    }
    goals = {"first_view_ms": FIRST_VIEW_GOAL_MS, "frame_ms": FRAME_GOAL_MS}
    document = {"goals": goals, "machine": machine, **found}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
