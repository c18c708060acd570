"""The health of every arm as this process sees it: a circuit breaker per rollout, arm and model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent_orchestrator.domain.routing import Arm, RoutingTable
from agent_orchestrator.serving.breaker import Breaker, BreakerPolicy, BreakerState


@dataclass(frozen=True, slots=True)
class ArmHealth:
    """What a person wants to know about an arm."""

    arm: str
    model: str
    version: str | None
    weight: int
    """Share of the agent's tasks, percent."""
    state: BreakerState
    trip_reason: str
    """The failure that opened the breaker; empty while it is closed."""
    retry_after_s: float
    """Until a trial call may pass; 0 when calls pass."""
    calls: int
    """Within the breaker's window (30 s)."""
    failures: int
    """Of those."""


class Breakers:
    """The breakers of all arms; an arm of a new rollout or with a new model begins healthy."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._breakers: dict[tuple[str, str | None, str, str], Breaker] = {}

    def of(self, agent: str, rollout_id: str | None, arm: Arm) -> Breaker:
        """Return the arm's breaker."""
        key = (agent, rollout_id, arm.name, arm.model)
        breaker = self._breakers.get(key)
        if breaker is None:
            breaker = self._breakers[key] = Breaker(self._policy)
        return breaker

    def keep(self, *tables: RoutingTable) -> None:
        """Forget the breakers of rollouts that none of ``tables`` has.

        Give the last table beside the present one: a split that is taken away for a moment, as in
        a drill, comes back to breakers that still know what they knew.
        """
        running = {rollout.id for table in tables for rollout in table.rollouts.values()} | {None}
        self._breakers = {key: b for key, b in self._breakers.items() if key[1] in running}

    def health(
        self, agent: str, rollout_id: str | None, arms: Iterable[Arm], now: float
    ) -> tuple[ArmHealth, ...]:
        """Return the health of ``arms`` at monotonic time ``now``."""
        found = (
            (arm, breaker, breaker.recent(now))
            for arm in arms
            for breaker in [self.of(agent, rollout_id, arm)]
        )
        return tuple(
            ArmHealth(
                arm=arm.name,
                model=arm.model,
                version=arm.version,
                weight=arm.weight,
                state=breaker.state(now),
                trip_reason=breaker.trip_reason,
                retry_after_s=breaker.retry_after(now),
                calls=calls,
                failures=failures,
            )
            for arm, breaker, (calls, failures) in found
        )
