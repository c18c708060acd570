"""The audit log: who did what, append-only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Float, String, Table, func, select

from agent_orchestrator.stores.database import SEQUENCE, Database, Json, metadata

_AUDIT = Table(
    "audit",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("detail", Json, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that was done. ``at`` is seconds since the epoch."""

    seq: int
    at: float
    actor: str
    action: str
    subject: str
    """The agent, job or approval that it was done to."""
    detail: Mapping[str, Any]


class AuditLog:
    """The audit table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(
        self, at: float, actor: str, action: str, subject: str, detail: Mapping[str, Any]
    ) -> None:
        """Add one entry."""
        values = {"at": at, "actor": actor, "action": action, "subject": subject}
        with self._database.write() as connection:
            connection.execute(_AUDIT.insert().values(**values, detail=dict(detail)))

    def last(self) -> int:
        """Return the ``seq`` of the newest entry, 0 without any."""
        with self._database.read() as connection:
            found: int | None = connection.execute(select(func.max(_AUDIT.c.seq))).scalar()
        return found or 0

    def after(self, seq: int, limit: int = 1000) -> list[AuditEntry]:
        """Return the entries after ``seq``, oldest first."""
        query = select(_AUDIT).where(_AUDIT.c.seq > seq).order_by(_AUDIT.c.seq).limit(limit)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [AuditEntry(**row) for row in rows]

    def tail(self, limit: int) -> list[AuditEntry]:
        """Return the newest entries, oldest first."""
        query = select(_AUDIT).order_by(_AUDIT.c.seq.desc()).limit(limit)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [AuditEntry(**row) for row in reversed(rows)]
