"""The Space that trains, from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_orchestrator.agents.infrastructure.modelops.backends.space_protocol import Health
from agent_orchestrator.agents.infrastructure.modelops.spaces.control import (
    SpaceAccess,
    SpaceControl,
)
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.wiring.backends import NOBODY, space_backend

if TYPE_CHECKING:
    from agent_orchestrator.agents.infrastructure.modelops.spaces.hub import SpaceHub


def compose_space(settings: Settings, audit: AuditLog, longest_job_hours: float) -> SpaceControl:
    """Return the use cases about the Space."""
    token, hub_token = settings.space_token, settings.huggingface_token

    def health(url: str) -> Health:
        return space_backend(settings, url).health()

    access = SpaceAccess(
        hub=lambda: _hub(settings),
        health=health,
        owner=None if settings.hub_org == NOBODY else settings.hub_org,
        url=settings.space_url,
        token=token.get_secret_value() if token else None,
        hub_token=hub_token.get_secret_value() if hub_token else None,
    )
    return SpaceControl(access, audit, longest_job_hours=longest_job_hours)


def _hub(settings: Settings) -> SpaceHub | None:
    token = settings.huggingface_token
    if token is None:
        return None
    from agent_orchestrator.agents.infrastructure.modelops.spaces.hub import (
        SpaceHub,  # its client loads slowly
    )

    return SpaceHub(token.get_secret_value())
