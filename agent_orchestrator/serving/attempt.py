"""One routed request and its attempts: each ends once, as an Outcome or as nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from agent_orchestrator.domain.outcomes import Feedback, NoAnswer, Outcome, Role
from agent_orchestrator.domain.routing import Arm
from agent_orchestrator.serving.breaker import Breaker
from agent_orchestrator.serving.failures import UpstreamFailure
from agent_orchestrator.serving.periods import Period
from agent_orchestrator.serving.tracing import RequestTrace
from agent_orchestrator.serving.validation import Usage

log = logging.getLogger(__name__)


class Recorder(Protocol):
    """Where outcomes and judges' findings go, in this order. Returns at once and does not raise."""

    def record(self, outcome: Outcome) -> None:
        """Take ``outcome``."""

    def record_feedback(self, feedback: Feedback) -> None:
        """Take a judgement on an answer whose outcome was recorded before."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """What an attempt is measured and recorded with."""

    clock: Callable[[], float]
    """Seconds since the epoch, for what is recorded."""
    timer: Callable[[], float]
    """Monotonic seconds, for latencies and breakers."""
    recorder: Recorder


@dataclass(slots=True)
class Request:
    """One request of an agent, and how its attempts have ended so far."""

    id: str
    agent: str
    task_id: str
    rollout_id: str | None
    period: Period
    """When it came: by which routing entry it is served."""
    failed: list[Outcome] = field(default_factory=list)
    last_failure: UpstreamFailure | None = None
    attempts: int = 0
    """How many numbers have been given to attempts."""
    trace: RequestTrace | None = None
    """None while nothing is traced."""

    def next_attempt(self) -> int:
        """Return the number of the next attempt."""
        number = self.attempts
        self.attempts = number + 1
        return number


class Attempt:
    """One attempt at ``request`` on ``arm``, from its permit to its end."""

    def __init__(
        self,
        request: Request,
        arm: Arm,
        breaker: Breaker,
        tools: Instruments,
        role: Role = "serve",
    ) -> None:
        self.arm = arm
        self._request = request
        self._number = request.next_attempt()
        self._role = role
        self._breaker = breaker
        self._tools = tools
        self._begun = tools.timer()
        self._permit = breaker.permit(self._begun)
        self._settled = False
        # A mirror answers nobody: whoever waits for an arm's last answer need not wait for it.
        answers = self._permit is not None and role != "mirror"
        self._flights = request.period.flights(arm.name) if answers else None
        if self._flights is not None:
            self._flights.begin()

    def is_permitted(self) -> bool:
        """Return whether the arm may be called; if not, that is its outcome."""
        if self._permit is not None:
            return True
        self._settle(error="breaker_open")
        return False

    def answered(self, *, valid: bool, usage: Usage) -> float:
        """The whole answer has come. Returns the attempt's latency in milliseconds."""
        return self._settle(valid=valid, usage=usage)

    def failed(self, failure: UpstreamFailure) -> None:
        """The upstream failed: counts against the arm, unless the request itself is at fault.

        Raises ``failure`` in that case: no other arm would do better.
        """
        if not failure.retryable:
            self._release()
            raise failure
        self._request.last_failure = failure
        self._settle(error=failure.kind, reason=failure.message)

    def abandoned(self) -> None:
        """Nobody waits for the answer any more. Has no effect on a settled attempt.

        How long it had been waited for is on record; to the breaker it says nothing.
        """
        if not self._settled and self._permit is not None:
            waited_ms = (self._tools.timer() - self._begun) * 1000
            self._record(self._outcome(self._release(), waited_ms, "abandoned"))

    def _record(self, outcome: Outcome) -> None:
        self._tools.recorder.record(outcome)
        if self._request.trace is not None:
            self._request.trace.attempted(outcome)

    def _release(self) -> float:
        """End the attempt as if it had never been made; return the time."""
        ended = self._end()
        if self._permit is not None:
            self._breaker.release(self._permit)
        return ended

    def _end(self) -> float:
        """The attempt is over, which happens once; return the time, seconds since the epoch."""
        if self._settled:
            raise RuntimeError("An attempt is settled once.")
        self._settled = True
        ended = self._tools.clock()
        if self._flights is not None:
            self._flights.end(ended)
        return ended

    def _settle(
        self,
        *,
        error: NoAnswer | None = None,
        reason: str | None = None,
        valid: bool | None = None,
        usage: Usage | None = None,
    ) -> float:
        now = self._tools.timer()
        latency_ms = (now - self._begun) * 1000
        outcome = self._outcome(self._end(), latency_ms, error, valid, usage)
        self._record(outcome)
        if error is not None:
            self._request.failed.append(outcome)
        if self._permit is not None:
            self._report(self._permit, now, reason)
        return latency_ms

    def _outcome(
        self,
        ended: float,
        latency_ms: float,
        error: NoAnswer | None,
        valid: bool | None = None,
        usage: Usage | None = None,
    ) -> Outcome:
        return Outcome(
            request_id=self._request.id,
            attempt=self._number,
            at=ended,
            agent=self._request.agent,
            task_id=self._request.task_id,
            model=self.arm.model,
            arm=self.arm.name,
            version=self.arm.version,
            rollout_id=self._request.rollout_id,
            latency_ms=latency_ms,
            error=error,
            valid_output=valid,
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            role=self._role,
        )

    def _report(self, permit: int, now: float, reason: str | None) -> None:
        before = self._breaker.state(now)
        self._breaker.report(permit, now, failure=reason)
        after = self._breaker.state(now)
        if after != before:
            log.warning(
                "Breaker of %s's arm %r (%s): %s → %s. %s",
                self._request.agent,
                self.arm.name,
                self.arm.model,
                before,
                after,
                self._breaker.trip_reason,
            )
