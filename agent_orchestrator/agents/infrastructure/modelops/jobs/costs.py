"""What jobs have cost and taken: the month's budget, and what estimates learn from.

The jobs' table is the ledger. A job reserves its estimate in the transaction that stores it, so
that two who start jobs at the same time, in whatever processes, cannot both have what is left; its
actual cost takes the estimate's place when it has ended. One that goes on reserves its estimate
once more, in the month in which it does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from agent_orchestrator.domain.jobs import TERMINAL, Job, Progress
from agent_orchestrator.stores.jobs import JobStore

_ESTIMATE = "estimate"
_ROOT = "root_model"
_SECONDS = "seconds"
_RESUMED = "resumed"
"""In a job's request: when it was resumed each time, and what it had cost by then."""


def priced(request: dict[str, Any], estimate: Estimate, root_model: str) -> dict[str, Any]:
    """Return a job's request with what its price is made of, for later estimates."""
    return {**request, _ESTIMATE: asdict(estimate), _ROOT: root_model}


def resumed(job: Job, at: float) -> dict[str, Any]:
    """Return the request of a job that goes on: with when, and with what it has cost by then."""
    return {**job.request, _RESUMED: [*_resumptions(job), {"at": at, "usd": usd(job)}]}


def _resumptions(job: Job) -> list[dict[str, float]]:
    return list(job.request.get(_RESUMED, ()))


def with_seconds(job: Job, result: Mapping[str, Any], seconds: float | None) -> dict[str, Any]:
    """Return a job's result with how long it ran, unless that is known of its last part only."""
    if seconds is None or _resumptions(job):
        return dict(result)
    return {**result, _SECONDS: seconds}


def usd_per_hour(job: Job) -> float:
    """Return what the job's machine costs; 0 for this one, and for jobs that rent none."""
    return float(job.request.get(_ESTIMATE, {}).get("usd_per_hour", 0.0))


def actual_usd(job: Job, progress: Progress, now: float) -> float | None:
    """Return what a job that has just ended cost; None where nobody knows.

    One that rents no machine by the hour says itself what the models cost that it asked. Where
    the process of another kept no record of its time, what has passed since it was started is the
    most that it can have been. What a job cost before it was resumed is added.
    """
    if _ESTIMATE not in job.request:
        return progress.cost_usd
    begun, before = _parts(job)[-1]
    passed = now - begun if progress.seconds is None else progress.seconds
    return before + max(0.0, passed) / 3600.0 * usd_per_hour(job)


def _parts(job: Job) -> list[tuple[float, float]]:
    """Return when a job was started, and each time it was resumed, and what it had cost by then."""
    return [(job.created_at, 0.0), *((part["at"], part["usd"]) for part in _resumptions(job))]


def charges(job: Job) -> list[Charge]:
    """Return what a job takes from its months: a charge for each time that it was started.

    A search takes nothing itself: its trials do.
    """
    parts = _parts(job)
    total = job.actual_cost_usd if job.status in TERMINAL else None
    if job.kind == "search":
        total = 0.0
    elif total is None:
        total = parts[-1][1] + job.estimated_cost_usd
    ends = [usd for _, usd in parts[1:]] + [total]
    price = usd_per_hour(job)
    return [
        Charge(at=at, usd=end - usd, hours=(end - usd) / price if price else 0.0)
        for (at, usd), end in zip(parts, ends, strict=True)
    ]


def usd(job: Job) -> float:
    """Return what a job has cost, or reserves, in all."""
    return sum(charge.usd for charge in charges(job))


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
        return budget.left(self.limits, _spent(jobs, budget.month_of(now)))

    def check(self, job: Job) -> None:
        """Raise InputError when the month has no room for the job to run (once more) now."""
        now = self._clock()
        self._check(job, now, self._store.since(budget.month_start(now)))

    def admit(self, job: Job) -> None:
        """Store a job, which reserves its estimate; InputError when the month has no room for it.

        Raises ConflictError when the id exists.
        """
        at = job.created_at
        self._store.create(
            job, since=budget.month_start(at), admit=lambda jobs: self._check(job, at, jobs)
        )

    def readmit(self, job_id: str, at: float) -> Job:
        """Let a job run again, which reserves its estimate once more; return it.

        Raises InputError when the month has no room for it, and as ``JobStore.reopen``.
        """

        def admit(job: Job, jobs: Sequence[Job]) -> dict[str, Any]:
            self._check(job, at, jobs)
            return resumed(job, at)

        return self._store.reopen(job_id, at=at, since=budget.month_start(at), admit=admit)

    def _check(self, job: Job, at: float, jobs: Sequence[Job]) -> None:
        """Raise InputError when these jobs leave no room in the month to start the job."""
        (wanted,) = charges(_anew(job, at))
        budget.check_month(wanted, _spent(jobs, budget.month_of(at)), self.limits)

    def report(self, request: ListCosts) -> CostReport:
        """Return what the jobs of a month cost, and what is left of it."""
        month = request.month or budget.month_of(self._clock())
        jobs = [
            job
            for job in self._store.since(0.0)
            if any(budget.month_of(charge.at) == month for charge in charges(job))
        ]
        spending = _spent(jobs, month)
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


def _anew(job: Job, at: float) -> Job:
    """Return a job as if it were started for the first time."""
    request = {name: value for name, value in job.request.items() if name != _RESUMED}
    return replace(job, request=request, status="pending", actual_cost_usd=None, created_at=at)


def _spent(jobs: Iterable[Job], month: str) -> Spending:
    return budget.spent((charge for job in jobs for charge in charges(job)), month)


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
