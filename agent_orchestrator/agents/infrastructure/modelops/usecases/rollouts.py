"""How a rollout stands, and its breakers."""

from __future__ import annotations

from typing import Any, Literal

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import (
    ChangingRequest,
    Request,
    Result,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    ChecklistItem,
    DrillReport,
)
from agent_orchestrator.domain.verdict import Verdict


class RolloutStatusRequest(Request):
    """Show how an agent's rollout stands."""

    agent: str


class LatencyQuantiles(Result):
    """Exact quantiles, each one that was measured."""

    p50: float
    p95: float
    p99: float


class ArmStatus(Result):
    """One arm of a rollout."""

    arm: str
    version: str | None
    model: str
    asked_pct: int
    mirror_pct: int = 0
    """Share of the tasks that is copied to the arm without using its answer."""
    realised_pct: float | None
    requests: int
    errors: int
    latency_ms: LatencyQuantiles | None = None
    """Of its answers since the present step began; null before the first."""
    health: Literal["closed", "open", "half_open", "unknown"]
    """State of its breaker, the worst of all gateways."""
    condition: Literal["healthy", "unhealthy", "unknown"] = "unknown"
    """Unknown: no gateway had a call within 30 s."""
    recent_calls: int = 0
    recent_failures: int = 0
    trip_reason: str = ""


class GuardrailStatus(Result):
    """One guardrail's evidence."""

    guardrail: str
    verdict: Verdict
    arm: str = "candidate"
    candidate_n: int
    stable_n: int
    candidate_rate: float | None
    stable_rate: float | None
    e_value: float
    threshold: float
    lower_bound: float | None
    look: int
    better_e_value: float | None = None
    """Evidence that the arm is better, where that is asked; its inverse is a p-value."""
    better_threshold: float | None = None
    difference: tuple[float, float] | None = None
    """Interval of candidate − stable that holds at every moment, at level 1 − alpha."""


class DecisionRecord(Result):
    """One entry of a rollout's history."""

    at: float
    actor: str
    kind: str
    message: str
    evidence: dict[str, Any] = {}


class RolloutReport(Result):
    """A rollout with its evidence; ``rollout_id`` is null when the agent never had one."""

    agent: str
    rollout_id: str | None
    strategy: str | None = None
    phase: str | None = None
    step: int | None = None
    steps: list[int] = []
    """The candidate's shares, percent, one after the other; empty where it has no steps."""
    weight: int | None = None
    reason: str = ""
    arms: list[ArmStatus] = []
    verdict: Verdict | None = None
    verdict_reason: str = ""
    outlook: str = ""
    """What a pass leads to, while it runs."""
    judge: str | None = None
    guardrails: list[GuardrailStatus] = []
    checklist: list[ChecklistItem] = []
    """What was found before the candidates got traffic."""
    drilled: DrillReport | None = None
    """The last rehearsed rollback."""
    decisions: list[DecisionRecord] = []


class EvidencePoint(Result):
    """The evidence on a rollout as it was at one moment."""

    at: float
    """Seconds since the epoch."""
    requests: int
    """To its arms, since the rollout began."""
    asked_pct: float
    """The candidates' share, as it was asked for."""
    realised_pct: float | None
    verdict: Verdict
    guardrails: list[GuardrailStatus] = []


class ResetBreaker(ChangingRequest):
    """Close a tripped circuit breaker by hand."""

    agent: str
    arm: str = "candidate"


class BreakerReset(Result):
    """A reset that the serving processes pick up within a second."""

    agent: str
    arm: str
    health: str
    """State that the serving processes last reported: closed, open, half_open or unknown."""
