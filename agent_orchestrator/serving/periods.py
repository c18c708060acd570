"""Since when this process serves each agent by which routing entry, and what is still under way.

A request belongs to the period in which it came. A new entry begins a new period; the old one is
over for good when its last attempt has ended. Costs a request two counters and a time.
"""

from __future__ import annotations

from collections.abc import Callable

from agent_orchestrator.domain.routing import RoutingTable, entry_digest
from agent_orchestrator.stores.serving import ServedArm, ServedPeriod

_REMEMBERED = 8
"""Past periods of an agent that are kept although nothing of them is under way."""


def _nobody() -> None:
    """Wake nobody."""


class Flights:
    """The attempts on one arm that began in one period."""

    __slots__ = ("_period", "last_end", "under_way")

    def __init__(self, period: Period) -> None:
        self._period = period
        self.under_way = 0
        self.last_end: float | None = None

    def begin(self) -> None:
        """An attempt begins."""
        self.under_way += 1

    def end(self, at: float) -> None:
        """An attempt has ended, in whatever way."""
        self.under_way -= 1
        self.last_end = at
        if not self.under_way:
            self._period.on_idle()


class Period:
    """A time for which an agent is served by one entry."""

    __slots__ = ("_arms", "entry", "on_idle", "since")

    def __init__(self, entry: str, since: float) -> None:
        self.entry = entry
        self.since = since
        self.on_idle: Callable[[], None] = _nobody
        """Called when the last attempt on an arm has ended."""
        self._arms: dict[str, Flights] = {}

    def flights(self, arm: str) -> Flights:
        """Return an arm's attempts."""
        flights = self._arms.get(arm)
        if flights is None:
            flights = self._arms[arm] = Flights(self)
        return flights

    def is_busy(self) -> bool:
        """Return whether an attempt is under way."""
        return any(flights.under_way for flights in self._arms.values())

    def report(self) -> ServedPeriod:
        """Return how it stands."""
        arms = (
            ServedArm(name, flights.under_way, flights.last_end)
            for name, flights in self._arms.items()
        )
        return ServedPeriod(self.entry, self.since, tuple(arms))


class Periods:
    """The present and the past periods of all agents. Belongs to one event loop."""

    def __init__(self, table: RoutingTable, now: float) -> None:
        self.on_news: Callable[[], None] = _nobody
        """Called when a period begins, and when an arm of a past one has nothing under way."""
        self._of: dict[str, list[Period]] = {}
        self.follow(table, now)

    def follow(self, table: RoutingTable, now: float) -> None:
        """Serve by ``table`` from ``now`` on, in seconds since the epoch."""
        self._of = {agent: self._of.get(agent, []) for agent in table.agent_models}
        for agent, periods in self._of.items():
            entry = entry_digest(table, agent)
            if not periods or periods[-1].entry != entry:
                if periods:
                    periods[-1].on_idle = self._on_idle
                old = periods[:-_REMEMBERED]
                periods[:] = [p for p in old if p.is_busy()] + periods[-_REMEMBERED:]
                periods.append(Period(entry, now))
        self.on_news()

    def present(self, agent: str) -> Period:
        """Return the agent's present period. Raises KeyError."""
        return self._of[agent][-1]

    def report(self) -> dict[str, tuple[ServedPeriod, ...]]:
        """Return each agent's periods, oldest first."""
        return {agent: tuple(p.report() for p in periods) for agent, periods in self._of.items()}

    def _on_idle(self) -> None:
        self.on_news()
