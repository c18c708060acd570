"""What watches one guardrail of one candidate: tests on yes-or-no answers, where yes is good.

``evidence`` says which requests they see, and what follows.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace

from agent_orchestrator.domain.eprocess import OneSampleEProcess, TwoSampleEProcess, block_shape
from agent_orchestrator.domain.rollout import FULL, Guardrail, GuardrailEvidence, RolloutPolicy
from agent_orchestrator.domain.routing import CANDIDATE
from agent_orchestrator.domain.statistics import Look, non_inferiority_look, wilson_lower_bound
from agent_orchestrator.domain.verdict import Verdict

EVEN = 0.5
"""A preference that is a tie; the rate at which an equal candidate wins a decisive pair."""

#: What a guardrail counts, for people.
COUNTED: Mapping[Guardrail, str] = {
    "error": "requests",
    "invalid": "answers",
    "latency": "answers",
    "slowdown": "answers",
    "quality": "judgements",
    "preference": "pairs",
}


class Tally:
    """Good ones of all."""

    __slots__ = ("good", "n")

    def __init__(self) -> None:
        self.good = 0
        self.n = 0

    def add(self, good: bool) -> None:
        """Count one."""
        self.n += 1
        self.good += good

    @property
    def rate(self) -> float | None:
        """Share of the good ones; None without data."""
        return self.good / self.n if self.n else None


class Watch(ABC):
    """What all watches of a guardrail say in the same way."""

    def __init__(
        self, name: Guardrail, policy: RolloutPolicy, *, arm: str = CANDIDATE, parts: int = 1
    ) -> None:
        """``parts`` counts the candidates, times the sides of the test, that share alpha."""
        self.name = name
        self.policy = policy
        self.arm = arm
        self.threshold = parts * len(policy.guardrails) / policy.alpha
        """The evidence that fails the guardrail: its share of alpha, inverted."""

    @property
    @abstractmethod
    def e_value(self) -> float:
        """Largest evidence so far that the candidate is worse."""

    @property
    @abstractmethod
    def passed(self) -> bool:
        """Whether the candidate is found good enough."""

    @abstractmethod
    def evidence(self) -> GuardrailEvidence:
        """Return what the data say."""

    @abstractmethod
    def waiting_for(self) -> str:
        """Say why the guardrail has not passed."""

    @property
    def failed(self) -> bool:
        """Whether the evidence that the candidate is worse has ever reached the threshold."""
        return self.e_value >= self.threshold

    def _found(
        self, candidate: Tally, stable_n: int, stable_rate: float | None
    ) -> GuardrailEvidence:
        verdict = Verdict.PASS if self.passed else Verdict.INCONCLUSIVE
        return GuardrailEvidence(
            guardrail=self.name,
            arm=self.arm,
            verdict=Verdict.FAIL if self.failed else verdict,
            candidate_n=candidate.n,
            stable_n=stable_n,
            candidate_rate=candidate.rate,
            stable_rate=stable_rate,
            e_value=self.e_value,
            threshold=self.threshold,
        )


class StepWatch(Watch):
    """One guardrail of a candidate while the stable arm answers beside it.

    ``weight`` is the candidate's part of the requests of these two arms, percent. ``rivals`` is the
    number of candidates that share the policy's alpha. With ``two_sided`` one half of it is for
    "worse" and the other for "better"; on the policy's goal the candidate then has to be proven
    better: that is a pass, instead of a look that finds it not worse.
    """

    def __init__(
        self,
        name: Guardrail,
        policy: RolloutPolicy,
        weight: int,
        *,
        arm: str = CANDIDATE,
        rivals: int = 1,
        two_sided: bool = False,
    ) -> None:
        sides = 2 if two_sided else 1
        super().__init__(name, policy, arm=arm, parts=rivals * sides)
        self.candidate = Tally()
        self.stable = Tally()
        self.process = TwoSampleEProcess(block_shape(weight))
        self.better: TwoSampleEProcess | None = None
        self.better_threshold = rivals * sides / policy.alpha
        if two_sided and name == policy.goal:  # the same test with the roles exchanged
            self.better = TwoSampleEProcess(block_shape(FULL - weight))
        self.start_step(weight)

    def start_step(self, weight: int) -> None:
        """Count anew for the looks; go on betting, in blocks that follow the weight."""
        self.process.reshape(block_shape(weight))
        if self.better is not None:
            self.better.reshape(block_shape(FULL - weight))
        self.look: Look | None = None
        self.step_candidate = Tally()
        self.step_stable = Tally()
        self.candidate_due = self.policy.look_every
        self.stable_each_look = math.ceil(self.policy.look_every * (FULL - weight) / weight)
        self.stable_due = self.stable_each_look

    def observe(
        self, candidate: bool, good: bool, *, this_step: bool = True, known: bool = True
    ) -> None:
        """Take one request's answer to the guardrail's question.

        One from an earlier step counts as evidence of harm, and not for this step's looks. One that
        is not ``known`` to be good, and only was not seen to be bad, stands in line with the others
        for the evidence of harm; it proves nothing, so it counts in no rate and at no look.
        """
        self.process.observe(candidate, good)
        if self.better is not None:
            self.better.observe(not candidate, good)
        if not known:
            return
        (self.candidate if candidate else self.stable).add(good)
        if not this_step:
            return
        (self.step_candidate if candidate else self.step_stable).add(good)
        if self.step_candidate.n >= self.candidate_due and self.step_stable.n >= self.stable_due:
            self._take_look()

    def drop_waiting(self) -> None:
        """Forget what waits for a block: the guardrail's question has changed."""
        for process in (self.process, self.better):
            if process is not None:
                process.drop_waiting()

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
    def e_value(self) -> float:
        """Largest evidence so far that the candidate is worse."""
        return self.process.peak

    @property
    def passed(self) -> bool:
        """Whether the latest look found the candidate good enough, on the goal: proven better."""
        if self.better is not None:
            return self.better.peak >= self.better_threshold
        return self.look is not None and self.look.passed

    def evidence(self) -> GuardrailEvidence:
        """Return what the data say."""
        return replace(
            self._found(self.candidate, self.stable.n, self.stable.rate),
            lower_bound=self.look.lower_bound if self.look else None,
            look=self.look.look if self.look else 0,
            better_e_value=self.better.peak if self.better else None,
            better_threshold=self.better_threshold if self.better else None,
        )

    def waiting_for(self) -> str:
        """Say why the guardrail has not passed."""
        counted = COUNTED[self.name]
        for arm, tally in ((self.arm, self.candidate), ("stable arm", self.stable)):
            if not tally.n:
                return f"{self.name}: no {counted} for the {arm} yet."
        if self.better is not None:
            return (
                f"{self.name}: not proven that {self.arm} is better (evidence "
                f"{self.better.peak:.3g} of {self.better_threshold:g}, p = "
                f"{min(1.0, 1.0 / self.better.peak):.2g}) or worse ({self.process.peak:.3g} of "
                f"{self.threshold:g})."
            )
        if self.look is None:
            return (
                f"{self.name}: the first look needs {self.candidate_due} {counted} for the "
                f"{self.arm} and {self.stable_due} for the stable arm; this step has "
                f"{self.step_candidate.n} and {self.step_stable.n}."
            )
        last = self.look.look == self.policy.looks
        return (
            f"{self.name}: at look {self.look.look} of {self.policy.looks} the {self.arm} may be "
            f"{-self.look.lower_bound:.3f} worse, {self.policy.margin:g} is allowed"
            f"{'; no further look is planned, a person decides' if last else ''}."
        )


class PreferenceWatch(Watch):
    """Whether a mirrored candidate's answers lose against the served ones, pair by pair.

    The e-process takes the decisive pairs: an equal candidate wins half of them, and ties say
    nothing about which is better. A look asks whether the mean score, ties included, is at most
    ``margin`` below even: Wilson's bounds for the share of wins and of losses, at half of the
    look's share of alpha each. Ties are evidence for "not worse".
    """

    def __init__(
        self, name: Guardrail, policy: RolloutPolicy, *, arm: str = CANDIDATE, rivals: int = 1
    ) -> None:
        super().__init__(name, policy, arm=arm, parts=rivals)
        self.process = OneSampleEProcess(EVEN)
        self.decisive = Tally()
        self.start_step()

    def start_step(self) -> None:
        """Count anew for the looks; go on betting."""
        self.taken = 0
        self.lower_bound: float | None = None
        self.wins = self.losses = self.pairs = 0

    def observe(self, score: float, *, this_step: bool = True) -> None:
        """Take one pair: above 0.5 the candidate's answer was better, below it was worse."""
        if score != EVEN:
            self.process.observe(score > EVEN)
            self.decisive.add(score > EVEN)
        if not this_step:
            return
        self.pairs += 1
        self.wins += score > EVEN
        self.losses += score < EVEN
        due = self.policy.look_every * (self.taken + 1)
        if self.taken < self.policy.looks and self.pairs >= due:
            self.taken += 1
            alpha = self.policy.alpha / self.policy.looks / 2.0
            fewest_wins = wilson_lower_bound(self.wins, self.pairs, alpha)
            most_losses = 1.0 - wilson_lower_bound(self.pairs - self.losses, self.pairs, alpha)
            self.lower_bound = (fewest_wins - most_losses) / 2.0

    @property
    def e_value(self) -> float:
        """Largest evidence so far that the candidate is worse."""
        return self.process.peak

    @property
    def passed(self) -> bool:
        """Whether the latest look found the candidate good enough."""
        return self.lower_bound is not None and self.lower_bound > -self.policy.margin

    def evidence(self) -> GuardrailEvidence:
        """Return what the data say; the reference rate is even."""
        lost = None if self.decisive.rate is None else 1.0 - self.decisive.rate
        found = self._found(self.decisive, self.decisive.n, lost)
        return replace(found, lower_bound=self.lower_bound, look=self.taken)

    def waiting_for(self) -> str:
        """Say why the guardrail has not passed."""
        if self.lower_bound is None:
            return (
                f"{self.name}: the first look needs {self.policy.look_every} judged pairs; this "
                f"step has {self.pairs}."
            )
        return (
            f"{self.name}: at look {self.taken} of {self.policy.looks} {self.arm} may lose "
            f"{-self.lower_bound:.3f} more than half, {self.policy.margin:g} is allowed."
        )


class GuardWatch(Watch):
    """One guardrail after promotion, when no stable traffic is left to compare with.

    The reference is the stable arm's rate over the rollout, frozen: its lower confidence bound, for
    it is an estimate itself, less the margin. So an equal candidate lies above it and is hardly
    ever accused: in at most 1 of 400 simulated periods of 2,000 requests, α = 5 % over four.
    Without stable data there is no reference, and no verdict.
    """

    def __init__(
        self, name: Guardrail, policy: RolloutPolicy, stable: Tally, *, arm: str = CANDIDATE
    ) -> None:
        super().__init__(name, policy, arm=arm)
        self.candidate = Tally()
        self.stable = stable
        self.process: OneSampleEProcess | None = None
        if stable.n:
            alpha = policy.alpha / len(policy.guardrails)
            reference = wilson_lower_bound(stable.good, stable.n, alpha) - policy.margin
            if reference > 0.0:
                self.process = OneSampleEProcess(reference)

    def observe(
        self, candidate: bool, good: bool, *, this_step: bool = True, known: bool = True
    ) -> None:
        """Take one request's answer; what the stable arm still finishes no longer counts."""
        if candidate:
            if known:
                self.candidate.add(good)
            if self.process is not None:
                self.process.observe(good)

    @property
    def e_value(self) -> float:
        """Largest evidence so far that the candidate is worse; 1 without a reference."""
        return self.process.peak if self.process else 1.0

    @property
    def passed(self) -> bool:
        """Never: that nothing bad was seen in the guard period is no proof."""
        return False

    def evidence(self) -> GuardrailEvidence:
        """Return what the data say."""
        return self._found(self.candidate, self.stable.n, self.stable.rate)

    def waiting_for(self) -> str:
        """Say what the guard period has seen."""
        if self.process is None:
            return f"{self.name}: nothing of the stable arm to compare with in the guard period."
        return (
            f"{self.name}: guard period, evidence of a loss {self.process.peak:.3g}, "
            f"{self.threshold:g} rolls back."
        )
