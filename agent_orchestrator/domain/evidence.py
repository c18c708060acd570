"""Outcomes and feedback in, a rollout's verdict out.

``RolloutEvidence`` is folded over the outcomes and judgements of one rollout in ingestion order. It
reads no clock and depends on nothing but the sequence of calls, so folding the same records again,
in batches of any size, gives the same evidence.

Each guardrail is a yes-or-no question about a request, where yes is good. Two tests watch it:

- An e-process over the whole rollout asks whether the candidate is worse (``eprocess``). It may be
  looked at after every outcome. Each of K guardrails gets α / K, so it fails at K / α, and an equal
  candidate is rolled back with probability α at most. Its blocks compare the arms at one time, so
  its evidence multiplies through steps of different weights.
- Planned looks ask whether the candidate is at most ``margin`` worse (``statistics``). They count
  the current step only: pooled over steps, an arm that got its share mostly in bad times would look
  bad (Simpson's paradox). A step passes when every guardrail passed at its latest look, each at the
  full α: a candidate that is too bad on one guardrail has to get past that one (an
  intersection-union test), so the others need no share.

Only a request's first attempt counts, because only that was dealt out at random: what fails over to
an arm comes from the other arm's bad moments. Requests are taken as independent; where the requests
of a task are much alike, the evidence counts for more than it is worth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from agent_orchestrator.domain.eprocess import OneSampleEProcess, TwoSampleEProcess, block_shape
from agent_orchestrator.domain.outcomes import Judged, Outcome, Recorded
from agent_orchestrator.domain.rollout import (
    FULL,
    Guardrail,
    GuardrailEvidence,
    RolloutPolicy,
    RolloutVerdict,
)
from agent_orchestrator.domain.routing import CANDIDATE, STABLE
from agent_orchestrator.domain.statistics import (
    Look,
    non_inferiority_look,
    srm_p_value,
    wilson_lower_bound,
)
from agent_orchestrator.domain.verdict import Verdict

SPLIT_P_VALUE = 0.001
"""A realised split less likely than this is not the one that was asked for."""
GOOD_SCORE = 0.5
"""A judgement from here on is good."""


#: What a guardrail counts, for people.
_COUNTED: Mapping[Guardrail, str] = {
    "error": "requests",
    "invalid": "answers",
    "latency": "answers",
    "quality": "judgements",
}


class _Tally:
    """Good ones of all."""

    __slots__ = ("good", "n")

    def __init__(self) -> None:
        self.good = 0
        self.n = 0

    def add(self, good: bool) -> None:
        self.n += 1
        self.good += good

    @property
    def rate(self) -> float | None:
        return self.good / self.n if self.n else None


class StepWatch:
    """One guardrail while both arms carry traffic."""

    def __init__(self, name: Guardrail, policy: RolloutPolicy, weight: int) -> None:
        self.name = name
        self.policy = policy
        self.candidate = _Tally()
        self.stable = _Tally()
        self.process = TwoSampleEProcess(block_shape(weight))
        self.start_step(weight)

    def start_step(self, weight: int) -> None:
        """Count anew for the looks; go on betting, in blocks that follow the weight."""
        self.process.reshape(block_shape(weight))
        self.look: Look | None = None
        self.step_candidate = _Tally()
        self.step_stable = _Tally()
        self.candidate_due = self.policy.look_every
        self.stable_each_look = math.ceil(self.policy.look_every * (FULL - weight) / weight)
        self.stable_due = self.stable_each_look

    def observe(self, candidate: bool, good: bool) -> None:
        """Take one request's answer to the guardrail's question."""
        self.process.observe(candidate, good)
        if candidate:
            self.candidate.add(good)
            self.step_candidate.add(good)
        else:
            self.stable.add(good)
            self.step_stable.add(good)
        if self.step_candidate.n >= self.candidate_due and self.step_stable.n >= self.stable_due:
            self._take_look()

    def _take_look(self) -> None:
        """Both arms have their planned share of this step's requests."""
        number = self.look.look + 1 if self.look else 1
        if number > self.policy.looks:
            return
        self.look = non_inferiority_look(
            self.step_candidate.good,
            self.step_candidate.n,
            self.step_stable.good,
            self.step_stable.n,
            margin=self.policy.margin,
            look=number,
            looks=self.policy.looks,
            alpha=self.policy.alpha,
        )
        self.candidate_due += self.policy.look_every
        self.stable_due += self.stable_each_look

    @property
    def failed(self) -> bool:
        """Whether the evidence that the candidate is worse has ever reached the threshold."""
        return self.process.peak >= _threshold(self.policy)

    @property
    def passed(self) -> bool:
        """Whether the latest look found the candidate good enough."""
        return self.look is not None and self.look.passed

    def evidence(self) -> GuardrailEvidence:
        """Return what the data say."""
        verdict = Verdict.PASS if self.passed else Verdict.INCONCLUSIVE
        return GuardrailEvidence(
            guardrail=self.name,
            verdict=Verdict.FAIL if self.failed else verdict,
            candidate_n=self.candidate.n,
            stable_n=self.stable.n,
            candidate_rate=self.candidate.rate,
            stable_rate=self.stable.rate,
            e_value=self.process.peak,
            threshold=_threshold(self.policy),
            lower_bound=self.look.lower_bound if self.look else None,
            look=self.look.look if self.look else 0,
        )

    def waiting_for(self) -> str:
        """Say why the guardrail has not passed."""
        counted = _COUNTED[self.name]
        for arm, tally in (("candidate", self.candidate), ("stable arm", self.stable)):
            if not tally.n:
                return f"{self.name}: no {counted} for the {arm} yet."
        if self.look is None:
            return (
                f"{self.name}: the first look needs {self.candidate_due} {counted} for the "
                f"candidate and {self.stable_due} for the stable arm; this step has "
                f"{self.step_candidate.n} and {self.step_stable.n}."
            )
        last = self.look.look == self.policy.looks
        return (
            f"{self.name}: at look {self.look.look} of {self.policy.looks} the candidate may be "
            f"{-self.look.lower_bound:.3f} worse, {self.policy.margin:g} is allowed"
            f"{'; no further look is planned, a person decides' if last else ''}."
        )


class _GuardWatch:
    """One guardrail after promotion, when no stable traffic is left to compare with.

    The reference is the stable arm's rate over the rollout, frozen: its lower confidence bound, for
    it is an estimate itself, less the margin. So an equal candidate lies above it and is hardly
    ever accused: in at most 1 of 400 simulated periods of 2,000 requests, α = 5 % over four.
    Without stable data there is no reference, and no verdict.
    """

    def __init__(self, name: Guardrail, policy: RolloutPolicy, stable: _Tally) -> None:
        self.name = name
        self.policy = policy
        self.candidate = _Tally()
        self.stable = stable
        self.process: OneSampleEProcess | None = None
        if stable.n:
            alpha = policy.alpha / len(policy.guardrails)
            reference = wilson_lower_bound(stable.good, stable.n, alpha) - policy.margin
            if reference > 0.0:
                self.process = OneSampleEProcess(reference)

    def observe(self, candidate: bool, good: bool) -> None:
        """Take one request's answer; what the stable arm still finishes no longer counts."""
        if candidate:
            self.candidate.add(good)
            if self.process is not None:
                self.process.observe(good)

    @property
    def passed(self) -> bool:
        """Never: that nothing bad was seen in the guard period is no proof."""
        return False

    def evidence(self) -> GuardrailEvidence:
        """Return what the data say."""
        e_value = self.process.peak if self.process else 1.0
        failed = e_value >= _threshold(self.policy)
        return GuardrailEvidence(
            guardrail=self.name,
            verdict=Verdict.FAIL if failed else Verdict.INCONCLUSIVE,
            candidate_n=self.candidate.n,
            stable_n=self.stable.n,
            candidate_rate=self.candidate.rate,
            stable_rate=self.stable.rate,
            e_value=e_value,
            threshold=_threshold(self.policy),
        )

    def waiting_for(self) -> str:
        """Say what the guard period has seen."""
        if self.process is None:
            return f"{self.name}: nothing of the stable arm to compare with in the guard period."
        return (
            f"{self.name}: guard period, evidence of a loss {self.process.peak:.3g}, "
            f"{_threshold(self.policy):g} rolls back."
        )


class RolloutEvidence:
    """The evidence on one rollout, folded over its records in ingestion order.

    ``weight`` is the candidate's share in percent; 100 is the guard period after promotion. Records
    of other rollouts must be left out by the caller; arms other than candidate and stable, later
    attempts, and records whose place in the order has been passed are skipped, so that reading some
    of them twice does no harm.

    Mutable, for speed. Memory does not grow with the outcomes, except for the ids of the step's
    tasks, which the realised split is counted by.
    """

    def __init__(self, policy: RolloutPolicy, weight: int, now: float) -> None:
        self.policy = policy
        self.candidate_requests = 0
        self.stable_requests = 0
        self.last_outcome_at: float | None = None
        self.last_outcome_seq = -1
        self.last_feedback_seq = -1
        self._slow_ms = policy.latency_limit_s * 1000.0
        self._watches: dict[Guardrail, StepWatch | _GuardWatch] = {}
        self.start_step(weight, now)

    def start_step(self, weight: int, now: float) -> None:
        """Begin a step at ``weight`` percent; 100 begins the guard period.

        Raises InputError unless ``weight`` lies in 1..100.
        """
        for name in self.policy.guardrails:
            watch = self._watches.get(name)
            if weight == FULL:
                stable = watch.stable if watch else _Tally()
                self._watches[name] = _GuardWatch(name, self.policy, stable)
            elif isinstance(watch, StepWatch):
                watch.start_step(weight)
            else:
                self._watches[name] = StepWatch(name, self.policy, weight)
        self.weight = weight
        self.step_started_at = now
        self._tasks: set[str] = set()
        self._candidate_tasks = 0

    def fold(self, records: Iterable[Recorded | Judged]) -> None:
        """Take records in ingestion order, in batches of any size."""
        for record in records:
            if isinstance(record, Recorded):
                if record.seq > self.last_outcome_seq:
                    self.last_outcome_seq = record.seq
                    self._take_outcome(record.outcome)
            elif record.seq > self.last_feedback_seq:
                self.last_feedback_seq = record.seq
                if record.arm in _ARMS:
                    self._observe("quality", record.arm == CANDIDATE, record.score >= GOOD_SCORE)

    def _take_outcome(self, outcome: Outcome) -> None:
        if outcome.attempt or outcome.arm not in _ARMS:
            return
        candidate = outcome.arm == CANDIDATE
        if candidate:
            self.candidate_requests += 1
            self.last_outcome_at = max(outcome.at, self.last_outcome_at or outcome.at)
        else:
            self.stable_requests += 1
        if outcome.task_id not in self._tasks:
            self._tasks.add(outcome.task_id)
            self._candidate_tasks += candidate
        answered = outcome.error is None
        self._observe("error", candidate, answered)
        if answered:
            self._observe("latency", candidate, outcome.latency_ms <= self._slow_ms)
            if outcome.valid_output is not None:
                self._observe("invalid", candidate, outcome.valid_output)

    def _observe(self, guardrail: Guardrail, candidate: bool, good: bool) -> None:
        watch = self._watches.get(guardrail)
        if watch is not None:
            watch.observe(candidate, good)

    def verdict(self, now: float) -> RolloutVerdict:
        """Return what the records folded so far say at ``now``.

        FAIL when a guardrail's evidence has ever reached its threshold. PASS when every guardrail
        passed at its latest look, the candidate's outcomes are fresh and the realised split is the
        one that was asked for. INCONCLUSIVE otherwise; so also in a guard period without FAIL.
        """
        guardrails = tuple(watch.evidence() for watch in self._watches.values())
        failed = [g for g in guardrails if g.verdict is Verdict.FAIL]
        if failed:
            verdict, reason = Verdict.FAIL, " ".join(map(_failure, failed))
        elif doubt := self._doubt(now) or " ".join(
            watch.waiting_for() for watch in self._watches.values() if not watch.passed
        ):
            verdict, reason = Verdict.INCONCLUSIVE, doubt
        else:
            bounds = ", ".join(f"{g.guardrail} {g.lower_bound:+.3f}" for g in guardrails)
            margin = f"{self.policy.margin:g}"
            verdict = Verdict.PASS
            reason = f"Not worse by {margin}; candidate − stable is at least: {bounds}."
        return RolloutVerdict(
            verdict=verdict,
            reason=reason,
            guardrails=guardrails,
            asked_share=self.weight / FULL,
            realised_share=self._candidate_tasks / len(self._tasks) if self._tasks else None,
            split_p_value=self._split_p_value(),
            candidate_requests=self.candidate_requests,
            stable_requests=self.stable_requests,
            last_outcome_at=self.last_outcome_at,
            details={
                "last_outcome_seq": self.last_outcome_seq,
                "last_feedback_seq": self.last_feedback_seq,
                "step_tasks": len(self._tasks),
            },
        )

    def _split_p_value(self) -> float | None:
        """Test the split of this step's tasks; None without tasks and when one arm has it all."""
        if not self._tasks or self.weight == FULL:
            return None
        counts = (self._candidate_tasks, len(self._tasks) - self._candidate_tasks)
        return srm_p_value(counts, (self.weight, FULL - self.weight))

    def _doubt(self, now: float) -> str:
        """Say why the records cannot be judged; empty when they can."""
        if self.last_outcome_at is None:
            return "No request for the candidate yet."
        quiet = now - max(self.last_outcome_at, self.step_started_at)
        if quiet > self.policy.stale_after_seconds:
            return f"Stale: no request for the candidate for {quiet:.0f} s."
        p_value = self._split_p_value()
        if p_value is not None and p_value < SPLIT_P_VALUE:
            return (
                f"{self._candidate_tasks} of {len(self._tasks)} tasks went to the candidate, "
                f"{self.weight} % were asked for (p = {p_value:.2g}): the split is not trusted."
            )
        return ""


_ARMS = frozenset({STABLE, CANDIDATE})


def _threshold(policy: RolloutPolicy) -> float:
    """Return the evidence that fails a guardrail: its share of alpha, inverted."""
    return len(policy.guardrails) / policy.alpha


def _failure(g: GuardrailEvidence) -> str:
    counted = _COUNTED[g.guardrail]
    return (
        f"{g.guardrail}: {g.candidate_rate:.3f} of {g.candidate_n} candidate {counted} were good, "
        f"{g.stable_rate:.3f} of {g.stable_n} stable ones; evidence {g.e_value:.3g} reached "
        f"{g.threshold:g}."
    )
