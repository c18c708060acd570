"""The system at a glance, who one is here, and what happens: for whoever shows it to people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from agent_orchestrator.agents.infrastructure.modelops.overview import Overview
from agent_orchestrator.api.auth import Reader
from agent_orchestrator.api.services import Services, Wired
from agent_orchestrator.api.streams import EventStream, LastEventId, Sent, streamed
from agent_orchestrator.domain.roles import Action, Role, may
from agent_orchestrator.stores.audit import AuditEntry

router = APIRouter(tags=["overview"])

_ACTIONS: tuple[Action, ...] = ("read", "change", "approve", "administer")


class Me(BaseModel):
    """Whom the token belongs to."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    role: Role
    may: list[Action]
    """What the role allows."""


class Activity(BaseModel):
    """Something that somebody did."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)

    type: Literal["activity"] = "activity"
    seq: int
    at: float
    """Seconds since the epoch."""
    actor: str
    action: str
    """E.g. ``approval_asked``, ``job_started``, ``registry_retire``."""
    subject: str
    """The agent, job or approval that it was done to."""
    detail: dict[str, Any]


class Activities(BaseModel):
    """What was done, oldest first."""

    activities: list[Activity]


@router.get("/me", operation_id="who_am_i")
def who_am_i(caller: Reader) -> Me:
    """Say who asks, and what they may do."""
    allowed = [action for action in _ACTIONS if may(caller.role, action)]
    return Me(name=caller.name, role=caller.role, may=allowed)


@router.get("/overview", operation_id="get_overview")
def overview(_caller: Reader, services: Wired) -> Overview:
    """Show what serves whom, how the processes stand, and what waits or runs."""
    return services.embedded.overview.read()


@router.get("/activity", operation_id="list_activity")
def activity(
    _caller: Reader, services: Wired, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> Activities:
    """List what was done lately, oldest first."""
    return Activities(activities=[_shown(one) for one in services.embedded.audit.tail(limit)])


@router.get(
    "/activity/events",
    operation_id="follow_activity",
    response_class=EventStream,
    responses=streamed(Activity),
)
async def events(caller: Reader, services: Wired, last_event_id: LastEventId = None) -> EventStream:
    """Follow what is done, as events ``activity``: whatever a page shows, this says when to look.

    From ``Last-Event-ID`` on; without it, from now on.
    """
    audit = services.embedded.audit
    after = await asyncio.to_thread(audit.last) if last_event_id is None else last_event_id
    return services.stream(caller, _activity(services, after))


async def _activity(services: Services, after: int) -> AsyncGenerator[Sent, None]:
    def number(entry: AuditEntry) -> int:
        return entry.seq

    async for entry in services.news.follow(services.embedded.audit.after, number, after):
        yield Sent("activity", _shown(entry), entry.seq)


def _shown(entry: AuditEntry) -> Activity:
    return Activity.model_validate(entry)
