"""What became of jobs, as events in their order: for whoever wants to be told.

An event is written in the transaction that changes the job's status, so that there is one exactly
where something changed. A reader remembers the last ``seq`` it has seen and asks for what came
after; nobody has to be there when it happens.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter
from sqlalchemy import Column, Connection, Float, Index, String, Table, func, select

from agent_orchestrator.domain.jobs import Job, JobEvent, registers
from agent_orchestrator.stores.database import SEQUENCE, Database, metadata

_EVENTS = Table(
    "job_events",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("job_id", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("backend", String, nullable=False),
    Column("requester", String, nullable=False),
    Column("status", String, nullable=False),
    Column("message", String, nullable=False),
    Index("job_events_by_requester", "requester", "seq"),
)
_EVENT: TypeAdapter[JobEvent] = TypeAdapter(JobEvent)


def record(connection: Connection, job: Job) -> None:
    """Add the event that a job has come to its status, in the transaction that says so."""
    values = {
        "at": job.updated_at,
        "job_id": job.id,
        "kind": job.kind,
        "agent": job.agent,
        "backend": job.backend,
        "requester": job.requester,
        "status": job.status,
        "message": _message(job),
    }
    connection.execute(_EVENTS.insert().values(values))


def _message(job: Job) -> str:
    """Return what there is to say beside the status: the diagnosis, or the version."""
    if job.failure is not None:
        return f"{job.failure.kind}: {job.failure.message} {job.failure.remedy}".strip()
    version = (job.result or {}).get("version")
    return f"registered as {version}" if version and registers(job.kind) else ""


class JobEventStore:
    """Reads the events. Methods block and raise LockTimeout, StorageError or UnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self) -> int:
        """Return the ``seq`` of the newest event, 0 without any."""
        with self._database.read() as connection:
            found: int | None = connection.execute(select(func.max(_EVENTS.c.seq))).scalar()
        return found or 0

    def after(
        self,
        seq: int,
        *,
        agent: str | None = None,
        requester: str | None = None,
        limit: int = 1000,
    ) -> Sequence[JobEvent]:
        """Return the events after ``seq``, oldest first: all, an agent's, or a requester's."""
        query = select(_EVENTS).where(_EVENTS.c.seq > seq).order_by(_EVENTS.c.seq).limit(limit)
        if agent is not None:
            query = query.where(_EVENTS.c.agent == agent)
        if requester is not None:
            query = query.where(_EVENTS.c.requester == requester)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [_EVENT.validate_python(dict(row)) for row in rows]
