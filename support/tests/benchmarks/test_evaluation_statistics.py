"""The benchmark of the evaluation's statistics: its rules, and what its results say."""

import json

import evaluation_statistics as benchmark
import numpy as np
import pytest


def test_simulated_models_are_as_good_as_planted() -> None:
    """Over many examples each accuracy is the planted one, and the models' answers agree often."""
    baseline, candidate = benchmark.answers(np.random.default_rng(1), 50_000, 0.75)
    assert baseline.mean() == pytest.approx(0.80, abs=0.01)
    assert candidate.mean() == pytest.approx(0.75, abs=0.01)
    assert np.corrcoef(baseline, candidate)[0, 1] > 0.35


def test_every_rule_sees_what_cannot_be_missed() -> None:
    """A candidate that is always wrong is found by all, and by none when it is the same."""
    right, wrong = np.ones(50), np.zeros(50)
    right[::7] = 0.0
    assert all(rule(right, wrong) for rule in benchmark.RULES.values())
    assert not any(rule(right, right) for rule in benchmark.RULES.values())


def test_the_recorded_results_keep_what_we_promise() -> None:
    """Equal models pass (5 % and chance); we see −5 points more often than unpaired tests do."""
    results = json.loads(benchmark.RESULTS.read_text(encoding="utf-8"))
    found = {
        (row["rule"], row["examples"], row["loss_points"]): row["found"] for row in results["found"]
    }
    ours, slack = "paired, clustered (ours)", 2 * (0.05 * 0.95 / results["runs"]) ** 0.5
    assert all(found[ours, n, 0] <= 0.05 + slack for n in benchmark.SIZES)
    assert found[ours, 300, 5] > found["unpaired", 300, 5]
    assert results["several"]["Holm (ours)"] <= 0.05 + slack < results["several"]["uncorrected"]


def test_the_guide_says_what_was_found() -> None:
    """Its table holds the recorded shares, of equal models and of a loss of five points."""
    results = json.loads(benchmark.RESULTS.read_text(encoding="utf-8"))
    guide = (benchmark.RESULTS.parents[2] / "docs" / "EVALUATION_GUIDE.md").read_text("utf-8")
    found = {
        (row["rule"], row["examples"], row["loss_points"]): row["found"] for row in results["found"]
    }
    rows = [line for line in guide.splitlines() if line.count("%") == 6]
    assert len(rows) == len(benchmark.RULES)
    for row, rule in zip(rows, benchmark.RULES, strict=True):
        shown = [float(cell.strip(" %")) for cell in row.strip("|").split("|")[1:]]
        recorded = [100 * found[rule, n, loss] for n in benchmark.SIZES for loss in (0, 5)]
        assert shown == [pytest.approx(share, abs=0.0501) for share in recorded]
    for share in results["several"].values():
        assert f"{100 * share:.1f} %" in guide
