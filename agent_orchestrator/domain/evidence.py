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

Of an arm that serves only a request's first attempt counts, because only that was dealt out at
random: what fails over to an arm comes from the other arm's bad moments. Of a mirrored arm the
copies count, of an ensemble's members what they were asked. An attempt that its client abandoned
is no error and has no answer to judge. Its latency is censored, so ``latency`` and ``slowdown``
ask of everything that was dealt out whether it was *seen* to take longer than the limit, as an
abandoned one was if it had been waited for longer. With answers that take T, clients that wait for
P whichever arm they got, and the limit L, that has the probability P(T > L, P > L): no larger for a
candidate that is not slower, so its test stays exact (support/docs/decisions/0010). A look has to
prove something: it counts what is known, and there is no pass where clients leave the candidate
more often than the stable arm.

Several candidates are compared with the stable arm one by one, each with its share of alpha.
Requests are taken as independent; where the requests of a task are much alike, the evidence counts
for more than it is worth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from agent_orchestrator.domain.eprocess import split_evidence
from agent_orchestrator.domain.latency_reference import LatencyReference
from agent_orchestrator.domain.outcomes import Judged, Outcome, Recorded, Role
from agent_orchestrator.domain.rollout import (
    FULL,
    ArmVerdict,
    Guardrail,
    GuardrailEvidence,
    RolloutPolicy,
    RolloutVerdict,
)
from agent_orchestrator.domain.routing import Arm, Strategy
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.domain.watches import (
    COUNTED,
    GuardWatch,
    PreferenceWatch,
    StepWatch,
    Tally,
    Watch,
)

SPLIT_P_VALUE = 0.001
"""A realised split less likely than this is not the one that was asked for."""
GOOD_SCORE = 0.5
"""A judgement from here on is good."""
FOREIGN_SHARE = 0.01
"""With a larger part of a step's requests answered by other models, its data are mixed."""

#: Candidates that have to be proven better, not only not worse.
_TWO_SIDED: frozenset[Strategy] = frozenset({"ab", "champion_challenger"})
#: What can be measured of an arm, by what its attempts are for.
_MEASURED: Mapping[Role, frozenset[Guardrail]] = {
    "serve": frozenset({"error", "invalid", "latency", "slowdown", "quality"}),
    "mirror": frozenset({"error", "invalid", "latency", "slowdown", "preference"}),
    "member": frozenset({"error", "invalid", "latency", "slowdown"}),
}

_Timed = Literal["latency", "slowdown"]


class RolloutEvidence:
    """The evidence on one rollout, folded over its records in ingestion order.

    ``arms`` has the split, the stable arm first; a candidate with 100 percent begins the guard
    period. Records of other rollouts must be left out by the caller; arms that are not in the race,
    later attempts, and records whose place in the order has been passed are skipped, so that
    reading some of them twice does no harm.

    Mutable, for speed. Memory does not grow with the outcomes, except for the ids of the step's
    tasks, which the realised split is counted by.
    """

    def __init__(
        self,
        policy: RolloutPolicy,
        arms: Sequence[Arm],
        now: float,
        strategy: Strategy = "canary",
    ) -> None:
        self.policy = policy
        self.strategy = strategy
        self.candidate_requests = 0
        self.stable_requests = 0
        self.last_outcome_seq = -1
        self.last_feedback_seq = -1
        self._last_at: dict[str, float] = {}
        self._slow_ms = policy.latency_limit_s * 1000.0
        self._usual = LatencyReference(policy.latency_quantile, policy.latency_tolerance)
        self._rivals = len(arms) - 1
        self._watches: dict[tuple[str, Guardrail], Watch] = {}
        self.start_step(arms, now)

    # -- steps ----------------------------------------------------------------------------------

    def start_step(self, arms: Sequence[Arm], now: float) -> None:
        """Begin a step with the split of ``arms``; 100 percent for a candidate is the guard period.

        Raises InputError for weights outside 0..100.
        """
        self.arms = {arm.name: arm for arm in arms}
        self._stable = arms[0]
        self._promoted = next((arm for arm in arms[1:] if arm.weight == FULL), None)
        racing = (
            [self._promoted] if self._promoted else [a for a in arms[1:] if a.weight or a.mirror]
        )
        self._roles = {arm.name: self._role(arm) for arm in (self._stable, *racing)}
        self._racing = [arm.name for arm in racing]
        self._watches = {
            (arm.name, name): self._watch(arm, name)
            for arm in racing
            for name in self.policy.guardrails
            if not (self._promoted and name == "preference")
        }
        self._of_arm: dict[str, list[Watch]] = {name: [] for name in self._racing}
        for (arm_name, _), watch in self._watches.items():
            self._of_arm[arm_name].append(watch)
        self.step_started_at = now
        self._before_step = self.last_outcome_seq
        self._tasks: set[str] = set()
        self._tasks_of: Counter[str] = Counter()
        self._requests: Counter[str] = Counter()
        self._abandoned: Counter[str] = Counter()
        self._foreign: Counter[tuple[str, str]] = Counter()

    def _role(self, arm: Arm) -> Role:
        """Return what the attempts that count of an arm are for."""
        if self._promoted:
            return "serve"
        if self.strategy == "ensemble":
            return "member"
        return "serve" if arm.weight else "mirror"

    def _watch(self, arm: Arm, name: Guardrail) -> Watch:
        """Return the watch of a step: the one of the step before goes on."""
        before = self._watches.get((arm.name, name))
        if self._promoted:
            stable = before.stable if isinstance(before, StepWatch) else Tally()
            return GuardWatch(name, self.policy, stable, arm=arm.name)
        if name == "preference":
            if not isinstance(before, PreferenceWatch):
                return PreferenceWatch(name, self.policy, arm=arm.name, rivals=self._rivals)
            before.start_step()
            return before
        weight = self._pair_weight(arm)
        if isinstance(before, StepWatch):
            before.start_step(weight)
            return before
        return StepWatch(
            name,
            self.policy,
            weight,
            arm=arm.name,
            rivals=self._rivals,
            two_sided=self.strategy in _TWO_SIDED,
        )

    def _pair_weight(self, arm: Arm) -> int:
        """Return the arm's part of its and the stable arm's requests, percent."""
        role = self._roles[arm.name]
        if role == "member":
            return FULL // 2
        mine, other = (arm.mirror if role == "mirror" else arm.weight), self._stable.weight
        return round(FULL * mine / (mine + other))

    # -- records --------------------------------------------------------------------------------

    def fold(self, records: Iterable[Recorded | Judged]) -> None:
        """Take records in ingestion order, in batches of any size."""
        for record in records:
            if isinstance(record, Recorded):
                if record.seq > self.last_outcome_seq:
                    self.last_outcome_seq = record.seq
                    self._take_outcome(record.outcome)
            elif record.seq > self.last_feedback_seq:
                self.last_feedback_seq = record.seq
                self._take_judgement(record)

    def _take_outcome(self, outcome: Outcome) -> None:
        role = self._roles.get(outcome.arm)
        if outcome.role != role or (role == "serve" and outcome.attempt):
            return
        if outcome.model != self.arms[outcome.arm].model:
            self._foreign[outcome.arm, outcome.model] += 1
            return
        self._requests[outcome.arm] += 1
        if outcome.arm == self._stable.name:
            self.stable_requests += 1
        else:
            self.candidate_requests += 1
            self._last_at[outcome.arm] = max(outcome.at, self._last_at.get(outcome.arm, outcome.at))
        if role == "serve" and outcome.task_id not in self._tasks:
            self._tasks.add(outcome.task_id)
            self._tasks_of[outcome.arm] += 1
        if outcome.error == "abandoned":
            self._abandoned[outcome.arm] += 1
            self._take_latency(outcome.arm, outcome.latency_ms, whole=False)
            return
        answered = outcome.error is None
        self._observe("error", outcome.arm, answered)
        if answered:
            self._take_latency(outcome.arm, outcome.latency_ms, whole=True)
            if outcome.valid_output is not None:
                self._observe("invalid", outcome.arm, outcome.valid_output)

    def _take_latency(self, arm: str, latency_ms: float, *, whole: bool) -> None:
        """Compare a time with the limit, and with the stable arm's usual one, known from before.

        If it is not ``whole``, the answer would have taken longer: only "too slow" is known then.
        """
        candidate = arm != self._stable.name
        usual = self._usual.within(candidate, latency_ms)
        asked: tuple[tuple[_Timed, bool | None], ...] = (
            ("latency", latency_ms <= self._slow_ms),
            ("slowdown", usual),
        )
        for guardrail, within in asked:
            if within is not None:
                self._observe(guardrail, arm, within, known=whole or not within)
        if whole and not candidate and not self._promoted and self._usual.learn(latency_ms):
            for watch in self._watches.values():
                if watch.name == "slowdown" and isinstance(watch, StepWatch):
                    watch.drop_waiting()

    def _take_judgement(self, judged: Judged) -> None:
        if judged.arm not in self._roles:
            return
        this_step = judged.outcome_seq > self._before_step
        if judged.kind == "quality":
            self._observe("quality", judged.arm, judged.score >= GOOD_SCORE, this_step=this_step)
            return
        watch = self._watches.get((judged.arm, "preference"))
        if isinstance(watch, PreferenceWatch):
            watch.observe(judged.score, this_step=this_step)

    def _observe(
        self,
        guardrail: Guardrail,
        arm: str,
        good: bool,
        *,
        this_step: bool = True,
        known: bool = True,
    ) -> None:
        """Show an answer of a candidate to its watch, one of the stable arm to everybody's."""
        candidate = arm != self._stable.name
        for name in (arm,) if candidate else self._racing:
            watch = self._watches.get((name, guardrail))
            if isinstance(watch, StepWatch | GuardWatch):
                watch.observe(candidate, good, this_step=this_step, known=known)

    # -- verdict --------------------------------------------------------------------------------

    def verdict(self, now: float) -> RolloutVerdict:
        """Return what the records folded so far say at ``now``.

        Of a candidate: FAIL when a guardrail's evidence has ever reached its threshold. PASS when
        every guardrail that can be measured passed at its latest look (on the goal of a two-sided
        strategy: was proven better), its outcomes are fresh and the realised split is the one that
        was asked for. INCONCLUSIVE otherwise; so also in a guard period without FAIL. Of several
        candidates together: PASS when one passes, FAIL when all fail.
        """
        arms = tuple(self._arm_verdict(name, now) for name in self._racing)
        verdict, reason = _together(arms)
        tasks = len(self._tasks)
        stable_tasks = self._tasks_of[self._stable.name]
        return RolloutVerdict(
            verdict=verdict,
            reason=reason,
            guardrails=tuple(watch.evidence() for watch in self._watches.values()),
            arms=arms,
            asked_share=(FULL - self._stable.weight) / FULL,
            realised_share=(tasks - stable_tasks) / tasks if tasks else None,
            realised_shares={name: n / tasks for name, n in sorted(self._tasks_of.items())},
            split_p_value=self._split_p_value(),
            candidate_requests=self.candidate_requests,
            stable_requests=self.stable_requests,
            last_outcome_at=max(self._last_at.values(), default=None),
            details={
                "last_outcome_seq": self.last_outcome_seq,
                "last_feedback_seq": self.last_feedback_seq,
                "step_tasks": tasks,
            },
        )

    def _arm_verdict(self, name: str, now: float) -> ArmVerdict:
        watches = self._of_arm[name]
        guardrails = [watch.evidence() for watch in watches]
        failed = [g for g in guardrails if g.verdict is Verdict.FAIL]
        if failed:
            return ArmVerdict(
                arm=name, verdict=Verdict.FAIL, reason=" ".join(map(_failure, failed))
            )
        measured = _MEASURED[self._roles[name]]
        due = [watch for watch in watches if watch.name in measured]
        waiting = " ".join(watch.waiting_for() for watch in due if not watch.passed)
        doubt = self._doubt(name, now) or waiting
        if doubt or not due:
            reason = doubt or f"Nothing that is watched can be measured of {name}."
            return ArmVerdict(arm=name, verdict=Verdict.INCONCLUSIVE, reason=reason)
        found = [watch.evidence() for watch in due]
        return ArmVerdict(arm=name, verdict=Verdict.PASS, reason=_success(found, self.policy))

    def _split_p_value(self) -> float | None:
        """Test the split of this step's tasks, as often as one likes.

        None without tasks and when one arm has it all.
        """
        served = [arm for arm in self.arms.values() if arm.weight]
        if not self._tasks or len(served) == 1:
            return None
        counts = [self._tasks_of[arm.name] for arm in served]
        return 1.0 / max(1.0, split_evidence(counts, [arm.weight for arm in served]))

    def _doubt(self, name: str, now: float) -> str:
        """Say why the records of a candidate cannot be judged; empty when they can."""
        if name not in self._last_at:
            return f"No request for the {name} yet."
        quiet = now - max(self._last_at[name], self.step_started_at)
        if quiet > self.policy.stale_after_seconds:
            return f"Stale: no request for the {name} for {quiet:.0f} s."
        for (arm, model), n in self._foreign.items():
            if n > FOREIGN_SHARE * (n + self._requests[arm]):
                return (
                    f"Mixed: {n} requests of the {arm} in this step were answered by {model}, not "
                    f"by {self.arms[arm].model}."
                )
        p_value = self._split_p_value()
        if p_value is not None and p_value < SPLIT_P_VALUE:
            return (
                f"{self._tasks_of[name]} of {len(self._tasks)} tasks went to the {name}, "
                f"{self.arms[name].weight} % were asked for (p = {p_value:.2g}): the split is not "
                "trusted."
            )
        return self._attrition(name)

    def _attrition(self, name: str) -> str:
        """Say that clients left the candidate's answers more often than the stable arm's."""
        arms = (name, self._stable.name)
        left, asked = ([counter[a] for a in arms] for counter in (self._abandoned, self._requests))
        if not left[0] or left[0] * asked[1] <= left[1] * asked[0]:
            return ""
        p_value = 1.0 / max(1.0, split_evidence(left, asked))
        if p_value >= SPLIT_P_VALUE:
            return ""
        return (
            f"Clients gave up {left[0]} of {asked[0]} requests of the {name}, {left[1]} of "
            f"{asked[1]} of the stable arm (p = {p_value:.2g}): the rest is no fair sample."
        )


def _together(arms: Sequence[ArmVerdict]) -> tuple[Verdict, str]:
    """Return the verdict on the rollout and its reason."""
    if not arms:
        return Verdict.INCONCLUSIVE, "No candidate is in the race."
    if len(arms) == 1:
        return arms[0].verdict, arms[0].reason
    found = {arm.verdict for arm in arms}
    verdict = Verdict.PASS if Verdict.PASS in found else Verdict.INCONCLUSIVE
    if found == {Verdict.FAIL}:
        verdict = Verdict.FAIL
    return verdict, " ".join(f"[{arm.arm}] {arm.reason}" for arm in arms)


def _success(guardrails: Sequence[GuardrailEvidence], policy: RolloutPolicy) -> str:
    bounds = ", ".join(
        f"{g.guardrail} {g.lower_bound:+.3f}" for g in guardrails if g.lower_bound is not None
    )
    better = " ".join(
        f"Better on {g.guardrail}: evidence {g.better_e_value:.3g} reached "
        f"{g.better_threshold:g} (p = {1.0 / g.better_e_value:.2g})."
        for g in guardrails
        if g.better_e_value is not None
    )
    worst = f"Not worse by {policy.margin:g}; candidate − stable is at least: {bounds}."
    return f"{better} {worst if bounds else ''}".strip()


def _failure(g: GuardrailEvidence) -> str:
    counted = COUNTED[g.guardrail]
    if g.guardrail == "preference":
        rates = f"{g.candidate_rate:.3f} of {g.candidate_n} decisive pairs were won by the {g.arm}"
    else:
        rates = (
            f"{g.candidate_rate:.3f} of {g.candidate_n} {g.arm} {counted} were good, "
            f"{g.stable_rate:.3f} of {g.stable_n} stable ones"
        )
    return f"{g.guardrail}: {rates}; evidence {g.e_value:.3g} reached {g.threshold:g}."
