"""A request on its way through the arms: what a table says of its agent, and who is asked when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent_orchestrator.domain.outcomes import Outcome, Role
from agent_orchestrator.domain.routing import Arm, Endpoint, Rollout, RoutingTable, choose_arm
from agent_orchestrator.errors import UnknownAgentError, UpstreamError
from agent_orchestrator.serving.attempt import Attempt, Instruments, Request
from agent_orchestrator.serving.breaker import Breaker
from agent_orchestrator.serving.completion import Completion, judged
from agent_orchestrator.serving.failures import UpstreamFailure
from agent_orchestrator.serving.health import Breakers
from agent_orchestrator.serving.upstream import ChunkStream, Upstream

FALLBACK = "fallback"
"""Name of the arm of every model of the fallback chain."""


@dataclass(frozen=True, slots=True)
class Served:
    """Which arm answers a request, and what had failed before it did."""

    request_id: str
    agent: str
    arm: Arm
    rollout_id: str | None
    failed: tuple[Outcome, ...]
    cached: bool = False
    """Whether the answer was kept from an earlier request; the arm was not asked."""


class NoAnswerError(UpstreamError):
    """Every arm and fallback failed, or is kept out by its breaker.

    ``attempts`` are their outcomes; ``retry_after_s`` is the time until the first open breaker lets
    a trial pass, None when an arm was tried.
    """

    def __init__(self, request: Request, retry_after_s: float | None) -> None:
        tried = ", ".join(f"{outcome.model} ({outcome.error})" for outcome in request.failed)
        last = request.last_failure
        super().__init__(
            f"No model answered for agent {request.agent!r}: {tried}."
            + (f" Last: {last.message}" if last else ""),
            remedy=(last and last.remedy) or "Try again.",
        )
        self.attempts = tuple(request.failed)
        self.retry_after_s = retry_after_s


class OutOfTimeError(UpstreamError):
    """The time that the request had is over, all attempts together."""

    def __init__(self, agent: str, seconds: float) -> None:
        super().__init__(
            f"No model answered for agent {agent!r} within {seconds:g} s.",
            remedy="Try again, or allow more time with X-Request-Timeout.",
        )


@dataclass(frozen=True, slots=True)
class Route:
    """What a table says of one agent, worked out once for all its requests."""

    table: RoutingTable
    agent: str
    rollout: Rollout | None
    rollout_id: str | None
    arms: tuple[Arm, ...]
    fallbacks: tuple[Arm, ...]
    mirrored: tuple[Arm, ...]
    """Arms that get copies of requests."""
    voices: tuple[Arm, ...]
    """Arms that are asked together for every request (an ensemble); empty when one is asked."""

    @property
    def judge(self) -> str | None:
        """The model that judges answers, if any."""
        return self.rollout.judge if self.rollout else None

    def own_arm(self, task_id: str) -> Arm:
        """Return the task's own arm."""
        return choose_arm(self.arms, task_id, self.rollout_id or self.agent)

    def order(self, task_id: str) -> tuple[Arm, ...]:
        """Return the task's arm, then the arms that may take over, then the fallbacks.

        Besides the arms with traffic of their own only the stable one may: after promotion it is
        kept warm, while an arm without traffic has yet to prove itself.
        """
        if len(self.arms) == 1:
            return self.arms + self.fallbacks
        chosen = self.own_arm(task_id)
        stable = self.arms[0]
        others = (arm for arm in self.arms if arm is not chosen and (arm.weight or arm is stable))
        return (chosen, *others, *self.fallbacks)


def route(table: RoutingTable, agent: str) -> Route:
    """Return what ``table`` says of ``agent``. Raises UnknownAgentError."""
    try:
        arms = table.arms(agent)
    except KeyError:
        raise UnknownAgentError(agent, sorted(table.agent_models)) from None
    rollout = table.rollouts.get(agent)
    carrying = tuple(arm for arm in arms if arm.weight)
    together = rollout and rollout.strategy == "ensemble" and rollout.phase == "running"
    serving = {arm.model for arm in (arms[0], *carrying)}
    return Route(
        table=table,
        agent=agent,
        rollout=rollout,
        rollout_id=rollout.id if rollout else None,
        arms=arms,
        fallbacks=tuple(
            Arm(FALLBACK, model, weight=0)
            for model in table.fallback_models(agent)
            if model not in serving
        ),
        mirrored=tuple(arm for arm in arms if arm.mirror) if rollout else (),
        voices=carrying if together and len(carrying) > 1 else (),
    )


@dataclass(frozen=True, slots=True)
class Call:
    """A request, the route that it takes, and what it takes to walk it."""

    request: Request
    route: Route
    upstream: Upstream
    breakers: Breakers
    tools: Instruments

    def attempt(self, arm: Arm, role: Role = "serve") -> Attempt:
        """Begin an attempt on ``arm``."""
        return Attempt(self.request, arm, self._breaker(arm), self.tools, role)

    def attempts(self) -> Iterator[Attempt]:
        """Yield an attempt for each arm in turn that its breaker does not keep out.

        Where an ensemble has been asked before, only the fallbacks are left.
        """
        route = self.route
        for arm in route.fallbacks if route.voices else route.order(self.request.task_id):
            attempt = self.attempt(arm)
            if attempt.is_permitted():
                yield attempt

    async def ask(self, attempt: Attempt, body: Mapping[str, Any]) -> Completion | None:
        """Return the whole answer, None when the arm failed; the attempt is settled.

        Raises UpstreamFailure when the upstream finds fault with the request itself.
        """
        try:
            answer = await self.upstream.complete(self._endpoint(attempt), body)
        except UpstreamFailure as failure:
            attempt.failed(failure)
            return None
        except BaseException:
            attempt.abandoned()
            raise
        valid, usage = judged(answer, body)
        latency_ms = attempt.answered(valid=valid, usage=usage)
        return Completion(attempt.arm.model, answer, latency_ms, valid, usage)

    async def open(self, attempt: Attempt, body: Mapping[str, Any]) -> ChunkStream | None:
        """Return the streamed answer once its first data are there, None when the arm failed.

        The attempt stays open. Raises as ``ask``.
        """
        try:
            return await self.upstream.stream(self._endpoint(attempt), body)
        except UpstreamFailure as failure:
            attempt.failed(failure)
            return None
        except BaseException:
            attempt.abandoned()
            raise

    def served_by(self, arm: Arm, *, cached: bool = False) -> Served:
        """Return who answers, now that ``arm`` does."""
        request = self.request
        failed = tuple(request.failed)
        return Served(request.id, request.agent, arm, request.rollout_id, failed, cached)

    def no_answer(self) -> NoAnswerError:
        """Return the error of a request that nobody had an answer to."""
        if self.request.last_failure is not None:
            return NoAnswerError(self.request, None)
        now = self.tools.timer()
        kept_out = self.route.order(self.request.task_id)
        waits = [self._breaker(arm).retry_after(now) for arm in kept_out]
        return NoAnswerError(self.request, min(waits))

    def _endpoint(self, attempt: Attempt) -> Endpoint:
        return self.route.table.endpoint(attempt.arm.model)

    def _breaker(self, arm: Arm) -> Breaker:
        return self.breakers.of(self.request.agent, self.request.rollout_id, arm)
