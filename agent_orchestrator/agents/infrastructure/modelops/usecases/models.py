"""An agent's versions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Request, Result


class ListAgentModels(Request):
    """List an agent's versions."""

    agent: str
    limit: Annotated[int, Field(ge=1)] | None = None
    status: str | None = None


class VersionSummary(Result):
    """One version in a list."""

    version: str
    model_id: str
    status: str
    parent: str | None
    base_model: str | None
    method: str | None
    dataset: str | None
    accuracy: float | None
    improvement_pct: float | None
    recommendation: str | None
    trained_at: str | None
    deployed_at: str | None
    tags: list[str] = []


class AgentModels(Result):
    """An agent's versions, newest first."""

    agent: str
    serving: str
    """Model id of the stable arm in models.yaml."""
    current: str | None
    canary: str | None
    versions: list[VersionSummary]
