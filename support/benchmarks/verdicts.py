"""How soon and how falsely rules for canaries decide, all of them on the same simulated streams.

    python support/benchmarks/verdicts.py [--runs 2000] [--seed 0]

For stable good rates of 0.50, 0.80 and 0.95, a candidate that is equal or worse by 5 to 40 points
gets 20 % of the requests, up to 5,000 of its own in a run. Per rule the table shows in how many
runs it rolls back (with no loss: false alarms), the candidate requests until then (median over all
runs, 90th percentile), and in how many runs it promotes (with a loss of 5 points, the margin, or
more: false promotions). Minutes on one core; writes results/verdicts.json beside this file.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from agent_orchestrator.agents.infrastructure.modelops.simulation.streams import (
    PROMOTION,
    ROLLBACK,
    Bools,
    Codes,
    Decisions,
    Ints,
    KnowingSprt,
    PlannedLooks,
    Rollout,
    Rule,
    TwoSampleEvidence,
    play,
)
from agent_orchestrator.domain.rollout import RolloutPolicy
from agent_orchestrator.domain.simulation import wald_requests

RESULTS: Final = Path(__file__).parent / "results" / "verdicts.json"
BASES: Final = (0.50, 0.80, 0.95)
LOSSES: Final = (0, 5, 10, 20, 40)
"""Points of the good rate."""
WEIGHT: Final = 20
MOST: Final = 5000
"""Candidate requests of a run."""
POLICY: Final = RolloutPolicy()
PATIENCE: Final = POLICY.looks * POLICY.look_every
"""Candidate requests after which a rule without a test for promotion promotes what it has not
rolled back: as many as our planned looks take at most."""


ORDER: Final = (
    "e-process",
    "e-process, 2 guardrails",
    "e-process, 4 guardrails",
    "e-process and looks",
    "threshold, three strikes",
    "z-test at each look",
    "TensorZero GLR",
    "SPRT that knows both rates",
)
"""The rules as the table lists them."""


class EvidenceAbove(Rule):
    """Another threshold for the evidence of a rule that is played before this one."""

    def __init__(self, evidence: TwoSampleEvidence, threshold: float) -> None:
        self.evidence = evidence
        self.threshold = threshold

    def observe(self, candidate: Bools, good: Bools) -> Bools:
        """Decide where the evidence is there now."""
        reached: Bools = self.evidence.total >= self.threshold
        return reached

    def keep(self, runs: Ints) -> None:
        """The evidence's owner cuts it."""


class AtLooks(Rule):
    """A rule that looks at its counts after every 50th candidate request."""

    EVERY: Final = 50

    def __init__(self, runs: int) -> None:
        self.n = np.zeros((2, runs), np.int64)
        self.good = np.zeros((2, runs), np.int64)

    def observe(self, candidate: Bools, good: Bools) -> Bools:
        """Count, and decide where a look is due and alarms."""
        self.n[1] += candidate
        self.n[0] += ~candidate
        self.good[1] += candidate & good
        self.good[0] += ~candidate & good
        decided = np.zeros(candidate.size, np.bool_)
        due = np.flatnonzero(candidate & (self.n[1] % self.EVERY == 0))
        if due.size:
            decided[due] = self.look(due)
        return decided

    def look(self, runs: Ints) -> Bools:
        """Return in which of these runs the rule rolls back."""
        raise NotImplementedError


class ThresholdRule(AtLooks):
    """Less than a fixed rate in the last 50 candidate requests, at three looks running.

    The rate is five points below the stable arm's true one: 0.75 for 0.80.
    """

    def __init__(self, runs: int, least: float) -> None:
        super().__init__(runs)
        self.least = least
        self.before = np.zeros(runs, np.int64)
        self.strikes = np.zeros(runs, np.int64)

    def look(self, runs: Ints) -> Bools:
        """Decide at the third strike."""
        low = (self.good[1, runs] - self.before[runs]) / self.EVERY < self.least
        self.before[runs] = self.good[1, runs]
        self.strikes[runs] = np.where(low, self.strikes[runs] + 1, 0)
        struck: Bools = self.strikes[runs] >= 3
        return struck


class RepeatedZTest(AtLooks):
    """A one-sided two-proportion z-test at 5 %, at every look as if it were the only one."""

    CRITICAL: Final = 1.6449

    def look(self, runs: Ints) -> Bools:
        """Decide where the stable arm is significantly better."""
        n, good = self.n[:, runs], self.good[:, runs]
        pooled = good.sum(0) / n.sum(0)
        n = np.maximum(n, 1)
        error = np.sqrt(pooled * (1 - pooled) * (1 / n[0] + 1 / n[1]))
        return np.asarray(good[0] / n[0] - good[1] / n[1] > self.CRITICAL * error)


class TensorZeroGlr(Rule):
    """TensorZero's generalised likelihood ratio, by which its track-and-stop ends an experiment.

    With N requests, g the gap of the means and v the sample variances of the arms, it stops for the
    leader when g² / (2 (v₁/n₁ + v₂/n₂)) > ln((1 + ln N) / δ), both arms having 10 requests or more;
    δ = 0.05, ε = 0, variances at least 1e-12 (check_stopping.rs of tensorzero-core). It looks every
    minute; here after every request, and at a split that stays as it is, as in the other rules.
    """

    DELTA: Final = 0.05
    LEAST: Final = 10

    def __init__(self, runs: int) -> None:
        self.n = np.zeros((2, runs))
        self.good = np.zeros((2, runs))

    def observe(self, candidate: Bools, good: Bools) -> Codes:
        """Count, and decide for the leader where the statistic is large enough."""
        self.n[1] += candidate
        self.n[0] += ~candidate
        self.good[1] += candidate & good
        self.good[0] += ~candidate & good
        n = np.maximum(self.n, 2.0)
        mean = self.good / n
        variance = np.maximum(mean * (1 - mean) * n / (n - 1), 1e-12)
        gap = mean[1] - mean[0]
        statistic = gap**2 / (2 * (variance / n).sum(0))
        enough = self.n.min(0) >= self.LEAST
        stops = enough & (statistic > np.log((1 + np.log(n.sum(0))) / self.DELTA))
        return np.where(stops, np.where(gap < 0, ROLLBACK, PROMOTION), 0).astype(np.int8)


def rules_for(base: float, loss: int, runs: int) -> dict[str, Rule]:
    """Return the rules, by the names that the table shows."""
    k4 = TwoSampleEvidence(runs, WEIGHT, 4 / POLICY.alpha)
    looks = PlannedLooks(
        runs,
        WEIGHT,
        margin=POLICY.margin,
        looks=POLICY.looks,
        look_every=POLICY.look_every,
        alpha=POLICY.alpha,
    )
    rules: dict[str, Rule] = {
        "e-process, 4 guardrails": k4,
        "e-process, 2 guardrails": EvidenceAbove(k4, 2 / POLICY.alpha),
        "e-process": EvidenceAbove(k4, 1 / POLICY.alpha),
        "e-process and looks": Rollout(EvidenceAbove(k4, 1 / POLICY.alpha), looks),
        "threshold, three strikes": ThresholdRule(runs, base - 0.05),
        "z-test at each look": RepeatedZTest(runs),
        "TensorZero GLR": TensorZeroGlr(runs),
    }
    if loss:
        rates = (base, base - loss / 100)
        rules["SPRT that knows both rates"] = KnowingSprt(runs, WEIGHT, rates, 1 / POLICY.alpha)
    return rules


def measured(name: str, decisions: Decisions) -> dict[str, Any]:
    """Return what one rule did."""
    back = decisions.code == ROLLBACK
    waited = np.where(back, decisions.candidate_requests, np.inf)
    p90 = float(np.quantile(waited, 0.9, method="inverted_cdf"))
    median = float(np.median(waited))
    promoted: float | None = None
    if name in {"e-process and looks", "TensorZero GLR"}:
        promoted = float(np.mean(decisions.code == PROMOTION))
    elif name in {"threshold, three strikes", "z-test at each look"}:
        promoted = float(np.mean(waited > PATIENCE))
    return {
        "rollback_rate": float(back.mean()),
        "median": median if math.isfinite(median) else None,
        "p90": p90 if math.isfinite(p90) else None,
        "promotion_rate": promoted,
    }


def cells(
    runs: int,
    seed: int,
    *,
    bases: Sequence[float] = BASES,
    losses: Sequence[int] = LOSSES,
    most: int = MOST,
) -> Iterator[dict[str, Any]]:
    """Play every base and loss; yield one record for each rule."""
    for i, base in enumerate(bases):
        for j, loss in enumerate(losses):
            started = time.perf_counter()
            rules = rules_for(base, loss, runs)
            rates = (base, base - loss / 100)
            decisions = play(
                list(rules.values()),
                runs,
                rates=rates,
                weight=WEIGHT,
                max_requests=most,
                rng=np.random.default_rng((seed, i, j)),
            )
            wald = wald_requests(*rates, WEIGHT, POLICY.alpha)
            for name, decision in zip(rules, decisions, strict=True):
                yield {
                    "base": base,
                    "loss_points": loss,
                    "rule": name,
                    **measured(name, decision),
                    "wald_requests": wald,
                }
            print(f"  {base:.2f} −{loss}: {time.perf_counter() - started:.0f} s", flush=True)


def table(records: list[dict[str, Any]], base: float) -> str:
    """Return one base's table in Markdown: rollback rate, median / p90, promotion rate."""
    of = {(r["rule"], r["loss_points"]): r for r in records if r["base"] == base}
    played = {rule for rule, _ in of}
    names = [rule for rule in ORDER if rule in played]
    heads = ["no loss", *(f"−{loss} points" for loss in LOSSES[1:])]
    lines = [f"| Stable rate {base:.2f} | " + " | ".join(heads) + " |", "|---" * 6 + "|"]
    for name in names:
        cells = [_cell(of.get((name, loss))) for loss in LOSSES]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    walds = [f"{of['e-process', loss]['wald_requests']:.0f}" for loss in LOSSES[1:]]
    lines.append("| Wald's approximation of the SPRT's mean | – | " + " | ".join(walds) + " |")
    ratios = [_ratio(of, loss) for loss in LOSSES[1:]]
    lines.append("| e-process : SPRT median, : Wald | – | " + " | ".join(ratios) + " |")
    return "\n".join(lines)


def _cell(record: Mapping[str, Any] | None) -> str:
    if record is None:
        return "–"
    text = f"{record['rollback_rate']:.1%}"
    if record["median"] is not None:
        p90 = f"{record['p90']:.0f}" if record["p90"] is not None else f"> {MOST}"
        text += f", {record['median']:.0f} / {p90}"
    if record["promotion_rate"] is not None:
        text += f", ↑ {record['promotion_rate']:.1%}"
    return text


def _ratio(of: Mapping[tuple[str, int], Mapping[str, Any]], loss: int) -> str:
    ours, sprt = (of[rule, loss]["median"] for rule in ("e-process", "SPRT that knows both rates"))
    wald = of["e-process", loss]["wald_requests"]
    return "–" if ours is None else f"{ours / sprt:.2f}, {ours / wald:.2f}"


def main() -> None:
    """Play, print the tables, write the records."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(f"{given.runs} runs of each base and loss …", flush=True)
    started = time.perf_counter()
    records = list(cells(given.runs, given.seed))
    print(
        f"\nCells: rolled back; candidate requests to rollback, median / 90th percentile of all "
        f"runs; ↑ promoted. Runs of {MOST} candidate requests at {WEIGHT} %. The two rules with no "
        f"test for promotion promote after {PATIENCE}.\n"
    )
    for base in BASES:
        print(table(records, base), end="\n\n")
    RESULTS.parent.mkdir(exist_ok=True)
    about = {"runs": given.runs, "seed": given.seed, "weight": WEIGHT, "most": MOST}
    RESULTS.write_text(json.dumps(about | {"records": records}, indent=1) + "\n")
    print(f"{time.perf_counter() - started:.0f} s; {RESULTS.name} written.")


if __name__ == "__main__":
    main()
