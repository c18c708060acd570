"""What jobs have cost and taken: the month's budget, and what estimates learn from.

The jobs' table is the ledger. A job reserves its estimate in the transaction that stores it, so
that two who start jobs at the same time, in whatever processes, cannot both have what is left; its
actual cost takes the estimate's place when it has ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.usecases.costs import (
    CostReport,
    JobCost,
    ListCosts,
)
from agent_orchestrator.domain import budget
from agent_orchestrator.domain.budget import Charge, MonthlyLimits, Spending
from agent_orchestrator.domain.calibration import PastRun
from agent_orchestrator.domain.cost import Estimate
from agent_orchestrator.domain.jobs import TERMINAL, Job
from agent_orchestrator.stores.jobs import JobStore

_ESTIMATE = "estimate"
_ROOT = "root_model"
_SECONDS = "seconds"


def priced(request: dict[str, Any], estimate: Estimate, root_model: str) -> dict[str, Any]:
    """Return a job's request with what its price is made of, for later estimates."""
    return {**request, _ESTIMATE: asdict(estimate), _ROOT: root_model}


def with_seconds(job: Job, result: Mapping[str, Any], seconds: float | None) -> dict[str, Any]:
    """Return a job's result with how long it ran, unless that is known of its last part only."""
    was_resumed = job.actual_cost_usd is not None
    return dict(result) if seconds is None or was_resumed else {**result, _SECONDS: seconds}


def usd_per_hour(job: Job) -> float:
    """Return what the job's machine costs; 0 for this one, and for jobs that rent none."""
    return float(job.request.get(_ESTIMATE, {}).get("usd_per_hour", 0.0))


def actual_usd(job: Job, seconds: float | None, now: float) -> float | None:
    """Return what a job that has just ended cost; None for one that rented no machine by the hour.

    Where its process kept no record of its time, what has passed since it was started is the most
    that it can have been. What a job cost before it was resumed is added.
    """
    if _ESTIMATE not in job.request:
        return None
    passed = now - job.created_at if seconds is None else seconds
    return (job.actual_cost_usd or 0.0) + max(0.0, passed) / 3600.0 * usd_per_hour(job)


def charge(job: Job) -> Charge:
    """Return what a job takes from its month; one that was resumed, its estimate once more.

    A search takes nothing itself: its trials do.
    """
    if job.kind == "search":
        return Charge(at=job.created_at, usd=0.0, hours=0.0)
    usd = job.actual_cost_usd or 0.0
    if job.status not in TERMINAL or job.actual_cost_usd is None:
        usd += job.estimated_cost_usd
    price = usd_per_hour(job)
    return Charge(at=job.created_at, usd=usd, hours=usd / price if price else 0.0)


def past_runs(jobs: Iterable[Job]) -> list[PastRun]:
    """Return what completed trainings teach; those that kept no time, or price, are left out."""
    runs = []
    for job in jobs:
        seconds = (job.result or {}).get(_SECONDS)
        if job.kind in ("training", "trial") and job.status == "completed" and seconds is not None:
            runs.append(
                PastRun(
                    backend=job.backend,
                    method=job.request["request"]["method"],
                    hardware=job.request[_ESTIMATE]["hardware"],
                    base_model=job.request[_ROOT],
                    estimated_minutes=job.request[_ESTIMATE]["uncalibrated_minutes"],
                    actual_minutes=seconds / 60.0,
                )
            )
    return runs


class Budget:
    """What the jobs of a calendar month may cost together, at every door and in every process."""

    def __init__(
        self, store: JobStore, limits: MonthlyLimits, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self.limits = limits
        self._clock = clock

    def left(self) -> Spending:
        """Return what is left of this month."""
        now = self._clock()
        jobs = self._store.since(budget.month_start(now))
        return budget.left(self.limits, budget.spent(map(charge, jobs), budget.month_of(now)))

    def check(self, job: Job) -> None:
        """Raise InputError when the month has no room for the job to run (once more) now."""
        now = self._clock()
        month = budget.month_of(now)
        taken = budget.spent(map(charge, self._store.since(budget.month_start(now))), month)
        wanted = replace(job, status="pending", actual_cost_usd=None, created_at=now)
        budget.check_month(charge(wanted), taken, self.limits)

    def admit(self, job: Job) -> None:
        """Store a job, which reserves its estimate; InputError when the month has no room for it.

        Raises ConflictError when the id exists.
        """

        def check(jobs: Iterable[Job]) -> None:
            month = budget.month_of(job.created_at)
            taken = budget.spent(map(charge, jobs), month)
            budget.check_month(charge(job), taken, self.limits)

        self._store.create(job, since=budget.month_start(job.created_at), admit=check)

    def report(self, request: ListCosts) -> CostReport:
        """Return what the jobs of a month cost, and what is left of it."""
        month = request.month or budget.month_of(self._clock())
        jobs = [job for job in self._store.since(0.0) if budget.month_of(job.created_at) == month]
        spending = budget.spent(map(charge, jobs), month)
        room = budget.left(self.limits, spending)
        return CostReport(
            month=month,
            jobs=[_cost(job) for job in jobs if request.agent in (None, job.agent)],
            spent_usd=spending.usd,
            spent_hours=spending.hours,
            limit_usd=self.limits.max_usd,
            limit_hours=self.limits.max_hours,
            left_usd=room.usd,
            left_hours=room.hours,
        )


def _cost(job: Job) -> JobCost:
    seconds = (job.result or {}).get(_SECONDS)
    return JobCost(
        job_id=job.id,
        kind=job.kind,
        agent=job.agent,
        status=job.status,
        backend=job.backend,
        hardware=job.request.get(_ESTIMATE, {}).get("hardware"),
        started_at=job.created_at,
        estimated_cost_usd=job.estimated_cost_usd,
        actual_cost_usd=job.actual_cost_usd,
        estimated_minutes=job.estimated_minutes,
        actual_minutes=None if seconds is None else seconds / 60.0,
    )
