"""Places that need no looking at: the model server of this machine, which the gate starts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent_orchestrator.agents.infrastructure.modelops.targets import Placement
from agent_orchestrator.domain.routing import Endpoint


class AsListed:
    """A ``Target`` that takes the place as it is."""

    def plan(self, endpoint: Endpoint) -> Placement:
        """Take it."""
        return Placement(endpoint=endpoint)

    @asynccontextmanager
    async def ready(self, placement: Placement) -> AsyncIterator[Endpoint]:
        """Give it."""
        yield placement.endpoint
