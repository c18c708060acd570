"""The way to the Hub, from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_orchestrator.settings import Settings

if TYPE_CHECKING:
    from agent_orchestrator.agents.infrastructure.modelops.hub import Hub


def open_hub(settings: Settings) -> Hub:
    """Return the Hub as HUGGINGFACE_TOKEN sees it."""
    from agent_orchestrator.agents.infrastructure.modelops.hub import Hub  # it loads slowly

    token = settings.huggingface_token
    return Hub(token.get_secret_value() if token else None, settings.hub_endpoint)
