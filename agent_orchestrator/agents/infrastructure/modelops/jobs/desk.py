"""Jobs: started once, followed from anywhere, settled once.

A job's truth lies with its backend; the store remembers what was asked and how it ended. Whoever
asks next (a person, the timer) finds a finished job and settles it: the model is registered, the
scores are written down. Settling is idempotent, so two at once do no harm.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.backends import (
    Advances,
    FollowsJobs,
    GoesOn,
    ReadsLogs,
    Resumes,
)
from agent_orchestrator.agents.infrastructure.modelops.jobs.costs import (
    Budget,
    actual_usd,
    resumed,
    usd,
    with_seconds,
)
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    CancelTrainingJob,
    JobCancelled,
    JobError,
    JobReport,
    JobResumed,
    MonitorTrainingJob,
    ResumeTrainingJob,
)
from agent_orchestrator.domain.jobs import (
    TERMINAL,
    Failure,
    FailureKind,
    Job,
    JobKind,
    LogPart,
    Progress,
)
from agent_orchestrator.errors import (
    ChefError,
    ConflictError,
    InputError,
    NotAvailable,
    NotFoundError,
    StorageError,
    UnavailableError,
)
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.jobs import JobStore

log = logging.getLogger(__name__)

#: Submitting takes seconds at most; a backend that does not know a job after this never got it.
_SUBMIT_SECONDS: Final = 60.0
_NEVER_SUBMITTED: Final = Failure(
    "killed", "The orchestrator stopped before the job was submitted.", "Start it again."
)
_LOST: Final = Failure("unknown", "The backend does not know the job any more.", "Start it again.")


class StartJob(Protocol):
    """Starts the process of a job with its spec; returns the ref to follow it by."""

    def __call__(self, job_id: str, spec: Mapping[str, Any]) -> Mapping[str, Any]: ...  # noqa: D102


class Settler(Protocol):
    """Writes down what a completed job made. Idempotent."""

    def __call__(self, job: Job, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the job's result, JSON."""


class Jobs:
    """The desk where jobs are started, followed and cancelled."""

    def __init__(
        self,
        store: JobStore,
        backends: Mapping[str, FollowsJobs],
        settlers: Mapping[JobKind, Settler],
        audit: AuditLog,
        *,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Without a ``budget`` the jobs of a month may cost any amount together."""
        self._store = store
        self.budget = budget
        self._backends = backends
        self._settlers = settlers
        self._audit = audit
        self._clock = clock

    def new_id(self) -> str:
        """Return a fresh job id, ``job_<date>_<random>``."""
        day = time.strftime("%Y-%m-%d", time.gmtime(self._clock()))
        return f"job_{day}_{secrets.token_hex(4)}"

    def now(self) -> float:
        """Return the time by which jobs are dated, seconds since the epoch."""
        return self._clock()

    def trainings(self) -> list[Job]:
        """Return the trainings that were completed, trials among them, newest first."""
        return self._store.completed("training", "trial")

    def cancel(self, job: Job) -> None:
        """Ask a job to stop."""
        self._backend(job).cancel(_ref(job))

    def start(self, job: Job, submit: Callable[[], Mapping[str, Any]]) -> Job:
        """Store the job, submit it, store where it went. ``submit`` returns the backend's ref.

        A job that could not be submitted ends as failed, and the error is raised again. Raises
        InputError when the month's budget has no room for it.
        """
        if self.budget is None:
            self._store.create(job)
        else:
            self.budget.admit(job)
        self._audit.append(job.created_at, job.requester, "job_started", job.agent, {"job": job.id})
        try:
            ref = submit()
        except ChefError as error:
            self._write(job, status="failed", failure=failure_of(error), actual_cost_usd=0.0)
            raise
        return self._write(job, status="running", ref=ref)

    def refresh(self, job_id: str) -> tuple[Job, Progress]:
        """Ask the backend where a job stands; write down how it ended when it has.

        Raises NotFoundError for an unknown id, NotAvailable when this build lacks the backend of a
        job that has not ended, UnavailableError when the backend does not answer, and what else
        the settler raises (a broken registry …): such a job is settled by the next look.
        """
        job = self._store.get(job_id)
        ended = job.status in TERMINAL
        try:
            backend: object = self._backend(job)
            if not ended and isinstance(backend, Advances):
                backend.advance(_ref(job))
                job = self._store.get(job_id)
            progress = self._backend(job).poll(_ref(job))
        except ChefError as error:
            if not ended and not isinstance(error, NotFoundError):
                raise
            return self._without_trace(job)
        if ended:
            return job, replace(progress, status=job.status, failure=job.failure)
        if progress.status not in TERMINAL:
            return self._taken_over(job), progress
        if progress.status == "completed":
            return self._settle(job, progress)
        if progress.status == "failed" and self._goes_on(job):
            return job, Progress("pending", "cut off; goes on from its last checkpoint")
        return self._end(job, progress), progress

    def refresh_all(self) -> None:
        """Settle every job that has ended; the timer's part. One that cannot be is only logged."""
        for status in ("running", "pending"):
            for job in self._store.newest(status=status):
                try:
                    self.refresh(job.id)
                except ChefError as error:
                    log.warning("Job %s: %s", job.id, error)

    def _goes_on(self, job: Job) -> bool:
        """Tell whether a job that was cut off goes on by itself."""
        backend: object = self._backend(job)
        return isinstance(backend, GoesOn) and backend.go_on(_ref(job))

    def _settle(self, job: Job, progress: Progress) -> tuple[Job, Progress]:
        """Write down what a completed job made; one that can never be has failed after all."""
        try:
            result = self._settlers[job.kind](job, progress.result or {})
        except (InputError, ConflictError) as error:
            failure = failure_of(error)
            progress = replace(progress, status="failed", failure=failure, result=None)
            return self._end(job, progress), progress
        return self._end(job, progress, with_seconds(job, result, progress.seconds)), progress

    def _end(self, job: Job, progress: Progress, result: Mapping[str, Any] | None = None) -> Job:
        """Write down how a job ended, and what it cost."""
        return self._write(
            job,
            status=progress.status,
            failure=progress.failure,
            result=result,
            actual_cost_usd=actual_usd(job, progress, self._clock()),
        )

    def _backend(self, job: Job) -> FollowsJobs:
        if job.backend not in self._backends:
            raise NotAvailable(
                f"Backend {job.backend!r} of job {job.id} is not available in this build.",
                remedy="Ask the program that started the job.",
            )
        return self._backends[job.backend]

    def _taken_over(self, job: Job) -> Job:
        """Return a job that runs; write that down when its submitter died before it could."""
        if job.status != "pending" or self._is_being_submitted(job):
            return job
        return self._write(job, status="running", ref=_ref(job))

    def _without_trace(self, job: Job) -> tuple[Job, Progress]:
        """Return how a job stands of which its backend knows nothing (any more)."""
        if job.status not in TERMINAL and not self._is_being_submitted(job):
            if job.status == "pending":
                spent: dict[str, Any] = {"failure": _NEVER_SUBMITTED, "actual_cost_usd": 0.0}
            else:
                spent = {"failure": _LOST}  # nobody knows what it cost: its estimate stands
            job = self._write(job, status="failed", **spent)
        return job, Progress(status=job.status, failure=job.failure)

    def _is_being_submitted(self, job: Job) -> bool:
        return job.status == "pending" and self._clock() - job.created_at < _SUBMIT_SECONDS

    def log_part(self, job_id: str, after: int | None, most: int) -> LogPart:
        """Return lines of a job's log from a place on, or its last ones, as ``ReadsLogs`` does.

        Raises NotFoundError, NotAvailable when this build lacks its backend or only the end of its
        log can be read, UnavailableError.
        """
        job = self._store.get(job_id)
        backend: object = self._backend(job)
        if isinstance(backend, ReadsLogs):
            return backend.log_part(_ref(job), after, most)
        if after is None:
            return LogPart(tuple(self._backend(job).logs(_ref(job), most)), None)
        raise NotAvailable(
            f"Of job {job.id} on {job.backend} only the end of the log can be read.",
            remedy="Ask for its last lines.",
        )

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
            raise NotFoundError(
                f"{agent} has had no job.", remedy=f"Start one (`chef train {agent}`)."
            )
        return job

    def report(self, request: MonitorTrainingJob) -> JobReport:
        """Return where a job stands."""
        job, progress = self.refresh(self.find(request.job_id, request.agent).id)
        result = job.result or {}
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
            tensorboard_url=progress.tensorboard_url,
            estimated_cost_usd=job.estimated_cost_usd,
            requester=job.requester,
            backend=job.backend,
            started_at=job.created_at,
            finished_at=job.finished_at,
            actual_cost_usd=job.actual_cost_usd,
            error=_error(progress.failure),
            notes=result.get("manifest", {}).get("notes", []),
            evaluation=result.get("evaluation"),
            offline=bool(job.request.get("offline")),
            experiment=result.get("experiment"),
            conversion=result.get("conversion"),
            trials=result.get("trials", []),
        )

    def plan_cancel(self, request: CancelTrainingJob, caller: Caller) -> Plan:
        """Plan a cancellation. Raises ConflictError for a job that has ended."""
        job, progress = self.refresh(self.find(request.job_id, request.agent).id)
        if progress.status in TERMINAL:
            raise ConflictError(
                f"Job {job.id} has ended already: {progress.status}.",
                remedy="There is nothing to cancel any more.",
            )

        def cancel() -> JobCancelled:
            self.cancel(job)
            at = self._clock()
            self._audit.append(at, caller.name, "job_cancelled", job.agent, {"job": job.id})
            _, after = self.refresh(job.id)
            return JobCancelled(job_id=job.id, status=after.status)

        async def act(_approval_id: str | None) -> JobCancelled:
            return await anyio.to_thread.run_sync(cancel)

        return Plan(summary=f"Job {job.id} ({job.kind}, {job.agent}) is cancelled.", act=act)

    def plan_resume(self, request: ResumeTrainingJob, caller: Caller) -> Plan:
        """Plan to go on with a training; what it still has to do is its price.

        Raises ConflictError for a job that runs or is completed, NotAvailable for one that is no
        training or whose backend cannot resume, InputError when the month's budget is spent.
        """
        job, progress = self.refresh(self.find(request.job_id, request.agent).id)
        if progress.status not in {"failed", "cancelled"}:
            raise ConflictError(
                f"Job {job.id} is {progress.status}: there is nothing to resume.",
                remedy="Only what failed or was cancelled goes on.",
            )
        backend: object = self._backend(job)
        if job.kind != "training" or not isinstance(backend, Resumes):
            raise NotAvailable(
                f"A job of kind {job.kind!r} on backend {job.backend!r} cannot be resumed.",
                remedy="Start it again.",
            )
        if self.budget is not None:
            self.budget.check(job)
        left = 1 - (progress.progress_pct or 0.0) / 100

        def resume() -> JobResumed:
            at = self._clock()
            reopened = self._reopen(job.id, at)
            self._audit.append(at, caller.name, "job_resumed", job.agent, {"job": job.id})
            try:
                backend.resume(_ref(reopened))
            except ChefError as error:
                failure = failure_of(error)
                self._write(reopened, status="failed", failure=failure, actual_cost_usd=usd(job))
                raise
            _, after = self.refresh(job.id)
            return JobResumed(job_id=job.id, status=after.status)

        async def act(_approval_id: str | None) -> JobResumed:
            return await anyio.to_thread.run_sync(resume)

        return Plan(
            summary=f"Job {job.id} ({job.agent}) goes on from its last checkpoint.",
            act=act,
            cost_usd=job.estimated_cost_usd * left,
            resolved={"job": job.id},
        )

    def _reopen(self, job_id: str, at: float) -> Job:
        """Let a job run again; InputError when the month's budget has no room for it any more."""
        if self.budget is not None:
            return self.budget.readmit(job_id, at)
        return self._store.reopen(job_id, at=at, admit=lambda job, _: resumed(job, at))

    def _write(self, job: Job, **changes: Any) -> Job:
        """Change the stored job, unless another process has just written down its end."""
        try:
            return self._store.update(job.id, at=self._clock(), **changes)
        except ConflictError:
            return self._store.get(job.id)


def failure_of(error: ChefError) -> Failure:
    """Return an error as a job's failure."""
    kind: FailureKind = "bad_spec"
    if isinstance(error, StorageError):
        kind = "disk_full"
    elif isinstance(error, UnavailableError):
        kind = "unavailable"
    return Failure(kind, error.message, error.remedy)


def _ref(job: Job) -> Mapping[str, Any]:
    """Return how the backend finds the job: by the id, and by its own ref once that is known."""
    return {"job_id": job.id, **(job.ref or {})}


def _error(failure: Failure | None) -> JobError | None:
    if failure is None:
        return None
    return JobError(kind=failure.kind, message=failure.message, remedy=failure.remedy)
