"""Removes outcomes that nobody needs any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.outcomes import OutcomeStore

_EVERY_SECONDS: Final = 3600.0
_DAY_SECONDS: Final = 86400.0


class Retention:
    """Keeps outcomes and feedback for so many days; those of an open rollout for longer.

    What a rollout was decided by stays in its history, and the audit log stays whole.
    """

    def __init__(
        self,
        outcomes: OutcomeStore,
        audit: AuditLog,
        days: float,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``days`` of 0 keep everything."""
        self._outcomes = outcomes
        self._audit = audit
        self._days = days
        self._clock = clock
        self._due = 0.0

    def tick(self) -> None:
        """Remove what is too old, once an hour. Raises LockTimeout, StorageError."""
        now = self._clock()
        if not self._days or now < self._due:
            return
        self._due = now + _EVERY_SECONDS
        before = now - self._days * _DAY_SECONDS
        removed = self._outcomes.prune(before)
        if removed:
            detail = {"rows": removed, "before": before}
            self._audit.append(self._clock(), "timer", "prune", "outcomes", detail)
