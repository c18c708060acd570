"""Which of a model's servers takes a call: the least busy one that works, and how often to retry.

Least outstanding requests, equals in turn. A server that refuses connections, or fails several
times in a row, is passed over for a pause that doubles each time (passive outlier ejection, as
Envoy has it), then gets one call at a time until one goes well. With all servers out, the one whose
pause ends first is tried: better than nobody.

Retries are paid from a budget that requests fill (Finagle's ``RetryBudget``), so that an outage is
not made worse by them: with 20 % at most six calls are made for five requests.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from yarl import URL


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancePolicy:
    """When a server is passed over, and how many retries there may be."""

    failures: int = 3
    """Failures in a row until a server is passed over; a refused connection is enough."""
    first_pause: float = 1.0
    longest_pause: float = 30.0
    """Seconds; the pause doubles from the first to the longest."""
    retry_share: float = 0.2
    """Retries for each request."""
    reserve: float = 10.0
    """Retries that few requests may have; comes back at one a second."""
    most_saved: float = 100.0


class Replica:
    """One server of a model."""

    __slots__ = ("_clock", "_failures", "_pause", "_policy", "out_until", "outstanding", "url")

    def __init__(self, url: URL, policy: BalancePolicy, clock: Callable[[], float]) -> None:
        self.url = url
        self.outstanding = 0
        """Calls under way."""
        self.out_until: float | None = None
        """Passed over until then; afterwards on trial until a call goes well."""
        self._failures = 0
        self._pause = policy.first_pause
        self._policy = policy
        self._clock = clock

    def begin(self) -> None:
        """A call begins; ``went_well``, ``failed`` or ``let_go`` ends it."""
        self.outstanding += 1

    def went_well(self) -> None:
        """The server answered, be it that the request is at fault."""
        self.outstanding -= 1
        if self._failures:
            self._failures = 0
            self._pause = self._policy.first_pause
            self.out_until = None

    def failed(self, *, refused: bool = False) -> None:
        """The server did not answer as it should; ``refused``: not even a connection."""
        self.outstanding -= 1
        self._failures += 1
        if refused or self._failures >= self._policy.failures:
            self._failures = max(self._failures, self._policy.failures)
            self.out_until = self._clock() + self._pause
            self._pause = min(2 * self._pause, self._policy.longest_pause)

    def let_go(self) -> None:
        """The call was given up: that says nothing about the server."""
        self.outstanding -= 1

    def is_usable(self, now: float) -> bool:
        """Return whether a call may go there."""
        return self.out_until is None or (now >= self.out_until and not self.outstanding)


class RetryBudget:
    """How many retries may still be made."""

    def __init__(self, policy: BalancePolicy, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self.spent = 0
        """Retries that were made."""
        self._saved = 0.0
        self._reserve = policy.reserve
        self._at = clock()

    def request(self) -> None:
        """A request has come."""
        self._saved = min(self._saved + self._policy.retry_share, self._policy.most_saved)

    def spend(self) -> bool:
        """Return whether a retry may be made, and count it."""
        now = self._clock()
        self._reserve = min(self._reserve + now - self._at, self._policy.reserve)
        self._at = now
        if self._saved >= 1:
            self._saved -= 1
        elif self._reserve >= 1:
            self._reserve -= 1
        else:
            return False
        self.spent += 1
        return True


class Pool:
    """The servers of one model. Belongs to one event loop.

    Args:
        urls: where calls are posted to; not empty.
        policy: when to pass over and to retry.
        clock: monotonic seconds.
    """

    def __init__(
        self, urls: Sequence[URL], policy: BalancePolicy, clock: Callable[[], float]
    ) -> None:
        self.replicas = tuple(Replica(url, policy, clock) for url in urls)
        self.budget = RetryBudget(policy, clock)
        self._clock = clock
        self._turn = 0

    def pick(self, tried: Collection[Replica] = ()) -> Replica | None:
        """Return the server for the next call, None when each has been ``tried``."""
        if len(self.replicas) == 1:
            return None if tried else self.replicas[0]
        now = self._clock()
        self._turn = (self._turn + 1) % len(self.replicas)
        in_turn = self.replicas[self._turn :] + self.replicas[: self._turn]
        left = [replica for replica in in_turn if replica not in tried]
        usable = [replica for replica in left if replica.is_usable(now)]
        if usable:
            return min(usable, key=lambda replica: replica.outstanding)
        return min(left, key=lambda replica: replica.out_until or 0.0, default=None)
