"""Closing a tripped breaker by hand."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import (
    BreakerReset,
    ResetBreaker,
)
from agent_orchestrator.errors import InputError
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.health import HealthBoard


class BreakerResets:
    """Closes breakers by hand: the order is written down, every gateway carries it out."""

    def __init__(
        self,
        catalogue: Catalogue,
        health: HealthBoard,
        audit: AuditLog,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalogue = catalogue
        self._health = health
        self._audit = audit
        self._clock = clock

    def plan(self, request: ResetBreaker, caller: Caller) -> Plan:
        """Plan a reset. Raises UnknownAgentError, InputError for an arm the agent has not got."""
        arms = [arm.name for arm in self._catalogue.arms(request.agent)]
        if request.arm not in arms:
            raise InputError(
                f"{request.agent} has no arm {request.arm!r}.",
                remedy=f"Its arms: {', '.join(arms)}.",
            )

        def reset() -> BreakerReset:
            now = self._clock()
            before = self._health.of(request.agent, request.arm, now)
            self._health.order_reset(request.agent, request.arm, now)
            detail = {"arm": request.arm, "was": before.state}
            self._audit.append(now, caller.name, "breaker_reset", request.agent, detail)
            return BreakerReset(agent=request.agent, arm=request.arm, health=before.state)

        async def act(_approval_id: str | None) -> BreakerReset:
            return await anyio.to_thread.run_sync(reset)

        return Plan(summary=f"Close the breaker of {request.agent}'s {request.arm} arm.", act=act)
