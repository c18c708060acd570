"""What jobs cost."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Request, Result
from agent_orchestrator.domain.jobs import JobKind, JobStatus


class ListCosts(Request):
    """List what the jobs of a month cost, and what is left of its budget."""

    month: Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")] | None = None
    """Calendar month (UTC), e.g. 2026-11; the present one when left out."""
    agent: str | None = None
    """Only this agent's jobs; the budget is everybody's."""


class JobCost(Result):
    """One job's price. What is not known is null."""

    job_id: str
    kind: JobKind
    agent: str
    status: JobStatus
    backend: str
    hardware: str | None = None
    started_at: float
    """Seconds since the epoch."""
    estimated_cost_usd: float
    actual_cost_usd: float | None = None
    """Once it has ended."""
    estimated_minutes: float
    actual_minutes: float | None = None


class CostReport(Result):
    """A month's jobs and its budget, all agents together."""

    month: str
    jobs: list[JobCost]
    """Newest first."""
    spent_usd: float
    """Of jobs that have ended, and reserved by those that have not."""
    spent_hours: float
    """Of rented machines."""
    limit_usd: float
    limit_hours: float
    left_usd: float
    left_hours: float
