"""The way to the Hub, from the settings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Settler
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.domain.jobs import Job
from agent_orchestrator.errors import ChefError
from agent_orchestrator.settings import Settings

if TYPE_CHECKING:
    from agent_orchestrator.agents.infrastructure.modelops.hub.client import Hub

log = logging.getLogger(__name__)


def open_hub(settings: Settings) -> Hub:
    """Return the Hub as HUGGINGFACE_TOKEN sees it."""
    from agent_orchestrator.agents.infrastructure.modelops.hub.client import Hub  # it loads slowly

    token = settings.huggingface_token
    return Hub(token.get_secret_value() if token else None, settings.hub_endpoint)


def fetch_artifact(settings: Settings, model: str) -> None:
    """Bring a model of ours that another machine has pushed, unless it lies here already.

    Without HUGGINGFACE_TOKEN nothing is done: models are pushed to private repositories. Raises
    as ``artifacts.pull``.
    """
    here = settings.artifacts_dir / model  # models appear there whole, as safetensors or GGUF
    if here.is_dir() or settings.huggingface_token is None:
        return
    from agent_orchestrator.agents.infrastructure.modelops.hub.artifacts import pull

    pull(open_hub(settings), model, settings.artifacts_dir)


def telling_the_hub(settings: Settings, registry: ModelRegistry, record: Settler) -> Settler:
    """Return ``record``, an evaluation's settler, which also puts the scores into the model's card.

    Only of a model that MODELOPS_HUB_ORG has on the Hub. The registry has the scores anyway: a Hub
    that does not take them is logged.
    """
    if settings.huggingface_token is None:
        return record

    def settle(job: Job, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        result = record(job, manifest)
        if result["version"] is None:
            return result
        version = registry.get_version(job.agent, result["version"])
        owned = (version.hub_repo or "").startswith(f"{settings.hub_org}/")
        if owned and version.hub_repo and version.eval_scores:
            from agent_orchestrator.agents.infrastructure.modelops.hub.card import publish_scores

            dataset = str(job.request.get("dataset", "held-out examples"))
            try:
                publish_scores(open_hub(settings), version.hub_repo, version.eval_scores, dataset)
            except ChefError as error:
                log.warning("The card of %s has not the new scores: %s", version.hub_repo, error)
        return result

    return settle
