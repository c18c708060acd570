"""A rollout as a value: its policy, where it stands, and what is to be done for it.

``domain.rollout_machine`` moves it; ``domain.strategies`` says where to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from agent_orchestrator.domain.intervals import difference_interval
from agent_orchestrator.domain.routing import CANDIDATE, STABLE, Arm, Strategy
from agent_orchestrator.domain.statistics import MAX_LOOKS
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import InputError

Guardrail = Literal["error", "invalid", "quality", "latency", "slowdown", "preference"]
Phase = Literal["running", "guard", "promoted", "rolled_back"]

TERMINAL_PHASES: frozenset[Phase] = frozenset({"promoted", "rolled_back"})
FULL = 100
"""All of the traffic, percent."""

_FORBID_EXTRA = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPolicy:
    """The rules of one rollout, frozen when it starts; its approval covers what they decide."""

    __pydantic_config__ = _FORBID_EXTRA

    steps: tuple[Annotated[int, Ge(1), Le(100)], ...] = (20, 50, 100)
    """Candidate's share in percent; rising, the last is 100 (promotion)."""
    guardrails: tuple[Guardrail, ...] = ("error", "invalid", "quality", "latency")
    alpha: Annotated[float, Gt(0), Lt(1)] = 0.05
    """Chance that an equal candidate is rolled back over the whole rollout, shared by the
    guardrails; also the chance that a candidate worse by ``margin`` passes a step."""
    goal: Guardrail = "quality"
    """What a candidate has to be better at in an A/B test and against a champion."""
    margin: Annotated[float, Gt(0), Lt(1)] = 0.05
    """Non-inferiority margin: the loss in a guardrail's rate that promotion tolerates."""
    looks: Annotated[int, Ge(1)] = 5
    """Planned looks at a step's data for promotion."""
    look_every: Annotated[int, Ge(1)] = 100
    """Judged candidate requests between two looks."""
    share: Annotated[int, Ge(1), Le(99)] | None = None
    """The candidates' share of an A/B test, champion/challenger or ensemble in percent, together;
    None: equal parts for all arms."""
    mirror: Annotated[int, Ge(1), Le(100)] | None = None
    """Share of the tasks that is copied to an arm without traffic, percent; None: 100 for a shadow,
    20 for a blue-green arm that waits for the switch."""
    latency_limit_s: Annotated[float, Gt(0)] = 5.0
    """A request slower than this counts as slow."""
    latency_quantile: Annotated[float, Ge(0.5), Lt(1)] = 0.95
    """Quantile of the stable arm's latencies that the guardrail ``slowdown`` compares with."""
    latency_tolerance: Annotated[float, Ge(1), Le(100)] = 1.25
    """How many times as slow as the stable arm a candidate may be for it."""
    min_step_seconds: Annotated[float, Ge(0)] = 24 * 3600.0
    max_step_seconds: Annotated[float, Gt(0)] = 48 * 3600.0
    guard_seconds: Annotated[float, Ge(0)] = 24 * 3600.0
    """How long the old arm stays warm after promotion."""
    stale_after_seconds: Annotated[float, Gt(0)] = 3600.0
    """Without a candidate outcome for this long the evidence is stale: INCONCLUSIVE."""
    drill: bool = True
    """Whether a rollback is rehearsed as soon as the rollout has begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """Where a rollout stands. Times are seconds since the epoch."""

    id: str
    agent: str
    strategy: Strategy
    policy: RolloutPolicy
    arms: tuple[Arm, ...]
    """The stable arm, then the candidates; weights and mirrors as asked now. A candidate with
    neither is out of the race."""
    started_at: float
    step_started_at: float
    phase: Phase = "running"
    serving: str = STABLE
    """Arm whose model is the agent's own: the stable one until a candidate is promoted."""
    step: int = 0
    """Last of ``policy.steps`` that ``weight`` has reached."""
    judge: str | None = None
    """Model that compares mirrored answers or picks among an ensemble's; None compares text."""
    approval_id: str | None = None
    ended_at: float | None = None
    reason: str = ""
    """Why it ended."""

    @property
    def stable(self) -> Arm:
        """The arm that served before."""
        return self.arms[0]

    @property
    def candidates(self) -> tuple[Arm, ...]:
        """The arms beside the stable one."""
        return self.arms[1:]

    @property
    def racing(self) -> tuple[Arm, ...]:
        """The candidates that are still in: those with traffic, or copies of it."""
        return tuple(arm for arm in self.candidates if arm.weight or arm.mirror)

    @property
    def weight(self) -> int:
        """The candidates' share in percent as asked now."""
        return FULL - self.stable.weight

    @property
    def own(self) -> Arm:
        """The arm whose model is the agent's own."""
        return self.arm(self.serving)

    def arm(self, name: str) -> Arm:
        """Return an arm by its name. Raises KeyError."""
        return {arm.name: arm for arm in self.arms}[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardrailEvidence:
    """What one guardrail's data say."""

    guardrail: Guardrail
    verdict: Verdict
    arm: str = CANDIDATE
    """Whose data, beside the stable arm's."""
    candidate_n: int
    stable_n: int
    candidate_rate: float | None
    """Rate of good requests, 0..1; None without data."""
    stable_rate: float | None
    e_value: float
    """Evidence that the candidate is worse; FAIL when it reaches ``threshold``."""
    threshold: float
    lower_bound: float | None = None
    """Lower confidence bound of candidate − stable at the last look; None before the first."""
    look: int = 0
    """Planned looks taken in this step."""
    better_e_value: float | None = None
    """Evidence that the candidate is better, where that is asked; proven at the threshold. Its
    inverse is an anytime-valid p-value."""
    better_threshold: float | None = None

    def difference(self, alpha: float) -> tuple[float, float] | None:
        """Return the anytime-valid interval of candidate − stable, at level 1 − ``alpha``.

        None without data of both, and for pairs, which are not two arms' requests.
        """
        if self.candidate_rate is None or self.stable_rate is None:
            return None
        if self.guardrail == "preference":
            return None
        candidate_good = round(self.candidate_rate * self.candidate_n)
        stable_good = round(self.stable_rate * self.stable_n)
        return difference_interval(
            candidate_good, self.candidate_n, stable_good, self.stable_n, alpha
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmVerdict:
    """The verdict on one candidate."""

    arm: str
    verdict: Verdict
    reason: str
    """One line that names the guardrail and the numbers that decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutVerdict:
    """The verdict on a rollout, with its evidence."""

    verdict: Verdict
    reason: str
    """One line that names the guardrail and the numbers that decided."""
    guardrails: tuple[GuardrailEvidence, ...] = ()
    arms: tuple[ArmVerdict, ...] = ()
    """One for each candidate that is in the race."""
    asked_share: float = 0.0
    """Candidates' share asked in this step, 0..1."""
    realised_share: float | None = None
    """Candidates' share of the distinct tasks of this step; None without data."""
    realised_shares: Mapping[str, float] = field(default_factory=dict)
    """Arm → its share of those tasks; empty without data."""
    split_p_value: float | None = None
    """Sample-ratio-mismatch test of the realised split, valid at every moment."""
    candidate_requests: int = 0
    """Requests to candidates since the rollout began."""
    stable_requests: int = 0
    last_outcome_at: float | None = None
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetSplit:
    """Give the arms these weights and mirrors."""

    arms: tuple[Arm, ...]
    """All arms of the rollout, the stable one first."""
    reason: str = ""
    """Why, when more is to be said than the verdict says."""


@dataclass(frozen=True, slots=True)
class Promote:
    """Make a candidate the agent's model; keep the old arm warm (guard)."""

    arm: str
    """The candidate's name."""


@dataclass(frozen=True, slots=True)
class RollBack:
    """Send all traffic to the stable arm again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The guard period is over: drop the old arm."""


Move = SetSplit | Promote | RollBack
"""What a strategy, or a person, may decide."""
Effect = Move | Finish
Effects = tuple[Effect, ...]


def validate_policy(policy: RolloutPolicy) -> None:
    """Raise InputError that names the key when the fields of ``policy`` contradict each other.

    The range of each field by itself is in its annotation.
    """
    rising = all(low < high for low, high in pairwise((0, *policy.steps)))
    unique = len(set(policy.guardrails)) == len(policy.guardrails)
    rules = (
        ("steps", rising and policy.steps[-1:] == (FULL,), "Let them rise and end in 100."),
        ("guardrails", unique and bool(policy.guardrails), "Name at least one, each once."),
        ("alpha", policy.alpha < 0.5, "Use less than 0.5."),  # noqa: PLR2004
        ("looks", policy.looks <= MAX_LOOKS, f"Plan at most {MAX_LOOKS}."),
        (
            "max_step_seconds",
            policy.max_step_seconds > policy.min_step_seconds,
            f"Use more than min_step_seconds, {policy.min_step_seconds:g}.",
        ),
    )
    for key, holds, remedy in rules:
        if not holds:
            raise InputError(f"Rollout policy: {key} is {getattr(policy, key)!r}.", remedy=remedy)
