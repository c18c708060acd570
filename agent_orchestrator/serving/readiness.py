"""Whether a load balancer should send requests to this process, and if not, why."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from agent_orchestrator.errors import ChefError


class WatchedFile(Protocol):
    """A file that is followed while it changes."""

    @property
    def last_error(self) -> ChefError | None:
        """Why it cannot be read; what it said last still holds."""


class WatchedOutcomes(Protocol):
    """The way of outcomes to their store."""

    @property
    def failure(self) -> str:
        """Why the last attempt to store some failed; empty when it went well."""

    @property
    def failing_since(self) -> float | None:
        """Monotonic seconds; None while the store works."""


class Readiness:
    """What ``/ready`` and ``/health`` say.

    Args:
        tables: models.yaml. A process begins to listen only when it has read it once.
        outcomes: the outcome log.
        store_patience: for how long the outcome store may fail before this process calls itself
            not ready, seconds. It answers requests all the same, but nobody judges a rollout by
            them.
        timer: monotonic seconds.
    """

    def __init__(
        self,
        tables: WatchedFile,
        outcomes: WatchedOutcomes,
        *,
        store_patience: float = 120.0,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tables = tables
        self._outcomes = outcomes
        self._store_patience = store_patience
        self._timer = timer
        self.draining = False
        """Whether this process is about to end."""

    def reasons(self) -> list[str]:
        """Return why no new requests should come here; empty when they may."""
        found = []
        if self.draining:
            found.append("draining: this process is about to end")
        since = self._outcomes.failing_since
        if since is not None and self._timer() - since > self._store_patience:
            found.append(f"outcomes cannot be stored for {self._timer() - since:.0f} s")
        return found

    def problems(self) -> list[str]:
        """Return what is wrong, whether or not it keeps this process from its work."""
        found = []
        if self._tables.last_error is not None:
            found.append("models.yaml is broken; the last good table serves")
        if self._outcomes.failure:
            found.append("outcomes cannot be stored")
        return found
