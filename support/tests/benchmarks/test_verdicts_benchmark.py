"""The rules that canaries are compared with, and what the documentation says of the comparison."""

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import rollout_pictures
import verdicts

from agent_orchestrator.agents.infrastructure.modelops.simulation.streams import (
    PROMOTION,
    ROLLBACK,
    Rule,
    TwoSampleEvidence,
)

PAGE = Path(verdicts.__file__).parents[1] / "docs" / "ROLLOUTS.md"


def first(rule: Rule, outcomes: list[tuple[bool, bool]]) -> tuple[int, int]:
    """Return what the rule decides first, and after how many outcomes; 0, 0 if nothing."""
    for i, (candidate, good) in enumerate(outcomes, 1):
        code = int(rule.observe(np.array([candidate]), np.array([good]))[0])
        if code:
            return code, i
    return 0, 0


def stream(candidate_bad: int, stable_bad: int, blocks: int) -> list[tuple[bool, bool]]:
    """Return blocks of 1 candidate and 4 stable outcomes; every so-many-th is bad, 0: none."""
    chance = random.Random(4)  # noqa: S311 - a simulation
    outcomes = []
    for _ in range(blocks):
        outcomes.append((True, not candidate_bad or chance.randrange(candidate_bad) > 0))
        outcomes += [(False, not stable_bad or chance.randrange(stable_bad) > 0) for _ in range(4)]
    return outcomes


def test_the_glr_stops_where_its_formula_says() -> None:
    """Against the formula, request by request, in plain Python."""
    outcomes = stream(2, 5, 200)
    counts = {True: [0, 0], False: [0, 0]}
    for number, (candidate, good) in enumerate(outcomes, 1):
        counts[candidate][0] += 1
        counts[candidate][1] += good
        if min(counts[True][0], counts[False][0]) < 10:
            continue
        means = {arm: good / n for arm, (n, good) in counts.items()}
        spread = sum(
            max(means[arm] * (1 - means[arm]) * n / (n - 1), 1e-12) / n
            for arm, (n, _) in counts.items()
        )
        statistic = (means[True] - means[False]) ** 2 / (2 * spread)
        if statistic > math.log((1 + math.log(number)) / 0.05):
            break
    assert first(verdicts.TensorZeroGlr(1), outcomes) == (ROLLBACK, number)


def test_the_glr_may_name_either_arm_the_winner() -> None:
    """A candidate that is better is promoted."""
    assert first(verdicts.TensorZeroGlr(1), stream(0, 2, 100))[0] == PROMOTION


def test_three_strikes_are_three_bad_windows_running() -> None:
    """At the third look of 50 candidate requests, and not when one of them was good."""
    bad, good = [(True, False)] * 50, [(True, True)] * 50
    assert first(verdicts.ThresholdRule(1, 0.75), bad * 3) == (ROLLBACK, 150)
    assert first(verdicts.ThresholdRule(1, 0.75), bad * 2 + good + bad * 2) == (0, 0)


def test_the_z_test_looks_at_every_50th_candidate_request() -> None:
    """A candidate that is always bad is out at the first."""
    assert first(verdicts.RepeatedZTest(1), stream(1, 5, 60)) == (ROLLBACK, 246)
    assert first(verdicts.RepeatedZTest(1), stream(0, 5, 200)) == (0, 0)


def test_another_threshold_sees_the_same_evidence() -> None:
    """It decides earlier, and the evidence is cut by its owner."""
    evidence = TwoSampleEvidence(1, 20, 80.0)
    view = verdicts.EvidenceAbove(evidence, 20.0)
    view.keep(np.array([], np.int64))
    seen = []
    for candidate, good in stream(1, 0, 30):
        strict = evidence.observe(np.array([candidate]), np.array([good]))[0]
        seen.append((bool(view.observe(np.array([candidate]), np.array([good]))[0]), bool(strict)))
    assert seen.index((True, False)) < seen.index((True, True))


def test_a_small_comparison_has_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with what it may decide, on one base."""
    records = list(verdicts.cells(20, 1, bases=(0.95,), losses=(0, 20), most=200))
    assert {record["rule"] for record in records if record["loss_points"]} == set(verdicts.ORDER)
    shares = [record["rollback_rate"] for record in records if record["loss_points"] == 20]
    assert min(shares) > 0.9
    assert "0.95 −20" in capsys.readouterr().out


def test_the_page_on_rollouts_has_the_tables_of_the_last_results() -> None:
    """Number by number; ``verdicts.py`` prints them."""
    page = PAGE.read_text(encoding="utf-8")
    found = json.loads(verdicts.RESULTS.read_text(encoding="utf-8"))
    assert f"{found['runs']:,} runs of every column" in page
    for base in verdicts.BASES:
        assert verdicts.table(found["records"], base) in page


def test_the_results_keep_what_is_promised() -> None:
    """One guardrail with the whole 5 %, from 0.80 at 20 %: the bounds that a rollout is held to."""
    found = json.loads(verdicts.RESULTS.read_text(encoding="utf-8"))
    assert found["runs"] >= 2000
    of = {(r["base"], r["loss_points"]): r for r in found["records"] if r["rule"] == "e-process"}
    for base in verdicts.BASES:
        assert of[base, 0]["rollback_rate"] <= 0.05
    most = {5: 650, 10: 150, 20: 45, 40: 15}
    assert all(of[0.80, loss]["median"] <= bound for loss, bound in most.items())


def test_the_rules_are_pictured_from_the_last_results() -> None:
    """False alarms as numbers, medians as lines; the page shows the picture."""
    found = json.loads(verdicts.RESULTS.read_text(encoding="utf-8"))
    svg = rollout_pictures.rules(found["records"])
    of = {(r["rule"], r["loss_points"], r["base"]): r for r in found["records"]}
    for rule in ("e-process", "TensorZero GLR"):
        assert f"{of[rule, 0, 0.80]['rollback_rate']:.1%}" in svg
    pictures = PAGE.parent / "images"
    assert (pictures / "rollout-rules.svg").read_text(encoding="utf-8").startswith("<svg ")
