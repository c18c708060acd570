"""A rollout's life as a pure state machine: ``advance(state, verdict, now) → (state, effects)``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from agent_orchestrator.domain.routing import Strategy
from agent_orchestrator.domain.verdict import Verdict

Guardrail = Literal["error", "invalid", "quality", "latency"]
Phase = Literal["running", "guard", "promoted", "rolled_back"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPolicy:
    """The rules of one rollout, frozen when it starts; its approval covers what they decide."""

    __pydantic_config__ = {"extra": "forbid"}

    steps: tuple[Annotated[int, Ge(1), Le(100)], ...] = (20, 50, 100)
    """Candidate's share in percent; rising, the last is 100 (promotion)."""
    guardrails: tuple[Guardrail, ...] = ("error", "invalid", "quality", "latency")
    alpha: Annotated[float, Gt(0), Lt(1)] = 0.05
    """Chance that an equal candidate is rolled back over the whole rollout, shared by the guardrails;
    also the chance that a candidate worse by ``margin`` passes a step."""
    margin: Annotated[float, Gt(0), Lt(1)] = 0.05
    """Non-inferiority margin: the loss in a guardrail's rate that promotion tolerates."""
    looks: Annotated[int, Ge(1)] = 5
    """Planned looks at a step's data for promotion."""
    look_every: Annotated[int, Ge(1)] = 50
    """Judged candidate requests between two looks."""
    latency_limit_s: Annotated[float, Gt(0)] = 5.0
    """A request slower than this counts as slow."""
    min_step_seconds: Annotated[float, Ge(0)] = 24 * 3600.0
    max_step_seconds: Annotated[float, Gt(0)] = 48 * 3600.0
    guard_seconds: Annotated[float, Ge(0)] = 24 * 3600.0
    """How long the old arm stays warm after promotion."""
    stale_after_seconds: Annotated[float, Gt(0)] = 3600.0
    """Without a candidate outcome for this long the evidence is stale: INCONCLUSIVE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """Where a rollout stands. Times are seconds since the epoch."""

    id: str
    agent: str
    strategy: Strategy
    policy: RolloutPolicy
    stable_model: str
    stable_version: str | None
    candidate_model: str
    candidate_version: str | None
    started_at: float
    step_started_at: float
    phase: Phase = "running"
    step: int = 0
    """Index into ``policy.steps``."""
    weight: int = 0
    """Candidate's share in percent as asked now."""
    approval_id: str | None = None
    ended_at: float | None = None
    reason: str = ""
    """Why it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardrailEvidence:
    """What one guardrail's data say."""

    guardrail: Guardrail
    verdict: Verdict
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutVerdict:
    """The verdict on a rollout, with its evidence."""

    verdict: Verdict
    reason: str
    """One line that names the guardrail and the numbers that decided."""
    guardrails: tuple[GuardrailEvidence, ...] = ()
    asked_share: float = 0.0
    """Candidate's share asked in this step, 0..1."""
    realised_share: float | None = None
    """Candidate's share of the distinct tasks of this step; None without data."""
    split_p_value: float | None = None
    """Sample-ratio-mismatch test of the realised split."""
    candidate_requests: int = 0
    """Candidate requests since the rollout began."""
    stable_requests: int = 0
    last_outcome_at: float | None = None
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetWeight:
    """Give the candidate this share of the traffic, percent."""

    weight: int


@dataclass(frozen=True, slots=True)
class Promote:
    """Make the candidate the agent's model; keep the old arm warm (guard)."""


@dataclass(frozen=True, slots=True)
class RollBack:
    """Send all traffic to the stable arm again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The guard period is over: drop the old arm."""


Effect = SetWeight | Promote | RollBack | Finish
