"""Writes what others compute on the same data: support/tests/data/statistics_peers.json.

The tests hold our statistics against it. To make it again, in an environment of its own:

    python -m venv peers && peers/bin/pip install inspect_ai scipy statsmodels
    peers/bin/python support/scripts/statistics_peers.py
"""

from __future__ import annotations

import json
import math
import random
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[1] / "tests" / "data" / "statistics_peers.json"


def clustered() -> list[dict[str, Any]]:
    """Return differences in clusters with inspect_ai's standard error."""
    from inspect_ai.scorer import SampleScore, Score, stderr

    chance = random.Random(20261121)  # noqa: S311 - test data
    metric: Any = stderr(cluster="cluster")
    cases = []
    for name, sizes in {
        "equal clusters": [4] * 30,
        "unequal clusters": [1 + i % 7 for i in range(40)],
        "singletons": [1] * 50,
        "two clusters": [5, 9],
    }.items():
        differences, clusters = [], []
        for cluster, size in enumerate(sizes):
            shared = chance.gauss(0.05, 0.3)
            for _ in range(size):
                differences.append(round(shared + chance.gauss(0, 0.2), 6))
                clusters.append(cluster)
        scores = [
            SampleScore(score=Score(value=d), sample_metadata={"cluster": f"c{c}"})
            for d, c in zip(differences, clusters, strict=True)
        ]
        cases.append(
            {
                "name": name,
                "differences": differences,
                "clusters": clusters,
                "mean": sum(differences) / len(differences),
                "inspect_ai_stderr": metric(scores),
            }
        )
    return cases


def paired_t() -> list[dict[str, Any]]:
    """Return differences with scipy's paired t test against 0."""
    from scipy import stats

    chance = random.Random(7)  # noqa: S311 - test data
    cases = []
    for n in (2, 5, 30, 201, 400):
        differences = [round(chance.gauss(0.1, 0.5), 6) for _ in range(n)]
        found = stats.ttest_1samp(differences, 0.0)
        low, high = found.confidence_interval(0.95)
        cases.append(
            {
                "name": f"n = {n}",
                "differences": differences,
                "scipy_p": float(found.pvalue),
                "scipy_interval": [float(low), float(high)],
            }
        )
    return cases


def power() -> list[dict[str, Any]]:
    """Return the power of t tests by statsmodels."""
    from statsmodels.stats.power import TTestPower

    cases = []
    for n, effect, alpha in product((2, 3, 10, 68, 300, 2000), (0.05, 0.2, 0.8), (0.05, 0.01)):
        found = float(TTestPower().power(effect, n, alpha))
        if math.isfinite(found):  # it gives up where the power is 1
            cases.append({"effect": effect, "n": n, "alpha": alpha, "statsmodels_power": found})
    return cases


def holm() -> list[dict[str, Any]]:
    """Return Holm's adjustments by statsmodels."""
    from statsmodels.stats.multitest import multipletests

    cases = []
    for p in ([0.01, 0.04, 0.03, 0.005], [0.2, 0.001, 0.02, 0.02, 0.9], [0.04], [0.03, 0.03]):
        rejects, adjusted, *_ = multipletests(p, alpha=0.05, method="holm")
        cases.append(
            {
                "p": p,
                "alpha": 0.05,
                "statsmodels_holm": [float(value) for value in adjusted],
                "statsmodels_rejects": [bool(value) for value in rejects],
            }
        )
    return cases


def main() -> None:
    """Write the file."""
    peers = {name: version(name) for name in ("inspect_ai", "scipy", "statsmodels")}
    parts = {"clustered": clustered(), "paired_t": paired_t(), "power": power(), "holm": holm()}
    lines = [f'  "versions": {json.dumps(peers)}']
    for name, cases in parts.items():
        rows = ",\n".join(f"    {json.dumps(case)}" for case in cases)
        lines.append(f'  "{name}": [\n{rows}\n  ]')
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"Wrote {OUT}.")


if __name__ == "__main__":
    main()
