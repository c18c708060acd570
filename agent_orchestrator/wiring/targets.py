"""Where models can be served, from the settings."""

from __future__ import annotations

from collections.abc import Mapping

from agent_orchestrator.agents.infrastructure.modelops.targets import Target
from agent_orchestrator.agents.infrastructure.modelops.targets.as_listed import AsListed
from agent_orchestrator.agents.infrastructure.modelops.targets.openrouter import (
    OpenRouterModels,
    OpenRouterTarget,
)
from agent_orchestrator.agents.infrastructure.modelops.targets.self_hosted import SelfHostedTarget
from agent_orchestrator.domain.routing import Provider
from agent_orchestrator.settings import Settings


def compose_targets(settings: Settings) -> Mapping[Provider, Target]:
    """Return the targets by their provider."""
    return {
        "openrouter": OpenRouterTarget(openrouter_models(settings)),
        "huggingface": SelfHostedTarget(settings.secret),
        "self_hosted": SelfHostedTarget(settings.secret),
        "local": AsListed(),
    }


def openrouter_models(settings: Settings) -> OpenRouterModels:
    """Return OpenRouter's list of models."""
    key = settings.openrouter_api_key
    return OpenRouterModels(settings.openrouter_base_url, key.get_secret_value() if key else None)
