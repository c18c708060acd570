"""Where models can be served, from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from agent_orchestrator.agents.infrastructure.modelops.targets import Target
from agent_orchestrator.agents.infrastructure.modelops.targets.as_listed import AsListed
from agent_orchestrator.agents.infrastructure.modelops.targets.huggingface import HuggingFaceTarget
from agent_orchestrator.agents.infrastructure.modelops.targets.openrouter import (
    OpenRouterModels,
    OpenRouterTarget,
)
from agent_orchestrator.agents.infrastructure.modelops.targets.self_hosted import SelfHostedTarget
from agent_orchestrator.domain.routing import Endpoint, Provider
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.defaults import load_endpoint_defaults
from agent_orchestrator.stores.models_yaml import ModelsYaml
from agent_orchestrator.wiring.hub import open_hub

if TYPE_CHECKING:
    from agent_orchestrator.agents.infrastructure.modelops.targets.inference_endpoints import (
        InferenceEndpoints,
    )


_NO_ORGANISATION = "local"
"""MODELOPS_HUB_ORG as it is when nobody has set it."""


def compose_targets(settings: Settings) -> Mapping[Provider, Target]:
    """Return the targets by their provider."""
    models_yaml = ModelsYaml(settings.models_yaml)

    def listed(model: str) -> Endpoint | None:
        return models_yaml.read().models.get(model)

    self_hosted = SelfHostedTarget(settings.secret, listed)
    return {
        "openrouter": OpenRouterTarget(openrouter_models(settings)),
        "huggingface": HuggingFaceTarget(
            endpoints=lambda: inference_endpoints(settings),
            elsewhere=self_hosted,
            size=partial(hub_size, settings),
            defaults=load_endpoint_defaults(settings.config_dir),
        ),
        "self_hosted": self_hosted,
        "local": AsListed(),
    }


def openrouter_models(settings: Settings) -> OpenRouterModels:
    """Return OpenRouter's list of models."""
    key = settings.openrouter_api_key
    return OpenRouterModels(settings.openrouter_base_url, key.get_secret_value() if key else None)


def inference_endpoints(settings: Settings) -> InferenceEndpoints | None:
    """Return the way to Hugging Face's Inference Endpoints, None without a token."""
    token = settings.huggingface_token
    if token is None:
        return None
    from agent_orchestrator.agents.infrastructure.modelops.targets.inference_endpoints import (
        InferenceEndpoints,  # its client loads slowly
    )

    own = settings.hub_org if settings.hub_org != _NO_ORGANISATION else None
    return InferenceEndpoints(token.get_secret_value(), own)


def hub_size(settings: Settings, model: str) -> float:
    """Return the number of weights of a model on the Hub; raises as ``Hub.base_model``."""
    return open_hub(settings).base_model(model).parameters
