"""The registry: which versions an agent's model had, what they came from, what served when."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from agent_orchestrator.api.auth import Reader
from agent_orchestrator.api.ids import AgentName, VersionName
from agent_orchestrator.api.services import Wired
from agent_orchestrator.domain.models import ModelVersion
from agent_orchestrator.domain.registry import AgentRecord, Registry, Served, VersionDiff

router = APIRouter(prefix="/registry", tags=["registry"])


class Lineage(BaseModel):
    """What a version was trained from."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    versions: list[ModelVersion]
    """The version, its parent, its parent's parent … up to the root."""
    root: str | None
    """Base model of the root; null where it was not trained here."""


class ServedTimes(BaseModel):
    """What served when."""

    served: list[Served]


@router.get("", operation_id="get_registry")
def whole(_caller: Reader, services: Wired) -> Registry:
    """Read the whole registry; ``revision`` rises with every change of it."""
    return services.embedded.registry.read()


@router.get("/{agent}", operation_id="get_agent_record")
def agent_record(agent: AgentName, _caller: Reader, services: Wired) -> AgentRecord:
    """Read what is known about an agent's versions; empty when there are none yet."""
    return services.embedded.registry.agent(agent)


@router.get("/{agent}/versions/{version}", operation_id="get_version")
def version(
    agent: AgentName, version: VersionName, _caller: Reader, services: Wired
) -> ModelVersion:
    """Read everything that is known about a version."""
    return services.embedded.registry.get_version(agent, version)


@router.get("/{agent}/versions/{version}/lineage", operation_id="get_lineage")
def lineage(agent: AgentName, version: VersionName, _caller: Reader, services: Wired) -> Lineage:
    """Read what a version was trained from, back to its root."""
    chain = services.embedded.registry.lineage(agent, version)
    config = chain[-1].training_config
    return Lineage(versions=list(chain), root=config.base_model if config else None)


@router.get("/{agent}/compare", operation_id="compare_versions")
def compare(
    agent: AgentName,
    a: Annotated[str, Query(max_length=128)],
    b: Annotated[str, Query(max_length=128)],
    _caller: Reader,
    services: Wired,
) -> VersionDiff:
    """Read what changed from version ``a`` to version ``b``: how they were trained and did."""
    return services.embedded.registry.compare_versions(agent, a, b)


@router.get("/{agent}/served", operation_id="get_served")
def served(agent: AgentName, _caller: Reader, services: Wired) -> ServedTimes:
    """Read what served the agent when."""
    return ServedTimes(served=list(services.embedded.registry.agent(agent).served))
