"""SIGTERM and the time limit."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from agent_orchestrator.trainer.diagnosis import Cancelled, TimeIsUp


class Signals:
    """SIGTERM cancels, SIGALRM ends the time limit; both raise, except while training.

    An exception in the middle of a step would leave weights that belong to no step, so that
    training asks for ``cancelled`` between two steps instead.
    """

    def __init__(self) -> None:
        self.cancelled = False
        self.time_is_up: TimeIsUp | None = None
        self._deferred = False
        signal.signal(signal.SIGTERM, self._on_term)

    def limit(self, seconds: float) -> None:
        """Raise TimeIsUp after ``seconds``."""

        def on_alarm(_signal: int, _frame: FrameType | None) -> None:
            self.time_is_up = TimeIsUp(seconds)
            raise self.time_is_up

        signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def _on_term(self, _signal: int, _frame: FrameType | None) -> None:
        self.cancelled = True
        if not self._deferred:
            raise Cancelled

    def ignore(self) -> None:
        """The job is done but for its manifest: neither cancellation nor limit counts any more."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold cancellation back; raises Cancelled at the end when it was asked for meanwhile."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.cancelled:
            raise Cancelled
