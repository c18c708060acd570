"""Outcomes and feedback in the order in which they came in: what every verdict reads.

One writer at a time (``Database.write``) means that sequence numbers are given in commit order: a
reader that has seen number n has seen everything up to n, and reading again gives the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    delete,
    func,
    or_,
    select,
    text,
)

from agent_orchestrator.domain.latencies import QUANTILES, Latencies, rank
from agent_orchestrator.domain.outcomes import Feedback, Judged, Outcome, Recorded
from agent_orchestrator.errors import ChefError, ConflictError, InputError, NotFoundError
from agent_orchestrator.stores.backend import Rows
from agent_orchestrator.stores.database import SEQUENCE, Database, metadata
from agent_orchestrator.stores.rollouts import OPEN_ROLLOUTS

_JUDGED_ONCE = ("request_id", "source", "arm")
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
    Column("after_outcome", Integer, nullable=False, server_default=text("0")),
    UniqueConstraint(*_JUDGED_ONCE),
    Index("feedback_by_rollout", "rollout_id", "seq"),
    sqlite_autoincrement=True,
)
_JUDGEMENT = (
    *("request_id", "source", "score", "at", "kind"),
    *("outcome_seq", "rollout_id", "arm", "version", "after_outcome"),
)
_FIELDS = tuple(field.name for field in fields(Outcome))
_VALUES = attrgetter(*_FIELDS)
_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)


def _rest() -> None:
    time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class ArmCount:
    """How many requests one arm had in a rollout."""

    requests: int
    errors: int


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a judgement needs of the attempt that it is about."""

    request_id: str
    seq: int
    rollout_id: str | None
    arm: str
    version: str | None
    role: str


class OutcomeStore:
    """The tables of outcomes and feedback."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append_many(self, outcomes: Sequence[Outcome]) -> int:
        """Add outcomes in their order and return how many were new: all of them or none.

        An outcome that is there already (same request and attempt) is left as it is, so a batch
        whose fate is unknown may be sent again.
        """
        rows = Rows(_FIELDS, [_row(outcome) for outcome in outcomes])
        with self._database.write() as connection:
            return self._database.insert_new(connection, _OUTCOMES, ("request_id", "attempt"), rows)

    def add_feedback(self, feedback: Feedback) -> None:
        """Add a judgement on an answer: that of the arm it names, else the one that was served.

        Raises InputError for a score outside 0..1 or a text that no database holds, NotFoundError
        for a request that nobody (or not that arm) has answered, ConflictError for a second
        judgement of the same source.
        """
        (refused,) = self.add_feedback_many([feedback])
        if refused is not None:
            raise refused

    def add_feedback_many(self, judgements: Sequence[Feedback]) -> list[ChefError | None]:
        """Add judgements in their order; return for each None, or why it is not added.

        The errors are those of ``add_feedback``. Raises only when the database cannot be used.
        """
        refused = [_flaw(feedback) for feedback in judgements]
        sound = [feedback for feedback, flaw in zip(judgements, refused, strict=True) if not flaw]
        if not sound:
            return refused
        with self._database.write() as connection:
            ids = {feedback.request_id for feedback in sound}
            answers = _answers(connection, ids)
            given = _judged(connection, ids)
            last = connection.execute(select(func.max(_OUTCOMES.c.seq))).scalar() or 0
            rows = []
            for place, feedback in enumerate(judgements):
                if refused[place] is not None:
                    continue
                answer = _answer_to(feedback, answers[feedback.request_id])
                if answer is None:
                    refused[place] = NotFoundError(
                        f"No answered request {feedback.request_id!r}.",
                        remedy="Send the X-Request-Id of an answer.",
                    )
                    continue
                key = (feedback.request_id, feedback.source, answer.arm)
                if key in given:
                    refused[place] = ConflictError(
                        f"{feedback.source!r} has judged request {feedback.request_id!r} already.",
                        remedy="The first judgement counts.",
                    )
                    continue
                given.add(key)
                rows.append((*_judgement(feedback, answer), last))
            self._database.insert_new(connection, _FEEDBACK, _JUDGED_ONCE, Rows(_JUDGEMENT, rows))
        return refused

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
            rows = connection.execute(query).mappings().all()
        return [Judged(**row) for row in rows]

    def position(self) -> tuple[int, int]:
        """Return the last sequence numbers of outcomes and of feedback; 0 when there is none."""
        with self._database.read() as connection:
            outcome = connection.execute(select(func.max(_OUTCOMES.c.seq))).scalar()
            feedback = connection.execute(select(func.max(_FEEDBACK.c.seq))).scalar()
        return outcome or 0, feedback or 0

    def arm_counts(self, rollout_id: str) -> dict[str, ArmCount]:
        """Return arm → what it was asked in a rollout, and how much of that failed.

        What only failed over to it does not count; what its clients abandoned is no failure.
        """
        failed = func.nullif(_OUTCOMES.c.error, "abandoned")
        own = or_(_OUTCOMES.c.attempt == 0, _OUTCOMES.c.role != "serve")
        query = (
            select(_OUTCOMES.c.arm, func.count(), func.count(failed))
            .where(_OUTCOMES.c.rollout_id == rollout_id, own)
            .group_by(_OUTCOMES.c.arm)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return {arm: ArmCount(n, errors) for arm, n, errors in rows}

    def latencies(self, rollout_id: str, after: int) -> dict[str, Latencies]:
        """Return arm → exact quantiles, in milliseconds, of its answers after number ``after``.

        An attempt that failed has no answer, and an arm without one is left out.
        """
        answered = (
            _OUTCOMES.c.rollout_id == rollout_id,
            _OUTCOMES.c.seq > after,
            _OUTCOMES.c.error.is_(None),
        )
        arms = select(_OUTCOMES.c.arm, func.count()).where(*answered).group_by(_OUTCOMES.c.arm)
        found = {}
        with self._database.read() as connection:
            for arm, count in connection.execute(arms).all():
                ordered = (
                    select(_OUTCOMES.c.latency_ms)
                    .where(*answered, _OUTCOMES.c.arm == arm)
                    .order_by(_OUTCOMES.c.latency_ms)
                    .limit(1)
                )
                places = [rank(quantile, count) for quantile in QUANTILES]
                values = [connection.execute(ordered.offset(n)).scalar_one() for n in places]
                found[arm] = Latencies(*values)
        return found

    def prune(self, before: float, *, batch: int = 1000, rest: Callable[[], None] = _rest) -> int:
        """Remove what ended before ``before`` (seconds since the epoch); return how many rows.

        What belongs to a rollout that has not ended stays: its verdict must be able to read all
        of it again. Goes from the oldest on in transactions of ``batch`` rows, with a ``rest`` in
        between for other writers, up to where a whole batch is new enough.
        """
        return sum(self._prune(table, before, batch, rest) for table in (_OUTCOMES, _FEEDBACK))

    def _prune(self, table: Table, before: float, batch: int, rest: Callable[[], None]) -> int:
        removed = done = 0
        order, at = table.c.seq, table.c.at
        ended = func.coalesce(table.c.rollout_id, "").not_in(OPEN_ROLLOUTS)
        while True:
            page = select(order, at).where(order > done).order_by(order).limit(batch)
            with self._database.write() as connection:
                rows = connection.execute(page).all()
                if all(row.at >= before for row in rows):
                    return removed
                old = (order > done, order <= rows[-1].seq, at < before, ended)
                removed += connection.execute(delete(table).where(*old)).rowcount
            done = rows[-1].seq
            rest()


def _row(outcome: Outcome) -> tuple[Any, ...]:
    if not _is_storable(
        outcome.task_id
    ):  # it is a client's text; an outcome must not be lost by it
        text = outcome.task_id.replace("\0", "?").encode(errors="replace").decode()
        outcome = replace(outcome, task_id=text)
    values: tuple[Any, ...] = _VALUES(outcome)
    return values


def _is_storable(text: str) -> bool:
    """Return whether both databases take a text: no zero byte, no half of a surrogate pair."""
    if text.isascii():
        return "\0" not in text
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def _flaw(feedback: Feedback) -> ChefError | None:
    """Return what is wrong with a judgement in itself."""
    if not 0.0 <= feedback.score <= 1.0:
        return InputError(
            f"score is {feedback.score!r}.", remedy="Use a number from 0 (bad) to 1 (good)."
        )
    for name in ("request_id", "source", "arm"):
        text = getattr(feedback, name)
        if text is not None and not _is_storable(text):
            return InputError(f"{name} is {text!r}.", remedy="Use text that can be stored.")
    return None


def _answers(connection: Connection, request_ids: Collection[str]) -> dict[str, list[_Answer]]:
    """Return request id → its attempts that brought an answer, in order."""
    query = (
        select(*(_OUTCOMES.c[field.name] for field in fields(_Answer)))
        .where(_OUTCOMES.c.request_id.in_(request_ids), _OUTCOMES.c.error.is_(None))
        .order_by(_OUTCOMES.c.attempt)
    )
    found: dict[str, list[_Answer]] = {request_id: [] for request_id in request_ids}
    for row in connection.execute(query):
        found[row.request_id].append(_Answer(*row))
    return found


def _answer_to(feedback: Feedback, answers: Sequence[_Answer]) -> _Answer | None:
    """Return the answer that a judgement is about: the arm's that it names, else the served one."""
    for answer in reversed(answers):
        if answer.role == "serve" if feedback.arm is None else answer.arm == feedback.arm:
            return answer
    return None


def _judged(connection: Connection, request_ids: Collection[str]) -> set[tuple[str, ...]]:
    """Return the judgements that requests have: request id, source, arm."""
    columns = (_FEEDBACK.c[name] for name in _JUDGED_ONCE)
    query = select(*columns).where(_FEEDBACK.c.request_id.in_(request_ids))
    return {tuple(row) for row in connection.execute(query)}


def _judgement(feedback: Feedback, answer: _Answer) -> tuple[Any, ...]:
    """Return a row of ``_JUDGEMENT``, but for when it came."""
    about = (answer.seq, answer.rollout_id, answer.arm, answer.version)
    given = (feedback.request_id, feedback.source, feedback.score, feedback.at, feedback.kind)
    return given + about
