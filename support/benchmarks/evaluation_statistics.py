"""How often an evaluation's tests see a difference that is there, and one that is not.

    python support/benchmarks/evaluation_statistics.py [--runs 10000] [--seed 0]

Two models answer the same examples, five to a source file. How hard an example is, both share
(latent correlation 0.7, half of it common to the file); some files suit one model a little better
than the other. The baseline is right 80 % of the time, the candidate as often or less. Per rule the
table shows in how many runs it calls the difference settled at 95 % confidence, two-sided: with no
difference these are false alarms. Beneath it: five metrics without any difference, and how often at
least one of them is called different. A minute or two; writes results/evaluation_statistics.json.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agent_orchestrator.domain.paired import Paired, corrected, paired_difference

RESULTS: Final = Path(__file__).parent / "results" / "evaluation_statistics.json"
BASE: Final = 0.80
LOSSES: Final = (0, 2, 5, 10)
"""Points of accuracy."""
SIZES: Final = (100, 300, 1000)
"""Examples."""
FILE: Final = 5
"""Examples of a source file."""
METRICS: Final = 5
_SHARES: Final = {"example": 0.35, "file": 0.35, "file and model": 0.06, "chance": 0.24}
_Z: Final = NormalDist().inv_cdf(0.975)

Scores = NDArray[np.float64]
Rule = Callable[[Scores, Scores], bool]


def answers(chance: np.random.Generator, n: int, candidate: float) -> tuple[Scores, Scores]:
    """Return 0/1 of the baseline and of a candidate of that accuracy on ``n`` examples."""
    share = {name: math.sqrt(part) for name, part in _SHARES.items()}

    def by_file() -> Scores:
        return np.repeat(chance.standard_normal(n // FILE), FILE)

    shared = share["example"] * chance.standard_normal(n) + share["file"] * by_file()
    right = []
    for accuracy in (BASE, candidate):
        own = share["file and model"] * by_file() + share["chance"] * chance.standard_normal(n)
        right.append((shared + own < NormalDist().inv_cdf(accuracy)).astype(float))
    return right[0], right[1]


def clustered(baseline: Scores, candidate: Scores) -> bool:
    """Our test: paired, robust to clusters."""
    files = np.arange(len(baseline)) // FILE
    return bool(paired_difference((candidate - baseline).tolist(), files.tolist()).supported)


def paired(baseline: Scores, candidate: Scores) -> bool:
    """Take examples as pairs, and as independent."""
    return bool(paired_difference((candidate - baseline).tolist(), range(len(baseline))).supported)


def unpaired(baseline: Scores, candidate: Scores) -> bool:
    """Compare two proportions as if they came from different examples."""
    variance = sum(p * (1 - p) / len(baseline) for p in (baseline.mean(), candidate.mean()))
    return bool(abs(candidate.mean() - baseline.mean()) > _Z * math.sqrt(variance))


def lower_mean(baseline: Scores, candidate: Scores) -> bool:
    """Believe any lower mean."""
    return bool(candidate.mean() < baseline.mean())


RULES: Final[Mapping[str, Rule]] = {
    "paired, clustered (ours)": clustered,
    "paired, examples independent": paired,
    "unpaired": unpaired,
    "the mean is lower": lower_mean,
}


def found_shares(runs: int, seed: int) -> list[dict[str, Any]]:
    """Return a row for every rule, number of examples and loss."""
    rows: list[dict[str, Any]] = []
    for n in SIZES:
        for loss in LOSSES:
            chance = np.random.default_rng([seed, n, loss])
            counts = dict.fromkeys(RULES, 0)
            for _ in range(runs):
                pair = answers(chance, n, BASE - loss / 100)
                for name, rule in RULES.items():
                    counts[name] += rule(*pair)
            rows += [
                {"rule": name, "examples": n, "loss_points": loss, "found": count / runs}
                for name, count in counts.items()
            ]
    return rows


def false_alarms_of_several(runs: int, seed: int) -> dict[str, float]:
    """Return how often at least one of five equal metrics is called different."""
    chance = np.random.default_rng([seed, METRICS])
    alone = together = 0
    for _ in range(runs):
        family = {}
        for metric in range(METRICS):
            baseline, candidate = answers(chance, 300, BASE)
            files = (np.arange(300) // FILE).tolist()
            family[metric] = Paired((candidate - baseline).tolist(), files)
        alone += any(pairs.test().supported for pairs in family.values())
        together += any(result.supported for result in corrected(family).values())
    return {"uncorrected": alone / runs, "Holm (ours)": together / runs}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the shares as a table in markdown."""
    heads = [f"n = {n}, {'equal' if not loss else f'−{loss} pp'}" for n in SIZES for loss in LOSSES]
    lines = [f"| Rule | {' | '.join(heads)} |", f"|---|{'--:|' * len(heads)}"]
    for name in RULES:
        own = [f"{100 * row['found']:.1f} %" for row in rows if row["rule"] == name]
        lines.append(f"| {name} | {' | '.join(own)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = found_shares(given.runs, given.seed)
    several = false_alarms_of_several(given.runs, given.seed)
    print(table(rows))
    print(f"\nAt least one of {METRICS} equal metrics called different (n = 300):")
    for name, share in several.items():
        print(f"  {name}: {100 * share:.1f} %")
    document = {"runs": given.runs, "seed": given.seed, "found": rows, "several": several}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
