"""Jobs: what was asked, where it went, how it ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Column, Connection, Float, Index, RowMapping, Select, String, Table, select

from agent_orchestrator.domain.jobs import TERMINAL, Failure, Job, JobKind, JobStatus
from agent_orchestrator.errors import ConflictError, NotFoundError
from agent_orchestrator.stores import job_events
from agent_orchestrator.stores.database import SEQUENCE, Database, Json, metadata

_JOBS = Table(
    "jobs",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("status", String, nullable=False),
    Column("backend", String, nullable=False),
    Column("request", Json, nullable=False),
    Column("requester", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("ref", Json, nullable=False),
    Column("estimated_cost_usd", Float, nullable=False),
    Column("estimated_minutes", Float, nullable=False),
    Column("actual_cost_usd", Float),
    Column("approval_id", String),
    Column("finished_at", Float),
    Column("result", Json),
    Column("failure", Json),
    Index("jobs_by_agent", "agent", "seq"),
    Index("jobs_by_status", "status"),
)
_JOB: TypeAdapter[Job] = TypeAdapter(Job)


class JobStore:
    """The jobs' table. Methods block and raise LockTimeout or StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        job: Job,
        *,
        since: float = 0.0,
        admit: Callable[[Sequence[Job]], None] | None = None,
    ) -> None:
        """Add a job. Raises ConflictError when the id exists, and what ``admit`` raises.

        ``admit`` is shown the jobs that were changed from ``since`` on (seconds since the epoch);
        nobody else adds or reopens one meanwhile.
        """
        with self._database.write() as connection:
            if admit is not None:
                admit(_changed(connection, since))
            found = connection.execute(select(_JOBS.c.id).where(_JOBS.c.id == job.id)).first()
            if found is not None:
                raise ConflictError(
                    f"Job {job.id} exists already.", remedy="Ask again: ids are random."
                )
            connection.execute(_JOBS.insert().values(_JOB.dump_python(job, mode="json")))
            job_events.record(connection, job)

    def get(self, job_id: str) -> Job:
        """Return a job. Raises NotFoundError."""
        with self._database.read() as connection:
            row = connection.execute(select(_JOBS).where(_JOBS.c.id == job_id)).mappings().first()
        if row is None:
            raise NotFoundError(f"No job {job_id!r}.", remedy="See the list of jobs (`chef jobs`).")
        return _job(row)

    def update(
        self,
        job_id: str,
        *,
        at: float,
        status: JobStatus | None = None,
        ref: Mapping[str, Any] | None = None,
        result: Mapping[str, Any] | None = None,
        failure: Failure | None = None,
        actual_cost_usd: float | None = None,
    ) -> Job:
        """Change what is given and return the job; another status is an event.

        A job that has ended does not change any more. Raises NotFoundError, ConflictError.
        """
        given = {
            "status": status,
            "ref": dict(ref) if ref is not None else None,
            "result": dict(result) if result is not None else None,
            "failure": asdict(failure) if failure else None,
            "actual_cost_usd": actual_cost_usd,
            "finished_at": at if status in TERMINAL else None,
        }
        values = {name: value for name, value in given.items() if value is not None}
        one = _JOBS.c.id == job_id
        with self._database.write() as connection:
            before = connection.execute(select(_JOBS.c.status).where(one)).scalar()
            changed = connection.execute(
                _JOBS.update()
                .where(one, _JOBS.c.status.not_in(TERMINAL))
                .values(updated_at=at, **values)
            ).rowcount
            row = connection.execute(select(_JOBS).where(one)).mappings().first()
            if row is not None and row["status"] != before:
                job_events.record(connection, _job(row))
        if row is None:
            raise NotFoundError(f"No job {job_id!r}.", remedy="See the list of jobs (`chef jobs`).")
        if not changed:
            raise ConflictError(
                f"Job {job_id} has ended already: {row['status']}.", remedy="Look how it ended."
            )
        return _job(row)

    def reopen(
        self,
        job_id: str,
        *,
        at: float,
        since: float = 0.0,
        admit: Callable[[Job, Sequence[Job]], Mapping[str, Any]] | None = None,
    ) -> Job:
        """Let a job that failed or was cancelled run again; return it.

        ``admit`` is shown the job and those that were changed from ``since`` on, and returns the
        job's request as it is from now on; nobody else adds or reopens one meanwhile. Raises
        NotFoundError, ConflictError for one that runs or is completed, and what ``admit`` raises.
        """
        one = _JOBS.c.id == job_id
        with self._database.write() as connection:
            row = connection.execute(select(_JOBS).where(one)).mappings().first()
            if row is None:
                raise NotFoundError(
                    f"No job {job_id!r}.", remedy="See the list of jobs (`chef jobs`)."
                )
            job = _job(row)
            if job.status not in ("failed", "cancelled"):
                raise ConflictError(
                    f"Job {job_id} is {job.status}: there is nothing to resume.",
                    remedy="Only what failed or was cancelled goes on.",
                )
            request = admit(job, _changed(connection, since)) if admit else job.request
            nothing = dict.fromkeys(("failure", "finished_at", "actual_cost_usd"))
            connection.execute(
                _JOBS.update()
                .where(one)
                .values(status="running", request=dict(request), updated_at=at, **nothing)
            )
            again = _job(connection.execute(select(_JOBS).where(one)).mappings().one())
            job_events.record(connection, again)
        return again

    def latest_for_agent(self, agent: str, kind: JobKind | None = None) -> Job | None:
        """Return the agent's newest job, of one kind or of any; None without one.

        A search's trials are found by their kind, or through the search.
        """
        query = select(_JOBS).where(_JOBS.c.agent == agent)
        if kind is not None:
            query = query.where(_JOBS.c.kind == kind)
        else:
            query = query.where(_JOBS.c.kind != "trial")
        found = self._fetch(query, limit=1)
        return found[0] if found else None

    def newest(
        self, *, agent: str | None = None, status: JobStatus | None = None, limit: int = 1000
    ) -> list[Job]:
        """Return the jobs, newest first."""
        query = select(_JOBS)
        if agent is not None:
            query = query.where(_JOBS.c.agent == agent)
        if status is not None:
            query = query.where(_JOBS.c.status == status)
        return self._fetch(query, limit)

    def since(self, at: float) -> list[Job]:
        """Return the jobs changed from ``at`` on (seconds since the epoch), newest first."""
        return self._fetch(_since(at), limit=None)

    def of(self, job_ids: Collection[str]) -> list[Job]:
        """Return those of the jobs that there are, newest first."""
        return self._fetch(select(_JOBS).where(_JOBS.c.id.in_(job_ids)), limit=None)

    def completed(self, *kinds: JobKind) -> list[Job]:
        """Return the completed jobs of some kinds, newest first, at most 1,000."""
        query = select(_JOBS).where(_JOBS.c.kind.in_(kinds), _JOBS.c.status == "completed")
        return self._fetch(query, limit=1000)

    def _fetch(self, query: Select[Any], limit: int | None) -> list[Job]:
        ordered = query.order_by(_JOBS.c.seq.desc()).limit(limit)
        with self._database.read() as connection:
            rows = connection.execute(ordered).mappings().all()
        return [_job(row) for row in rows]


def _since(at: float) -> Select[Any]:
    return select(_JOBS).where(_JOBS.c.updated_at >= at)


def _changed(connection: Connection, since: float) -> list[Job]:
    return [_job(row) for row in connection.execute(_since(since)).mappings()]


def _job(row: RowMapping) -> Job:
    return _JOB.validate_python({name: row[name] for name in row if name != "seq"})
