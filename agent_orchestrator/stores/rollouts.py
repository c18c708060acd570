"""Rollouts: the present state of each, and every decision with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Boolean, Column, Float, Index, String, Table, select

from agent_orchestrator.domain.rollout import RolloutState
from agent_orchestrator.errors import ConflictError, NotFoundError
from agent_orchestrator.stores.database import SEQUENCE, Database, Json, metadata

_ROLLOUTS = Table(
    "rollouts",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("agent", String, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("state", Json, nullable=False),
)
#: An agent has at most one rollout that has not ended.
Index(
    "one_open_rollout",
    _ROLLOUTS.c.agent,
    unique=True,
    sqlite_where=_ROLLOUTS.c.open,
    postgresql_where=_ROLLOUTS.c.open,
)
_DECISIONS = Table(
    "decisions",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("intent_id", String, nullable=False, unique=True),
    Column("rollout_id", String, nullable=False, index=True),
    Column("at", Float, nullable=False),
    Column("actor", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("message", String, nullable=False),
    Column("evidence", Json, nullable=False),
)
#: Ids of the rollouts that have not ended, for other stores' queries.
OPEN_ROLLOUTS = select(_ROLLOUTS.c.id).where(_ROLLOUTS.c.open)
_STATE: TypeAdapter[RolloutState] = TypeAdapter(RolloutState)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDecision:
    """One entry of a rollout's history. ``at`` is seconds since the epoch."""

    seq: int
    intent_id: str
    rollout_id: str
    at: float
    actor: str
    kind: str
    message: str
    evidence: Mapping[str, Any]


class RolloutStore:
    """The rollouts' tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, state: RolloutState, at: float) -> None:
        """Insert or replace a rollout's state; repeatable.

        Raises ConflictError for a second rollout of an agent while one has not ended.
        """
        values = {
            "agent": state.agent,
            "open": state.ended_at is None,
            "started_at": state.started_at,
            "updated_at": at,
            "state": _STATE.dump_python(state, mode="json"),
        }
        with self._database.write() as connection:
            other = select(_ROLLOUTS.c.id).where(
                _ROLLOUTS.c.agent == state.agent, _ROLLOUTS.c.open, _ROLLOUTS.c.id != state.id
            )
            running = connection.execute(other).scalar()
            if running is not None and values["open"]:
                raise ConflictError(
                    f"Rollout {running} of {state.agent} has not ended.",
                    remedy="Promote it, roll it back or wait.",
                )
            update = _ROLLOUTS.update().where(_ROLLOUTS.c.id == state.id).values(**values)
            if not connection.execute(update).rowcount:
                connection.execute(_ROLLOUTS.insert().values(id=state.id, **values))

    def find(self, rollout_id: str) -> RolloutState | None:
        """Return a rollout; None when there is none of that id."""
        return self._first(_ROLLOUTS.c.id == rollout_id)

    def get(self, rollout_id: str) -> RolloutState:
        """Return a rollout. Raises NotFoundError."""
        state = self.find(rollout_id)
        if state is None:
            raise NotFoundError(f"No rollout {rollout_id!r}.", remedy="List the agent's rollouts.")
        return state

    def running(self, agent: str) -> RolloutState | None:
        """Return the agent's rollout that has not ended; None without one."""
        return self._first(_ROLLOUTS.c.agent == agent, _ROLLOUTS.c.open)

    def latest(self, agent: str) -> RolloutState | None:
        """Return the agent's newest rollout, ended or not; None without one."""
        return self._first(_ROLLOUTS.c.agent == agent)

    def of(self, agent: str) -> list[RolloutState]:
        """Return all rollouts that the agent ever had, oldest first."""
        query = (
            select(_ROLLOUTS.c.state).where(_ROLLOUTS.c.agent == agent).order_by(_ROLLOUTS.c.seq)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()  # a cursor that is left open keeps its snapshot
        return [_STATE.validate_python(row.state) for row in rows]

    def newest(self, agent: str | None = None, limit: int = 1000) -> list[RolloutState]:
        """Return the rollouts of all agents or of one, newest first."""
        query = select(_ROLLOUTS.c.state).order_by(_ROLLOUTS.c.seq.desc()).limit(limit)
        if agent is not None:
            query = query.where(_ROLLOUTS.c.agent == agent)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [_STATE.validate_python(row.state) for row in rows]

    def open(self) -> list[RolloutState]:
        """Return all rollouts that have not ended."""
        query = select(_ROLLOUTS.c.state).where(_ROLLOUTS.c.open).order_by(_ROLLOUTS.c.seq)
        with self._database.read() as connection:
            rows = connection.execute(query).all()  # a cursor that is left open keeps its snapshot
        return [_STATE.validate_python(row.state) for row in rows]

    def append_decision(
        self,
        rollout_id: str,
        *,
        intent_id: str,
        at: float,
        actor: str,
        kind: str,
        message: str,
        evidence: Mapping[str, Any],
    ) -> None:
        """Add a decision to a rollout's history, once for each intent."""
        with self._database.write() as connection:
            known = select(_DECISIONS.c.seq).where(_DECISIONS.c.intent_id == intent_id)
            if connection.execute(known).first() is not None:
                return
            connection.execute(
                _DECISIONS.insert().values(
                    intent_id=intent_id,
                    rollout_id=rollout_id,
                    at=at,
                    actor=actor,
                    kind=kind,
                    message=message,
                    evidence=dict(evidence),
                )
            )

    def decisions(self, rollout_id: str) -> list[RecordedDecision]:
        """Return a rollout's history, oldest first."""
        query = (
            select(_DECISIONS)
            .where(_DECISIONS.c.rollout_id == rollout_id)
            .order_by(_DECISIONS.c.seq)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [RecordedDecision(**row) for row in rows]

    def _first(self, *conditions: Any) -> RolloutState | None:
        query = (
            select(_ROLLOUTS.c.state).where(*conditions).order_by(_ROLLOUTS.c.seq.desc()).limit(1)
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else _STATE.validate_python(row.state)
