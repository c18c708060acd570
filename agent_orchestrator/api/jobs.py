"""Jobs: listed, followed, and read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    JobError,
    JobReport,
    MonitorTrainingJob,
)
from agent_orchestrator.api.auth import Reader
from agent_orchestrator.api.ids import JobId
from agent_orchestrator.api.services import Services, Wired
from agent_orchestrator.api.streams import EventStream, LastEventId, Sent, streamed
from agent_orchestrator.domain.jobs import TERMINAL, Job, JobEvent, JobKind, JobStatus

router = APIRouter(prefix="/jobs", tags=["jobs"])

_LOOK_SECONDS = 1.0
_LINES = 1000
"""Of a log in one event at most."""


class JobSummary(BaseModel):
    """One job as the store keeps it. Times are seconds since the epoch."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    job_id: str
    kind: JobKind
    agent: str
    status: JobStatus
    """As last seen; ``GET /jobs/{job_id}`` looks anew."""
    backend: str
    request: dict[str, Any]
    """What was asked for."""
    requester: str
    created_at: float
    updated_at: float
    finished_at: float | None
    estimated_cost_usd: float
    estimated_minutes: float
    actual_cost_usd: float | None
    approval_id: str | None
    error: JobError | None

    @classmethod
    def of(cls, job: Job) -> JobSummary:
        """Return what a list shows of a job."""
        names = cls.model_fields.keys() - {"job_id", "error"}
        error = JobError(**asdict(job.failure)) if job.failure else None
        return cls(job_id=job.id, error=error, **{name: getattr(job, name) for name in names})


class JobList(BaseModel):
    """Several jobs, newest first."""

    jobs: list[JobSummary]


class JobLog(BaseModel):
    """Lines of a job's log."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    lines: list[str]
    end: int | None
    """Where the next line begins: ``after`` of the next page. Null where only the end of the log
    can be read (jobs that run elsewhere)."""


class LossCurve(BaseModel):
    """How a training's loss went."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    job_id: str
    losses: list[tuple[int, float]]
    """Step and loss, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEventSent(JobEvent):
    """A job has come to a status."""

    type: Literal["job"] = "job"


@router.get("", operation_id="list_jobs")
def listed(
    _caller: Reader,
    services: Wired,
    agent: str | None = None,
    status: JobStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> JobList:
    """List the jobs, newest first: all, an agent's, or those of a status."""
    found = services.embedded.jobs.newest(agent=agent, status=status, limit=limit)
    return JobList(jobs=[JobSummary.of(job) for job in found])


@router.get(
    "/events",
    operation_id="follow_jobs",
    response_class=EventStream,
    responses=streamed(JobEventSent),
)
async def events(
    caller: Reader,
    services: Wired,
    last_event_id: LastEventId = None,
    agent: str | None = None,
) -> EventStream:
    """Follow what becomes of jobs, as server-sent events ``job``.

    From ``Last-Event-ID`` on; without it, from now on.
    """
    store = services.embedded.job_events
    after = await asyncio.to_thread(store.last) if last_event_id is None else last_event_id
    return services.stream(caller, _job_events(services, after, agent))


async def _job_events(
    services: Services, after: int, agent: str | None
) -> AsyncGenerator[Sent, None]:
    store = services.embedded.job_events

    def number(event: JobEvent) -> int:
        return event.seq

    read = lambda seq: store.after(seq, agent=agent)  # noqa: E731
    async for event in services.news.follow(read, number, after):
        yield Sent("job", JobEventSent(**asdict(event)), event.seq)


@router.get("/{job_id}", operation_id="get_job")
async def get(job_id: JobId, caller: Reader, services: Wired) -> JobReport:
    """Show where a job stands, as ``monitor_training_job`` does."""
    return await _report(services, job_id, caller)


@router.get(
    "/{job_id}/events",
    operation_id="follow_job",
    response_class=EventStream,
    responses=streamed(JobReport),
)
async def job_events(job_id: JobId, caller: Reader, services: Wired) -> EventStream:
    """Follow one job: an event ``report`` whenever something has changed, until it has ended."""
    first = await _report(services, job_id, caller)

    async def reports() -> AsyncGenerator[Sent, None]:
        report = first
        yield Sent("report", report)
        while report.status not in TERMINAL:
            await asyncio.sleep(_LOOK_SECONDS)
            seen, report = report, await _report(services, job_id, caller)
            if report != seen:
                yield Sent("report", report)

    return services.stream(caller, reports())


@router.get("/{job_id}/log", operation_id="get_job_log")
def log(
    job_id: JobId,
    _caller: Reader,
    services: Wired,
    tail: Annotated[int, Query(ge=1, le=10_000, description="How many lines.")] = 200,
    after: Annotated[int | None, Query(ge=0, description="`end` of another page; 0 first.")] = None,
) -> JobLog:
    """Read the end of a job's log, or a page of it from ``after`` on."""
    return _log_part(services, job_id, after, tail)


@router.get(
    "/{job_id}/log/events",
    operation_id="follow_job_log",
    response_class=EventStream,
    responses=streamed(JobLog),
)
async def log_events(
    job_id: JobId,
    caller: Reader,
    services: Wired,
    last_event_id: LastEventId = None,
) -> EventStream:
    """Follow a job's log as events ``lines``, until the job has ended.

    From ``Last-Event-ID`` on, which is an ``end``; without it from the beginning.
    """
    start = last_event_id or 0
    first = await asyncio.to_thread(_log_part, services, job_id, start, _LINES)
    return services.stream(caller, _log_lines(services, job_id, first, caller))


async def _log_lines(
    services: Services, job_id: str, part: JobLog, caller: Reader
) -> AsyncGenerator[Sent, None]:
    ended = False
    while True:
        if part.lines:
            yield Sent("lines", part, part.end)
        elif ended:
            return
        else:
            await asyncio.sleep(_LOOK_SECONDS)
            # Asked first: whatever an ended job has written is then read.
            ended = (await _report(services, job_id, caller)).status in TERMINAL
        part = await asyncio.to_thread(_log_part, services, job_id, part.end, _LINES)


def _log_part(services: Services, job_id: str, after: int | None, most: int) -> JobLog:
    part = services.embedded.job_desk.log_part(job_id, after, most)
    return JobLog(lines=list(part.lines), end=part.end)


@router.get("/{job_id}/losses", operation_id="get_job_losses")
def losses(job_id: JobId, _caller: Reader, services: Wired) -> LossCurve:
    """Read a training's loss curve so far."""
    _, progress = services.embedded.job_desk.refresh(job_id)
    return LossCurve(job_id=job_id, losses=list(progress.losses))


async def _report(services: Services, job_id: str, caller: Reader) -> JobReport:
    report = await services.embedded.coordinator.run(
        "monitor_training_job", MonitorTrainingJob(job_id=job_id), caller
    )
    if not isinstance(report, JobReport):
        raise TypeError(f"monitor_training_job returned {type(report).__name__}.")
    return report
