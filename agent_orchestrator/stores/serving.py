"""The serving board: by which routing entry every serving process serves, and since when.

A process writes when its table changes and when the last attempt that began under an earlier entry
has ended; the times are its own. So a reader learns when a change took effect, however late it
looks. Times are seconds since the epoch: the processes share a machine, and so a clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy import Column, Float, String, Table, delete, select

from agent_orchestrator.stores.database import Database, Json, metadata
from agent_orchestrator.stores.health import FRESH_SECONDS

_REPORTS = Table(
    "serving_reports",
    metadata,
    Column("process", String, primary_key=True),
    Column("agent", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("periods", Json, nullable=False),
)


@dataclass(frozen=True, slots=True)
class ServedArm:
    """The attempts on one arm that began in one period."""

    arm: str
    under_way: int
    """How many have not ended."""
    last_end: float | None
    """When the last one ended; None when none has."""


@dataclass(frozen=True, slots=True)
class ServedPeriod:
    """A time for which a process served an agent by one routing entry."""

    entry: str
    """``domain.routing.entry_digest``."""
    since: float
    arms: tuple[ServedArm, ...] = ()
    """Those that were tried in it."""


@dataclass(frozen=True, slots=True)
class ServingReport:
    """What one process said about one agent."""

    process: str
    at: float
    periods: tuple[ServedPeriod, ...]
    """The last few, oldest first; it serves by the last one."""


_PERIODS: TypeAdapter[tuple[ServedPeriod, ...]] = TypeAdapter(tuple[ServedPeriod, ...])


class ServingBoard:
    """The table of reports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(
        self, process: str, periods: Mapping[str, Sequence[ServedPeriod]], at: float
    ) -> None:
        """Replace what ``process`` said before; ``periods`` are those of each agent."""
        rows = [
            {
                "process": process,
                "agent": agent,
                "at": at,
                "periods": _PERIODS.dump_python(tuple(of_agent), mode="json"),
            }
            for agent, of_agent in periods.items()
        ]
        with self._database.write() as connection:
            gone = (_REPORTS.c.process == process) | (_REPORTS.c.at < at - 4 * FRESH_SECONDS)
            connection.execute(delete(_REPORTS).where(gone))
            if rows:
                connection.execute(_REPORTS.insert(), rows)

    def leave(self, process: str) -> None:
        """Forget a process: it serves no more."""
        with self._database.write() as connection:
            connection.execute(delete(_REPORTS).where(_REPORTS.c.process == process))

    def of(self, agent: str, now: float) -> list[ServingReport]:
        """Return what the processes that serve said lately, by name."""
        query = (
            select(_REPORTS.c.process, _REPORTS.c.at, _REPORTS.c.periods)
            .where(_REPORTS.c.agent == agent, _REPORTS.c.at >= now - FRESH_SECONDS)
            .order_by(_REPORTS.c.process)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            ServingReport(row.process, row.at, _PERIODS.validate_python(row.periods))
            for row in rows
        ]
