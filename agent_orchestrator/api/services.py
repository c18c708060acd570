"""What the handlers work with, and how they get it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from agent_orchestrator.api.access import Access
from agent_orchestrator.api.limits import Rates
from agent_orchestrator.api.news import News
from agent_orchestrator.settings import Settings
from agent_orchestrator.wiring.embedded import Embedded


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The application's own parts and the system behind it."""

    settings: Settings
    embedded: Embedded
    access: Access
    rates: Rates
    news: News
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server is about to end: streams end too, and are taken up again elsewhere."""


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def news_of(embedded: Embedded) -> News:
    """Return the news of whatever is followed by its number."""
    return News(lambda: (embedded.job_events.last(), embedded.audit.last()))


Wired = Annotated[Services, Depends(_services)]
