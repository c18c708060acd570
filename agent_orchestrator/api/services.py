"""What the handlers work with, and how they get it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.api.access import Access
from agent_orchestrator.api.answers import Answers
from agent_orchestrator.api.limits import Rates
from agent_orchestrator.api.news import News
from agent_orchestrator.api.run_records import Runs
from agent_orchestrator.api.streams import EventStream, Sent
from agent_orchestrator.api.talks import Talks
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.kept_answers import KeptAnswerStore
from agent_orchestrator.wiring.embedded import Embedded
from agent_orchestrator.wiring.orchestrator import Orchestrator


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The application's own parts and the system behind it."""

    settings: Settings
    orchestrator: Orchestrator
    talks: Talks
    runs: Runs
    access: Access
    rates: Rates
    news: News
    answers: Answers
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server is about to end: streams end too, and are taken up again elsewhere."""

    def stream(
        self,
        caller: Caller,
        events: AsyncGenerator[Sent, None],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> EventStream:
        """Return events as an answer. Raises HTTPException 429 for a caller's too many streams."""
        counted = self.rates.streaming(caller.name, events)
        return EventStream(counted, self.closing, headers=headers)

    @property
    def embedded(self) -> Embedded:
        """The use cases, and what is kept about them."""
        return self.orchestrator.embedded


def compose_services(
    settings: Settings, orchestrator: Orchestrator, access: Access, rates: Rates
) -> Services:
    """Put together what the handlers work with."""
    system = orchestrator.embedded
    return Services(
        settings=settings,
        orchestrator=orchestrator,
        talks=Talks(orchestrator),
        runs=Runs(),
        access=access,
        rates=rates,
        # Whatever is followed by its number.
        news=News(lambda: (system.job_events.last(), system.audit.last())),
        answers=Answers(KeptAnswerStore(orchestrator.database)),
    )


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Wired = Annotated[Services, Depends(_services)]
