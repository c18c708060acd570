"""Rollouts: listed, looked at, followed, and how their evidence came to be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import (
    DecisionRecord,
    EvidencePoint,
    RolloutReport,
)
from agent_orchestrator.api.auth import Reader
from agent_orchestrator.api.ids import RolloutId
from agent_orchestrator.api.services import Services, Wired
from agent_orchestrator.api.streams import EventStream, Sent, streamed
from agent_orchestrator.domain.rollout import RolloutState

router = APIRouter(prefix="/rollouts", tags=["rollouts"])

_LOOK_SECONDS = 1.0


class RolloutList(BaseModel):
    """Several rollouts, newest first."""

    rollouts: list[RolloutState]


class RolloutHistory(BaseModel):
    """What was decided, and the evidence over time."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    rollout_id: str
    agent: str
    started_at: float
    """Seconds since the epoch."""
    ended_at: float | None
    decisions: list[DecisionRecord]
    points: list[EvidencePoint]
    """The evidence at moments that are evenly spread over the requests, oldest first."""


@router.get("", operation_id="list_rollouts")
def listed(
    _caller: Reader,
    services: Wired,
    agent: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> RolloutList:
    """List the rollouts of all agents or of one, newest first."""
    return RolloutList(rollouts=services.embedded.rollouts.newest(agent, limit))


@router.get("/{rollout_id}", operation_id="get_rollout")
def get(rollout_id: RolloutId, _caller: Reader, services: Wired) -> RolloutReport:
    """Show a rollout, running or over, as ``rollout_status`` shows an agent's newest."""
    return _report(services, rollout_id)


@router.get("/{rollout_id}/history", operation_id="get_rollout_history")
def history(
    rollout_id: RolloutId,
    _caller: Reader,
    services: Wired,
    points: Annotated[int, Query(ge=1, le=2000, description="About how many moments.")] = 200,
) -> RolloutHistory:
    """Read what was decided and how the evidence grew: e-values beside their bounds, the split."""
    system = services.embedded
    state = system.rollouts.get(rollout_id)
    return RolloutHistory(
        rollout_id=state.id,
        agent=state.agent,
        started_at=state.started_at,
        ended_at=state.ended_at,
        decisions=system.rollout_reports.decisions(state),
        points=system.trajectories.of(state, points),
    )


@router.get(
    "/{rollout_id}/events",
    operation_id="follow_rollout",
    response_class=EventStream,
    responses=streamed(RolloutReport),
)
async def events(rollout_id: RolloutId, caller: Reader, services: Wired) -> EventStream:
    """Follow a rollout: an event ``report`` whenever something has changed, until it is over."""
    first = await asyncio.to_thread(_report, services, rollout_id)

    async def reports() -> AsyncGenerator[Sent, None]:
        report = first
        yield Sent("report", report)
        while not await asyncio.to_thread(_is_over, services, rollout_id):
            await asyncio.sleep(_LOOK_SECONDS)
            seen, report = report, await asyncio.to_thread(_report, services, rollout_id)
            if report != seen:
                yield Sent("report", report)

    return services.stream(caller, reports())


def _report(services: Services, rollout_id: str) -> RolloutReport:
    system = services.embedded
    return system.rollout_reports.of(system.rollouts.get(rollout_id))


def _is_over(services: Services, rollout_id: str) -> bool:
    return services.embedded.rollouts.get(rollout_id).ended_at is not None
