"""A circuit breaker without a clock: every method that needs the time takes it as an argument.

States as in Nygard, *Release It!* (2007): closed (calls pass), open (calls are refused) and half
open (one trial call passes and decides). Not thread-safe: it belongs to one event loop.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]
Permit = int
"""Names the state's generation in which a call was let through."""

_REMEMBERED_CALLS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerPolicy:
    """When a breaker opens, and for how long."""

    threshold: float = 0.5
    """Share of failed calls in the window that opens it, 0..1."""
    minimum: int = 5
    """Calls in the window below which it stays closed."""
    window_seconds: float = 30.0
    cooldown_seconds: float = 10.0
    """How long it stays open before a trial."""


class Breaker:
    """Health of one arm. Times are seconds of one monotonic clock."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._generation = 0
        self.reset()

    def reset(self) -> None:
        """Close and forget; calls under way no longer count."""
        self._generation += 1
        self._calls: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._opened_at: float | None = None
        self._on_trial = False
        self.trip_reason = ""
        """The failure that opened it; empty while closed."""

    def state(self, now: float) -> BreakerState:
        """Return the state at ``now``."""
        if self._opened_at is None:
            return "closed"
        return "half_open" if self.retry_after(now) == 0 else "open"

    def retry_after(self, now: float) -> float:
        """Return the seconds until a trial may pass; 0 when it may now or the breaker is closed."""
        if self._opened_at is None:
            return 0.0
        return max(0.0, self._opened_at + self._policy.cooldown_seconds - now)

    def recent(self, now: float) -> tuple[int, int]:
        """Return the calls of the window that ends at ``now``, and how many of them failed.

        Those before the last change of state are forgotten.
        """
        self._forget(now)
        return len(self._calls), self._failures

    def permit(self, now: float) -> Permit | None:
        """Return a permit for one call, or None while calls are refused.

        Every permit is given back by ``report`` or ``release``.
        """
        if self._opened_at is not None:
            if self._on_trial or self.retry_after(now) > 0:
                return None
            self._on_trial = True
        return self._generation

    def report(self, permit: Permit, now: float, *, failure: str | None) -> None:
        """Count a finished call; ``failure`` is its one-line reason, None when it went well.

        A call that began before the last change of state does not count.
        """
        if permit != self._generation:
            return
        if self._opened_at is None:
            self._count(now, failure)
        elif failure is None:
            self.reset()
        else:
            self._open(now, failure)

    def release(self, permit: Permit) -> None:
        """Give a permit back without a result: the call was given up, the arm is not to blame."""
        if permit == self._generation:
            self._on_trial = False

    def _count(self, now: float, failure: str | None) -> None:
        self._calls.append((now, failure is not None))
        self._failures += failure is not None
        self._forget(now)
        enough = len(self._calls) >= self._policy.minimum
        if failure and enough and self._failures >= self._policy.threshold * len(self._calls):
            self._open(now, failure)

    def _forget(self, now: float) -> None:
        horizon = now - self._policy.window_seconds
        calls = self._calls
        while calls and (calls[0][0] <= horizon or len(calls) > _REMEMBERED_CALLS):
            self._failures -= calls.popleft()[1]

    def _open(self, now: float, reason: str) -> None:
        self.reset()
        self._opened_at = now
        self.trip_reason = reason
