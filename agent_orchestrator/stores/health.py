"""The health board: breakers as the serving processes report them, and resets asked by people.

Breakers live in the memory of the gateways, one for each process. Here they say how they stand, and
look for resets that were asked from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Column, Float, Integer, String, Table, delete, func, select

from agent_orchestrator.stores.database import SEQUENCE, Database, metadata

Health = Literal["closed", "open", "half_open", "unknown"]
Condition = Literal["healthy", "unhealthy", "unknown"]

#: A report older than this says nothing about now, seconds.
FRESH_SECONDS = 15.0

_BREAKERS = Table(
    "arm_health",
    metadata,
    Column("process", String, primary_key=True),
    Column("agent", String, primary_key=True),
    Column("arm", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("at", Float, nullable=False),
)
_RESETS = Table(
    "breaker_resets",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("agent", String, nullable=False),
    Column("arm", String, nullable=False),
    Column("at", Float, nullable=False),
)
_WORST: tuple[Health, ...] = ("unknown", "closed", "half_open", "open")


@dataclass(frozen=True, slots=True)
class BreakerReport:
    """One breaker of one process."""

    agent: str
    arm: str
    state: Health
    reason: str = ""
    """Why it opened."""
    calls: int = 0
    """Within the breaker's window, 30 s."""
    failures: int = 0
    """Of those."""

    @property
    def condition(self) -> Condition:
        """Unhealthy: not closed, or half of the recent calls failed. Unknown: no recent calls."""
        if self.state in {"open", "half_open"}:
            return "unhealthy"
        if not self.calls:
            return "unknown"
        return "unhealthy" if 2 * self.failures >= self.calls else "healthy"


@dataclass(frozen=True, slots=True)
class ResetOrder:
    """A reset that somebody asked for."""

    seq: int
    agent: str
    arm: str


class HealthBoard:
    """The tables of breakers and resets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(self, process: str, breakers: Iterable[BreakerReport], at: float) -> None:
        """Replace what ``process`` said before."""
        rows = [
            {
                "process": process,
                "agent": breaker.agent,
                "arm": breaker.arm,
                "state": breaker.state,
                "reason": breaker.reason,
                "calls": breaker.calls,
                "failures": breaker.failures,
                "at": at,
            }
            for breaker in breakers
        ]
        with self._database.write() as connection:
            gone = (_BREAKERS.c.process == process) | (_BREAKERS.c.at < at - 4 * FRESH_SECONDS)
            connection.execute(delete(_BREAKERS).where(gone))
            if rows:
                connection.execute(_BREAKERS.insert(), rows)

    def of(self, agent: str, arm: str, now: float) -> BreakerReport:
        """Return the worst state that a process reported lately, and the calls of all of them.

        Unknown without a report.
        """
        columns = (_BREAKERS.c.state, _BREAKERS.c.reason, _BREAKERS.c.calls, _BREAKERS.c.failures)
        query = select(*columns).where(
            _BREAKERS.c.agent == agent,
            _BREAKERS.c.arm == arm,
            _BREAKERS.c.at >= now - FRESH_SECONDS,
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        worst = max(rows, key=lambda row: _WORST.index(row.state), default=None)
        if worst is None:
            return BreakerReport(agent, arm, "unknown")
        calls, failures = sum(row.calls for row in rows), sum(row.failures for row in rows)
        return BreakerReport(agent, arm, worst.state, worst.reason, calls, failures)

    def order_reset(self, agent: str, arm: str, at: float) -> None:
        """Ask every serving process to close an arm's breaker."""
        with self._database.write() as connection:
            connection.execute(_RESETS.insert().values(agent=agent, arm=arm, at=at))

    def last_order(self) -> int:
        """Return the number of the newest order; 0 without one."""
        with self._database.read() as connection:
            return connection.execute(select(func.max(_RESETS.c.seq))).scalar() or 0

    def orders_after(self, seq: int) -> list[ResetOrder]:
        """Return the orders after number ``seq``."""
        columns = (_RESETS.c.seq, _RESETS.c.agent, _RESETS.c.arm)
        query = select(*columns).where(_RESETS.c.seq > seq).order_by(_RESETS.c.seq)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [ResetOrder(**row) for row in rows]
