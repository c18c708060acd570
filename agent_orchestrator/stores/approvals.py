"""Approvals: each answered once and spent once, however many try."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Column, Connection, Float, RowMapping, String, Table, select

from agent_orchestrator.domain.approvals import (
    Approval,
    check_answerable,
    check_cancellable,
    check_pending,
    check_usable,
)
from agent_orchestrator.errors import ApprovalDenied, NotFoundError
from agent_orchestrator.stores.database import SEQUENCE, Database, Json, metadata

_APPROVALS = Table(
    "approvals",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("use_case", String, nullable=False),
    Column("request", Json, nullable=False),
    Column("request_hash", String, nullable=False),
    Column("summary", String, nullable=False),
    Column("price_ceiling_usd", Float, nullable=False),
    Column("requester", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("status", String, nullable=False),
    Column("approver", String),
    Column("reason", String, nullable=False),
    Column("answered_at", Float),
    Column("consumed_at", Float),
    Column("details", Json, nullable=False, server_default="{}"),
    Column("editors", Json, nullable=False, server_default="[]"),
    Column("edited_from", String),
    Column("replaced_by", String),
)
_APPROVAL: TypeAdapter[Approval] = TypeAdapter(Approval)


class ApprovalStore:
    """The approvals' table. Checking and changing happen in one write transaction.

    What has expired is marked so whenever something is written: a clock that is set back later
    does not bring it to life again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, approval: Approval) -> None:
        """Add an approval that waits for its answer."""
        self._expire(approval.created_at)
        with self._database.write() as connection:
            _insert(connection, approval)

    def get(self, approval_id: str) -> Approval:
        """Return an approval. Raises NotFoundError."""
        with self._database.read() as connection:
            return _get(connection, approval_id)

    def pending(self, now: float) -> list[Approval]:
        """Return those that wait and have not expired, oldest first."""
        query = (
            select(_APPROVALS)
            .where(_APPROVALS.c.status == "pending", _APPROVALS.c.expires_at > now)
            .order_by(_APPROVALS.c.seq)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [_approval(row) for row in rows]

    def recent(self, limit: int) -> list[Approval]:
        """Return the newest, however they ended, newest first."""
        query = select(_APPROVALS).order_by(_APPROVALS.c.seq.desc()).limit(limit)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [_approval(row) for row in rows]

    def answer(
        self,
        approval_id: str,
        *,
        approve: bool,
        approver: str,
        reason: str,
        now: float,
        requester_may_approve: bool,
    ) -> Approval:
        """Approve or reject. Raises NotFoundError, ApprovalDenied (see ``check_answerable``)."""
        self._expire(now)
        with self._database.write() as connection:
            approval = _get(connection, approval_id)
            check_answerable(approval, approver, now, requester_may_approve=requester_may_approve)
            return _change(
                connection,
                approval,
                status="approved" if approve else "rejected",
                approver=approver,
                reason=reason,
                answered_at=now,
            )

    def replace(
        self, approval_id: str, successor: Approval, *, editor: str, reason: str
    ) -> Approval:
        """Put an edited request in the place of one that waits; return the new one, which waits.

        Raises NotFoundError, ApprovalDenied (see ``check_pending``).
        """
        now = successor.created_at
        self._expire(now)
        with self._database.write() as connection:
            approval = _get(connection, approval_id)
            check_pending(approval, editor, now)
            _insert(connection, successor)
            _change(
                connection,
                approval,
                status="edited",
                approver=editor,
                reason=reason,
                answered_at=now,
                replaced_by=successor.id,
            )
            return _get(connection, successor.id)

    def cancel(
        self, approval_id: str, *, by: str, administers: bool, reason: str, now: float
    ) -> Approval:
        """Take it back. Raises NotFoundError, ApprovalDenied (see ``check_cancellable``)."""
        self._expire(now)
        with self._database.write() as connection:
            approval = _get(connection, approval_id)
            check_cancellable(approval, by, now, administers=administers)
            return _change(connection, approval, status="cancelled", reason=reason)

    def consume(
        self,
        approval_id: str,
        *,
        by: str,
        use_case: str,
        request_hash: str,
        price_usd: float,
        now: float,
    ) -> Approval:
        """Spend it. Raises NotFoundError, ApprovalDenied (see ``check_usable``)."""
        self._expire(now)
        with self._database.write() as connection:
            approval = _get(connection, approval_id)
            check_usable(
                approval,
                who=by,
                use_case=use_case,
                request_hash=request_hash,
                price_usd=price_usd,
                now=now,
            )
            return _change(connection, approval, status="consumed", consumed_at=now)

    def _expire(self, now: float) -> None:
        """Mark what has expired, in a transaction that stands whatever the next one finds."""
        lapsed = (_APPROVALS.c.status.in_(("pending", "approved")), _APPROVALS.c.expires_at <= now)
        with self._database.write() as connection:
            connection.execute(_APPROVALS.update().where(*lapsed).values(status="expired"))


def _insert(connection: Connection, approval: Approval) -> None:
    connection.execute(_APPROVALS.insert().values(_APPROVAL.dump_python(approval, mode="json")))


def _get(connection: Connection, approval_id: str) -> Approval:
    query = select(_APPROVALS).where(_APPROVALS.c.id == approval_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFoundError(
            f"No approval {approval_id!r}.", remedy="See what waits (`chef approvals`)."
        )
    return _approval(row)


def _approval(row: RowMapping) -> Approval:
    return _APPROVAL.validate_python({name: row[name] for name in row if name != "seq"})


def _change(connection: Connection, approval: Approval, **values: Any) -> Approval:
    """Change an approval that is still as it was read; of two at once, one finds it changed.

    SQLite's one writer already sees to that; a database with several needs the condition.
    """
    same = (_APPROVALS.c.id == approval.id, _APPROVALS.c.status == approval.status)
    if not connection.execute(_APPROVALS.update().where(*same).values(**values)).rowcount:
        raise ApprovalDenied(f"Approval {approval.id} was used just now.", remedy="Ask again.")
    return _get(connection, approval.id)
