"""An agent's versions."""

from __future__ import annotations

from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.agents.infrastructure.modelops.usecases.models import (
    AgentModels,
    ListAgentModels,
    VersionSummary,
)
from agent_orchestrator.domain.models import ModelVersion, check_status


class Inventory:
    """Lists what there is."""

    def __init__(self, catalogue: Catalogue, registry: ModelRegistry) -> None:
        self._catalogue = catalogue
        self._registry = registry

    def list_models(self, request: ListAgentModels) -> AgentModels:
        """Return an agent's versions, newest first. Raises UnknownAgentError, InputError."""
        agent = self._catalogue.check_agent(request.agent)
        if request.status is not None:
            check_status(request.status)
        record = self._registry.agent(agent)
        versions = self._registry.list_versions(agent, limit=request.limit, status=request.status)
        return AgentModels(
            agent=agent,
            serving=self._catalogue.serving(agent).model,
            current=record.current,
            canary=record.canary,
            versions=[_summary(version) for version in versions],
        )


def _summary(version: ModelVersion) -> VersionSummary:
    config, scores = version.training_config, version.eval_scores
    return VersionSummary(
        version=version.version,
        model_id=version.model_id,
        status=version.deployment_status,
        parent=version.parent_version,
        base_model=config.base_model if config else None,
        method=config.training_method if config else None,
        dataset=config.training_dataset if config else None,
        accuracy=scores.accuracy if scores else None,
        improvement_pct=scores.baseline_improvement_pct if scores else None,
        recommendation=scores.recommendation if scores else None,
        trained_at=version.trained_at,
        deployed_at=version.deployed_at,
        tags=list(version.tags),
    )
