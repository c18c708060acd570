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


def fetch_artifact(settings: Settings, model: str) -> None:
    """Bring a model of ours that another machine has pushed, unless it lies here already.

    Without HUGGINGFACE_TOKEN nothing is done: models are pushed to private repositories. Raises
    as ``hub_artifacts.pull``.
    """
    here = settings.artifacts_dir / model / "config.json"
    if here.is_file() or settings.huggingface_token is None:
        return
    from agent_orchestrator.agents.infrastructure.modelops.hub_artifacts import pull

    pull(open_hub(settings), model, settings.artifacts_dir)
