"""What models.yaml and the registry must hold while a rollout is in a state. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agent_orchestrator.domain.registry import Bystander
from agent_orchestrator.domain.rollout import RolloutState
from agent_orchestrator.domain.routing import Arm, Endpoint, Rollout, RolloutPhase, RoutingTable
from agent_orchestrator.stores.models_yaml import (
    with_endpoint,
    with_model,
    with_rollout,
    without_rollout,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What models.yaml and the registry hold for an agent when its rollout is in a state."""

    agent_model: str | None
    """None for an agent that is gone from models.yaml."""
    rollout: Rollout | None
    current: str | None = None
    canary: str | None = None
    canary_percent: int = 0
    others: Mapping[str, tuple[Bystander, int]] = field(default_factory=dict)
    """Further candidates: version → status, and share of the traffic in percent."""


def desired(state: RolloutState) -> Desired:
    """Return what the files must say while a rollout is in ``state``."""
    phases: dict[str, RolloutPhase] = {"running": "running", "guard": "guard"}
    phase = phases.get(state.phase)
    entry = Rollout(state.id, state.strategy, state.arms, phase, state.judge) if phase else None
    roles = {arm.name: _role(state, arm) for arm in state.candidates}
    canary = next((arm for arm in state.candidates if roles[arm.name] == "canary"), None)
    return Desired(
        agent_model=state.own.model,
        rollout=entry,
        current=state.own.version,
        canary=canary.version if canary else None,
        canary_percent=canary.weight if canary else 0,
        others={
            arm.version: (role, arm.weight)
            for arm in state.candidates
            if arm.version is not None and arm != state.own
            if (role := roles[arm.name]) != "canary"
        },
    )


def _role(state: RolloutState, arm: Arm) -> Literal["canary"] | Bystander:
    """Return what a candidate is to the registry; out of the race, or of an end, it is archived."""
    if state.phase != "running" or not (arm.weight or arm.mirror):
        return "archived"
    if not arm.weight:
        return "shadow"
    shared = state.strategy in ("champion_challenger", "ensemble")
    return "challenger" if shared else "canary"


def routed(
    table: RoutingTable, agent: str, want: Desired, endpoints: Sequence[Endpoint] = ()
) -> RoutingTable:
    """Return the table of models.yaml as it must be: one atomic replace changes all of it.

    Of ``endpoints``, those are listed whose model is not: where a listed one lives is for people
    to say.
    """
    if want.agent_model is None:
        return table
    table = with_model(table, agent, want.agent_model)
    for endpoint in endpoints:
        if endpoint.provider != "openrouter" and endpoint.model not in table.models:
            table = with_endpoint(table, endpoint)
    if want.rollout is None:
        return without_rollout(table, agent)
    return with_rollout(table, agent, want.rollout)
