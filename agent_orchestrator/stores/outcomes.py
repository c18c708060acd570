"""Outcomes and feedback in the order in which they came in: what every verdict reads.

One writer at a time (``Database.write``) means that sequence numbers are given in commit order: a
reader that has seen number n has seen everything up to n, and reading again gives the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    Select,
    String,
    Table,
    UniqueConstraint,
    delete,
    func,
    select,
)

from agent_orchestrator.domain.outcomes import Feedback, Judged, Outcome, Recorded
from agent_orchestrator.errors import ConflictError, InputError, NotFoundError
from agent_orchestrator.stores.database import SEQUENCE, Database, metadata
from agent_orchestrator.stores.rollouts import OPEN_ROLLOUTS

_OUTCOMES = Table(
    "outcomes",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("request_id", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("agent", String, nullable=False),
    Column("task_id", String, nullable=False),
    Column("model", String, nullable=False),
    Column("arm", String, nullable=False),
    Column("version", String),
    Column("rollout_id", String),
    Column("latency_ms", Float, nullable=False),
    Column("error", String),
    Column("valid_output", Boolean),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("role", String, nullable=False),
    UniqueConstraint("request_id", "attempt"),
    Index("outcomes_by_rollout", "rollout_id", "seq"),
    sqlite_autoincrement=True,  # a number is never given twice, also after pruning
)
_FEEDBACK = Table(
    "feedback",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("request_id", String, nullable=False),
    Column("source", String, nullable=False),
    Column("score", Float, nullable=False),
    Column("at", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("outcome_seq", Integer, nullable=False),
    Column("rollout_id", String),
    Column("arm", String, nullable=False),
    Column("version", String),
    UniqueConstraint("request_id", "source", "arm"),
    Index("feedback_by_rollout", "rollout_id", "seq"),
    sqlite_autoincrement=True,
)
_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)


@dataclass(frozen=True, slots=True)
class ArmCount:
    """How many requests one arm had in a rollout."""

    requests: int
    errors: int


class OutcomeStore:
    """The tables of outcomes and feedback."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append_many(self, outcomes: Sequence[Outcome]) -> int:
        """Add outcomes in their order and return how many were new: all of them or none.

        An outcome that is there already (same request and attempt) is left as it is, so a batch
        whose fate is unknown may be sent again.
        """
        if not outcomes:
            return 0
        ids = {outcome.request_id for outcome in outcomes}
        columns = (_OUTCOMES.c.request_id, _OUTCOMES.c.attempt)
        with self._database.write() as connection:
            query = select(*columns).where(_OUTCOMES.c.request_id.in_(ids))
            known = {tuple(row) for row in connection.execute(query)}
            fresh = []
            for outcome in outcomes:
                key = (outcome.request_id, outcome.attempt)
                if key not in known:
                    known.add(key)
                    fresh.append(asdict(outcome))
            if fresh:
                connection.execute(_OUTCOMES.insert(), fresh)
        return len(fresh)

    def add_feedback(self, feedback: Feedback) -> None:
        """Add a judgement on an answer: that of the arm it names, else the one that was served.

        Raises InputError for a score outside 0..1, NotFoundError for a request that nobody (or not
        that arm) has answered, ConflictError for a second judgement of the same source.
        """
        if not 0.0 <= feedback.score <= 1.0:
            raise InputError(
                f"score is {feedback.score!r}.", remedy="Use a number from 0 (bad) to 1 (good)."
            )
        with self._database.write() as connection:
            attempt = connection.execute(_judged_attempt(feedback)).mappings().first()
            if attempt is None:
                raise NotFoundError(
                    f"No answered request {feedback.request_id!r}.",
                    remedy="Send the X-Request-Id of an answer.",
                )
            row = {**asdict(feedback), **attempt}
            given = select(_FEEDBACK.c.seq).where(
                *(_FEEDBACK.c[key] == row[key] for key in ("request_id", "source", "arm"))
            )
            if connection.execute(given).first() is not None:
                raise ConflictError(
                    f"{feedback.source!r} has judged request {feedback.request_id!r} already."
                )
            connection.execute(_FEEDBACK.insert().values(**row))

    def outcomes_after(self, rollout_id: str, seq: int, limit: int) -> list[Recorded]:
        """Return a rollout's outcomes after number ``seq``, in order, at most ``limit``."""
        query = (
            select(_OUTCOMES)
            .where(_OUTCOMES.c.rollout_id == rollout_id, _OUTCOMES.c.seq > seq)
            .order_by(_OUTCOMES.c.seq)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        return [Recorded(row.pop("seq"), _OUTCOME.validate_python(row)) for row in rows]

    def feedback_after(self, rollout_id: str, seq: int, limit: int) -> list[Judged]:
        """Return a rollout's judgements after number ``seq``, in order, at most ``limit``."""
        columns = (_FEEDBACK.c[field.name] for field in fields(Judged))
        query = (
            select(*columns)
            .where(_FEEDBACK.c.rollout_id == rollout_id, _FEEDBACK.c.seq > seq)
            .order_by(_FEEDBACK.c.seq)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [Judged(**row) for row in connection.execute(query).mappings()]

    def position(self) -> tuple[int, int]:
        """Return the last sequence numbers of outcomes and of feedback; 0 when there is none."""
        with self._database.read() as connection:
            outcome = connection.execute(select(func.max(_OUTCOMES.c.seq))).scalar()
            feedback = connection.execute(select(func.max(_FEEDBACK.c.seq))).scalar()
        return outcome or 0, feedback or 0

    def arm_counts(self, rollout_id: str) -> dict[str, ArmCount]:
        """Return arm → its first attempts in a rollout, and how many of them failed."""
        query = (
            select(_OUTCOMES.c.arm, func.count(), func.count(_OUTCOMES.c.error))
            .where(_OUTCOMES.c.rollout_id == rollout_id, _OUTCOMES.c.attempt == 0)
            .group_by(_OUTCOMES.c.arm)
        )
        with self._database.read() as connection:
            return {arm: ArmCount(n, errors) for arm, n, errors in connection.execute(query)}

    def prune(self, before: float) -> int:
        """Remove what ended before ``before`` (seconds since the epoch); return how many rows.

        What belongs to a rollout that has not ended stays: its verdict must be able to read all
        of it again.
        """
        with self._database.write() as connection:
            removed = [
                connection.execute(
                    delete(table).where(
                        table.c.at < before,
                        func.coalesce(table.c.rollout_id, "").not_in(OPEN_ROLLOUTS),
                    )
                ).rowcount
                for table in (_OUTCOMES, _FEEDBACK)
            ]
        return sum(removed)


def _judged_attempt(feedback: Feedback) -> Select[Any]:
    """Select the attempt whose answer ``feedback`` is about, with what a judgement needs of it."""
    columns = (_OUTCOMES.c.rollout_id, _OUTCOMES.c.arm, _OUTCOMES.c.version)
    whose = _OUTCOMES.c.role == "serve" if feedback.arm is None else _OUTCOMES.c.arm == feedback.arm
    return (
        select(_OUTCOMES.c.seq.label("outcome_seq"), *columns)
        .where(_OUTCOMES.c.request_id == feedback.request_id, _OUTCOMES.c.error.is_(None), whose)
        .order_by(_OUTCOMES.c.attempt.desc())
    )
