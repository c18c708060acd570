"""Jobs: started once, followed from anywhere, settled once.

A job's truth lies with its backend; the store remembers what was asked and how it ended. Whoever
asks next (a person, the timer) finds a finished job and settles it: the model is registered, the
scores are written down. Settling is idempotent, so two at once do no harm.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.backends import TrainerBackend
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.usecases import (
    CancelTrainingJob,
    JobCancelled,
    JobError,
    JobReport,
    MonitorTrainingJob,
)
from agent_orchestrator.domain.jobs import (
    TERMINAL,
    Failure,
    Job,
    JobKind,
    JobStatus,
    Progress,
)
from agent_orchestrator.errors import ChefError, ConflictError, InputError, NotFoundError
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.jobs import JobStore

#: Submitting takes milliseconds; a job that is pending for longer was never submitted.
_SUBMIT_SECONDS: Final = 60.0


class Settler(Protocol):
    """Writes down what a completed job made. Idempotent."""

    def __call__(self, job: Job, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the job's result, JSON."""


class Jobs:
    """The desk where jobs are started, followed and cancelled."""

    def __init__(
        self,
        store: JobStore,
        backends: Mapping[str, TrainerBackend],
        settlers: Mapping[JobKind, Settler],
        audit: AuditLog,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._backends = backends
        self._settlers = settlers
        self._audit = audit
        self._clock = clock

    def new_id(self) -> str:
        """Return a fresh job id, ``job_<date>_<random>``."""
        day = time.strftime("%Y-%m-%d", time.gmtime(self._clock()))
        return f"job_{day}_{secrets.token_hex(4)}"

    def start(self, job: Job, submit: Callable[[], Mapping[str, Any]]) -> Job:
        """Store the job, submit it, store where it went. ``submit`` returns the backend's ref.

        A job that could not be submitted ends as failed, and the error is raised again.
        """
        self._store.create(job)
        self._audit.append(job.created_at, job.requester, "job_started", job.agent, {"job": job.id})
        try:
            ref = submit()
        except ChefError as error:
            failure = Failure("unavailable", error.message, error.remedy)
            self._finish(job, "failed", failure=failure)
            raise
        return self._store.update(job.id, status="running", ref=ref, at=self._clock())

    def refresh(self, job_id: str) -> tuple[Job, Progress]:
        """Ask the backend where a job stands; settle it when it has completed.

        Raises NotFoundError for an unknown id.
        """
        job = self._store.get(job_id)
        if job.status == "pending" and self._clock() - job.created_at > _SUBMIT_SECONDS:
            failure = Failure(
                "killed",
                "The orchestrator stopped before the job was submitted.",
                "Start it again.",
            )
            job = self._finish(job, "failed", failure=failure)
        if not job.ref:
            return job, Progress(status=job.status, failure=job.failure)
        progress = self._backends[job.backend].poll(job.ref)
        if job.status in TERMINAL:
            return job, replace(progress, status=job.status, failure=job.failure)
        if progress.status not in TERMINAL:
            return job, progress
        if progress.status == "completed":
            return self._settle(job, progress)
        job = self._finish(job, progress.status, failure=progress.failure)
        return job, progress

    def refresh_all(self) -> None:
        """Settle every job that has ended; the timer's part."""
        for job in self._store.newest(status="running"):
            self.refresh(job.id)

    def find(self, job_id: str | None, agent: str | None) -> Job:
        """Return a job by id, or an agent's newest.

        Raises InputError when neither is given, NotFoundError when there is none.
        """
        if job_id is not None:
            return self._store.get(job_id)
        if agent is None:
            raise InputError("Which job?", remedy="Give a job id or an agent.")
        job = self._store.latest_for_agent(agent)
        if job is None:
            raise NotFoundError(f"{agent} has had no job.", remedy=f"Try `chef train {agent}`.")
        return job

    def report(self, request: MonitorTrainingJob) -> JobReport:
        """Return where a job stands."""
        job, progress = self.refresh(self.find(request.job_id, request.agent).id)
        result = dict(job.result or {})
        eta = progress.eta_seconds
        return JobReport(
            job_id=job.id,
            kind=job.kind,
            agent=job.agent,
            status=progress.status,
            message=progress.message,
            progress_pct=progress.progress_pct,
            current_step=progress.current_step,
            total_steps=progress.total_steps,
            current_loss=progress.current_loss,
            learning_rate=progress.learning_rate,
            eta_minutes=None if eta is None else eta / 60,
            hub_repo=job.request.get("hub_repo"),
            version=result.get("version"),
            tensorboard_url=result.get("tensorboard_url"),
            estimated_cost_usd=job.estimated_cost_usd,
            actual_cost_usd=job.actual_cost_usd,
            error=_error(progress.failure),
            evaluation=result.get("evaluation"),
        )

    def plan_cancel(self, request: CancelTrainingJob, caller: Caller) -> Plan:
        """Plan a cancellation. Raises ConflictError for a job that has ended."""
        job, progress = self.refresh(self.find(request.job_id, request.agent).id)
        if progress.status in TERMINAL:
            raise ConflictError(f"Job {job.id} has ended already: {progress.status}.")

        def cancel() -> JobCancelled:
            self._backends[job.backend].cancel(job.ref)
            at = self._clock()
            self._audit.append(at, caller.name, "job_cancelled", job.agent, {"job": job.id})
            _, after = self.refresh(job.id)
            return JobCancelled(job_id=job.id, status=after.status)

        async def act(_approval_id: str | None) -> JobCancelled:
            return await anyio.to_thread.run_sync(cancel)

        return Plan(summary=f"Job {job.id} ({job.kind}, {job.agent}) is cancelled.", act=act)

    def _settle(self, job: Job, progress: Progress) -> tuple[Job, Progress]:
        result = self._settlers[job.kind](job, progress.result or {})
        return self._finish(job, "completed", result=result), progress

    def _finish(
        self,
        job: Job,
        status: JobStatus,
        *,
        failure: Failure | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> Job:
        """Write down how a job ended, unless another process just did."""
        try:
            return self._store.update(
                job.id, status=status, failure=failure, result=result, at=self._clock()
            )
        except ConflictError:
            return self._store.get(job.id)


def _error(failure: Failure | None) -> JobError | None:
    if failure is None:
        return None
    return JobError(kind=failure.kind, message=failure.message, remedy=failure.remedy)
