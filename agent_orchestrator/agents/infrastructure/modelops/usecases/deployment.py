"""Putting a model in front of traffic, giving it more, taking it away."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import (
    ChangingRequest,
    Percent,
    Result,
)
from agent_orchestrator.domain.routing import Provider
from agent_orchestrator.domain.strategies.names import DESCRIPTIONS, FROM_SHARE
from agent_orchestrator.domain.verdict import Verdict

_SAID = " ".join(f"{name}: {text}" for name, text in DESCRIPTIONS.items())
StrategyName = Annotated[
    str,
    Field(description=f"{_SAID} canary_<n>pct: a canary that begins with that share."),
    WithJsonSchema(
        {
            "anyOf": [
                *({"const": name, "description": text} for name, text in DESCRIPTIONS.items()),
                {"type": "string", "pattern": f"^{FROM_SHARE}$"},
            ]
        }
    ),
]


class DeployModelToAgent(ChangingRequest):
    """Put a model in front of an agent's traffic."""

    agent: str
    version: str | None = None
    """Registry version; the agent's newest when neither this nor ``model`` is given."""
    model: str | None = None
    """Model id of a registered version or of the models catalogue."""
    target: Provider | None = None
    """Where the model lives, or is to live; as models.yaml lists it when left out, a server of your
    own when ``endpoint`` is given, else OpenRouter."""
    endpoint: str | None = None
    """Base URL, up to and including /v1, of a server that serves the model already."""
    api_key_env: str | None = None
    """Name of the environment variable that holds that server's key."""
    strategy: StrategyName = "canary"
    challengers: list[str] = []
    """Further versions or model ids, for champion_challenger and ensemble."""
    judge: str | None = None
    """Model that compares a shadow's answers with those that were served, or picks among an
    ensemble's; without one their text is compared."""
    policy: dict[str, Any] = {}
    """Values that replace those of rollout_defaults.yaml."""
    override_reason: str | None = None
    """Why to deploy although the evaluation says reject, or is missing or too old."""


class ChecklistItem(Result):
    """One point of the checklist before traffic."""

    name: str
    verdict: Verdict
    message: str
    measured: dict[str, float] = {}


class ProcessDrill(Result):
    """How fast one serving process followed. Times are seconds since the command."""

    process: str
    in_effect_s: float | None
    """Until it served by the new table; null when it did not within the limit."""
    last_answer_s: float | None
    """Until the last answer of the old arms; null when none came after the command."""
    under_way: int = 0
    """Answers of the old arms that had not ended at the limit."""


class DrillReport(Result):
    """A rehearsed rollback: how long it would have taken to be effective."""

    verdict: Verdict
    """fail: a process did not follow in time; inconclusive: there was nothing to measure, or
    answers of the old arms were still under way at the limit."""
    message: str
    at: float
    """When the command came, seconds since the epoch."""
    away_s: float = 0.0
    """How long the split was away."""
    processes: list[ProcessDrill] = []


class DeployedArm(Result):
    """One arm of a rollout as it begins."""

    arm: str
    version: str | None
    model: str
    weight_pct: int
    mirror_pct: int = 0


class Deployed(Result):
    """A model in front of traffic."""

    agent: str
    deployed: bool
    version: str | None
    model: str
    rollout_id: str | None
    rollout_pct: int
    """The candidates' share of the traffic, percent."""
    arms: list[DeployedArm] = []
    endpoint_url: str
    checklist: list[ChecklistItem]
    drill: DrillReport | None = None
    """The rehearsed rollback; null when the policy does without."""


class PromoteCanary(ChangingRequest):
    """Give the candidate more traffic."""

    agent: str
    percent: Percent | None = None
    """The policy's next step when left out."""
    version: str | None = None
    """The candidate's version (or model id): needed where there are several, else to be sure."""


class RollbackDeployment(ChangingRequest):
    """Send the traffic back to an earlier version."""

    agent: str
    version: str | None = None
    """A version, or model id, that has served; the one that served before when left out."""
    drill: bool = False
    """Rehearse it: take the running rollout's split away, measure, put it back."""


class RolledBack(Result):
    """Where the traffic went back to; for a drill, where it would go."""

    agent: str
    version: str | None
    model: str
    seconds: float
    """From the command until everything was written and read back."""
    drill: DrillReport | None = None
    """What a drill measured; the split is as it was before."""
