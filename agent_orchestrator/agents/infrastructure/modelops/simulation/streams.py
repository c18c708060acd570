"""Rules of a rollout on many simulated runs at once, request by request.

One step of ``play`` deals one request in each of the runs and shows it to every rule, so that rules
are compared on the same streams. The rules of ``watches.StepWatch`` are written here once more
for whole arrays of runs, for speed; a test compares them with it on the same streams.

Importing this module loads numpy.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent_orchestrator.domain import eprocess
from agent_orchestrator.domain.rollout import FULL
from agent_orchestrator.domain.simulation import log_ratios
from agent_orchestrator.domain.statistics import (
    non_inferiority_passes,
    obrien_fleming_boundaries,
)

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int8]

NOTHING, ROLLBACK, PROMOTION = 0, 1, 2
"""What a rule decides. True counts as ROLLBACK: most rules know nothing else."""

_CHUNK = 256
"""Requests of a run that are drawn at once."""
_LEVELS = 500
"""Pooled log-odds of at most this many steps to each side: beyond 10²¹ requests."""


class Rule(ABC):
    """A rule that watches every run.

    Attributes that are arrays have the runs as their last axis: runs that are over are cut out of
    all of them.
    """

    @abstractmethod
    def observe(self, candidate: Bools, good: Bools) -> Bools | Codes:
        """Take one request of each run; return what the rule decides now: nothing is 0."""

    def keep(self, runs: Ints) -> None:
        """Go on with these runs only, by index."""
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and name not in self.shared:
                setattr(self, name, value[..., runs])

    shared: frozenset[str] = frozenset()
    """Attributes that belong to no run."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a rule first decided, and what had happened by then, one entry a run.

    Where it decided nothing, what had happened when the run was over.
    """

    code: Codes
    candidate_requests: Ints
    requests: Ints
    bad: Ints

    @classmethod
    def none(cls, runs: int) -> Decisions:
        """Nothing yet."""
        return cls(np.zeros(runs, np.int8), *(np.zeros(runs, np.int64) for _ in range(3)))

    @classmethod
    def joined(cls, parts: Sequence[Decisions]) -> Decisions:
        """Return the runs of all parts."""
        return cls(
            np.concatenate([part.code for part in parts]),
            np.concatenate([part.candidate_requests for part in parts]),
            np.concatenate([part.requests for part in parts]),
            np.concatenate([part.bad for part in parts]),
        )

    def median(self) -> float | None:
        """Median candidate requests to a decision over all runs; None if fewer than half made one.

        Unlike a median over the runs that decided, it is not shortened by those that never did.
        """
        waited = np.where(self.code == NOTHING, np.inf, self.candidate_requests)
        median = float(np.median(waited))
        return median if math.isfinite(median) else None


class TwoSampleEvidence(Rule):
    """``eprocess.TwoSampleEProcess``: decides when the evidence reaches the threshold."""

    shared = frozenset({"_factors", "_filled"})

    def __init__(self, runs: int, weight: int, threshold: float) -> None:
        self.shape = eprocess.block_shape(weight)
        self.threshold = threshold
        self._slots = eprocess.MAX_WAITING + 2
        self._arrived = np.zeros((2, runs), np.int64)
        self._good = np.zeros((2, runs), np.uint16)
        self._used = np.zeros((2, runs), np.int64)
        self._cumulative = np.zeros((self._slots, 2, runs), np.uint16)
        """Good ones among the first k outcomes of an arm, in slot k modulo their number; counts
        wrap round, of which differences know nothing."""
        self._pooled = np.empty((2, runs))
        self._pooled[:] = [[eprocess.PRIOR_BAD], [eprocess.PRIOR_GOOD]]
        self._shares = tuple(eprocess.SHARES)
        start = [[(1.0 - eprocess.RESERVE) * share] for share in self._shares]
        self._bets = np.repeat(start, runs, axis=1)
        self._reserve = np.full(runs, eprocess.RESERVE)
        self._rounds = np.zeros(runs)
        self.total = np.ones(runs)
        """Evidence now."""
        n_c, n_s = self.shape
        self._factors = np.empty((2 * _LEVELS + 1, n_c + 1, n_s + 1, len(self._shares)))
        self._filled = np.zeros(2 * _LEVELS + 1, np.bool_)

    def observe(self, candidate: Bools, good: Bools) -> Bools:
        """Decide where a block is complete and takes the evidence to the threshold."""
        arm = candidate.astype(np.intp)
        every = np.arange(arm.size)
        self._arrived[arm, every] += 1
        self._good[arm, every] += good
        slot = self._arrived[arm, every] % self._slots
        self._cumulative[slot, arm, every] = self._good[arm, every]
        waiting = self._arrived - self._used
        n_c, n_s = self.shape
        complete = np.flatnonzero((waiting[1] >= n_c) & (waiting[0] >= n_s))
        crossed = np.zeros(arm.size, np.bool_)
        if complete.size:
            self._close_blocks(complete)
            crossed[complete] = self.total[complete] >= self.threshold
        if waiting.max() > eprocess.MAX_WAITING:
            np.maximum(self._used, self._arrived - eprocess.MAX_WAITING, out=self._used)
        return crossed

    def _close_blocks(self, runs: Ints) -> None:
        """Play a round in these runs: one outcome completes at most one block."""
        n_c, n_s = self.shape
        good_s, good_c = (self._take(arm, n, runs) for arm, n in ((0, n_s), (1, n_c)))
        bad, good = self._pooled[:, runs]
        factors = self._block_factors(np.log(good / bad), good_c, good_s)
        self._pooled[:, runs] += n_c + n_s - good_c - good_s, good_c + good_s
        invested = self._reserve[runs] / (self._rounds[runs] + eprocess.HALF_LIFE)
        self._reserve[runs] -= invested
        self._rounds[runs] += 1
        total = np.zeros(runs.size)
        for i, share in enumerate(self._shares):
            bet = (self._bets[i, runs] + invested * share) * factors[:, i]
            self._bets[i, runs] = bet
            total += bet
        self.total[runs] = total + self._reserve[runs]

    def _take(self, arm: int, n: int, runs: Ints) -> Ints:
        """Return how many of the ``n`` outcomes that have waited longest were good."""
        first = self._used[arm, runs]
        self._used[arm, runs] += n
        before = self._cumulative[first % self._slots, arm, runs]
        after = self._cumulative[(first + n) % self._slots, arm, runs]
        good: Ints = (after - before).astype(np.int64)
        return good

    def _block_factors(self, log_odds: Floats, good_c: Ints, good_s: Ints) -> Floats:
        """Return the factor of each bet (last axis) for each block."""
        n_c, n_s = self.shape
        level = np.rint(log_odds * eprocess.LEVELS_PER_UNIT).astype(np.int64)
        for new in np.unique(level[~self._filled[level]]):
            self._filled[new] = True
            self._factors[new] = [
                [eprocess.block_factors(n_c, n_s, c, s, int(new)) for s in range(n_s + 1)]
                for c in range(n_c + 1)
            ]
        chosen: Floats = self._factors[level, good_c, good_s]
        return chosen


class PlannedLooks(Rule):
    """The looks for promotion of ``watches.StepWatch``: decides when one passes."""

    def __init__(
        self, runs: int, weight: int, *, margin: float, looks: int, look_every: int, alpha: float
    ) -> None:
        self.margin = margin
        self.boundaries = obrien_fleming_boundaries(looks, alpha)
        self.every = (math.ceil(look_every * (FULL - weight) / weight), look_every)
        self._n = np.zeros((2, runs), np.int64)
        self._good = np.zeros((2, runs), np.int64)
        self._taken = np.zeros(runs, np.int64)

    def observe(self, candidate: Bools, good: Bools) -> Bools:
        """Decide where a look is due and passes."""
        stable = ~candidate
        self._n[1] += candidate
        self._n[0] += stable
        self._good[1] += candidate & good
        self._good[0] += stable & good
        next_look = self._taken + 1
        due = (self._n[1] >= self.every[1] * next_look) & (self._n[0] >= self.every[0] * next_look)
        passed = np.zeros(candidate.size, np.bool_)
        for run in np.flatnonzero(due & (self._taken < len(self.boundaries))):
            passed[run] = non_inferiority_passes(
                int(self._good[1, run]),
                int(self._n[1, run]),
                int(self._good[0, run]),
                int(self._n[0, run]),
                margin=self.margin,
                boundary=self.boundaries[self._taken[run]],
            )
            self._taken[run] += 1
        return passed


class Rollout(Rule):
    """What a rollout's step decides: rollback by the evidence, promotion by a look if there are."""

    def __init__(self, evidence: Rule, looks: PlannedLooks | None) -> None:
        self.evidence = evidence
        self.looks = looks

    def observe(self, candidate: Bools, good: Bools) -> Codes:
        """Decide by the evidence first."""
        failed = self.evidence.observe(candidate, good)
        code = np.where(failed, ROLLBACK, NOTHING)
        if self.looks is not None:
            code[self.looks.observe(candidate, good) & ~failed] = PROMOTION
        return code.astype(np.int8)

    def keep(self, runs: Ints) -> None:
        """Hand on to the parts."""
        self.evidence.keep(runs)
        if self.looks is not None:
            self.looks.keep(runs)


class KnowingSprt(Rule):
    """Wald's sequential probability ratio test of two arms whose rates it knows.

    The likelihood of both rates against that of the pooled rate, request by request; decides for
    "worse" at ``threshold``. It has no lower limit, so that it gives up no run.
    """

    def __init__(
        self, runs: int, weight: int, rates: tuple[float, float], threshold: float
    ) -> None:
        self._steps = np.array(log_ratios(*rates, weight))
        self._log_threshold = math.log(threshold)
        self._sum = np.zeros(runs)
        self.shared = frozenset({"_steps"})

    def observe(self, candidate: Bools, good: Bools) -> Bools:
        """Decide where the likelihood ratio reaches the threshold."""
        self._sum += self._steps[candidate.astype(np.intp), good.astype(np.intp)]
        reached: Bools = self._sum >= self._log_threshold
        return reached


def play(
    rules: Sequence[Rule],
    runs: int,
    *,
    rates: tuple[float, float],
    weight: int,
    max_requests: int,
    rng: np.random.Generator,
) -> list[Decisions]:
    """Play ``runs`` runs until in each of them all rules have decided or it is over.

    ``rates`` are the good rates of the stable arm and the candidate. A request goes to the
    candidate with probability ``weight`` percent. A run is over when the candidate has had
    ``max_requests``.
    """
    decisions = [Decisions.none(runs) for _ in rules]
    alive = np.arange(runs)
    candidate_requests, bad = np.zeros(runs, np.int64), np.zeros(runs, np.int64)
    requests = 0
    rate_of = np.array(rates)
    while alive.size:
        to_candidate = rng.random((_CHUNK, alive.size)) < weight / FULL
        all_good = rng.random((_CHUNK, alive.size)) < rate_of[to_candidate.astype(np.intp)]
        for candidate, good in zip(to_candidate, all_good, strict=True):
            going = candidate_requests < max_requests
            requests += 1
            candidate_requests += candidate
            bad += ~good & going
            last = going & (candidate_requests >= max_requests)
            for rule, decision in zip(rules, decisions, strict=True):
                code = rule.observe(candidate, good)
                now = np.flatnonzero(((code != NOTHING) & going) | last)
                first = now[decision.requests[alive[now]] == 0]
                if first.size:
                    decision.code[alive[first]] = code[first]
                    decision.candidate_requests[alive[first]] = candidate_requests[first]
                    decision.requests[alive[first]] = requests
                    decision.bad[alive[first]] = bad[first]
        undecided = np.any([decision.requests[alive] == 0 for decision in decisions], axis=0)
        keep = np.flatnonzero(undecided)
        if keep.size < alive.size:
            alive, candidate_requests, bad = alive[keep], candidate_requests[keep], bad[keep]
            for rule in rules:
                rule.keep(keep)
    return decisions
