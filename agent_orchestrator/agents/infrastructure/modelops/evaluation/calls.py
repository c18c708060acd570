"""What evaluations and experiments share: how a model is called, and what a call left."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import (
    Expectation,
    ModelAnswer,
    expectation,
    score,
    score_failed_call,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.runs import (
    CallFailure,
    Reply,
    Scored,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.tool_replay import (
    RecordedTools,
    recorded_tools,
)
from agent_orchestrator.domain.evaluation import CallRecord, bearable_failures
from agent_orchestrator.errors import UnavailableError
from agent_orchestrator.stores.defaults import EvaluationDefaults

_SEPARATOR: Final = "#"

Progress = Callable[[int, int], None]
"""Called with (calls done, calls in all)."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What an example expects, and the tools that it brings."""

    expected: Expectation
    tools: RecordedTools | None

    def score(self, reply: Reply, metrics: Iterable[str]) -> Mapping[str, float]:
        """Return the scores of a reply."""
        if isinstance(reply, CallFailure):
            return score_failed_call(self.expected, metrics)
        return score(self.expected, reply, metrics)


def prepare(examples: Iterable[Example], defaults: EvaluationDefaults) -> dict[str, Prepared]:
    """Return example id → what calling and scoring needs, before anybody is asked.

    Raises DatasetError for an example with a wrong target or tool.
    """
    return {
        example.id: Prepared(
            expectation(
                example,
                target_tokens=defaults.target_tokens,
                latency_limit_s=defaults.latency_limit_s,
                sandbox=defaults.sandbox,
            ),
            recorded_tools(example),
        )
        for example in examples
    }


def repeated(examples: Sequence[Example], times: int) -> list[Example]:
    """Return every example ``times`` times, each under its id and the number of the repetition."""
    return [
        replace(example, id=f"{example.id}{_SEPARATOR}{number}")
        for number in range(times)
        for example in examples
    ]


def own_id(example: Example) -> str:
    """Return the id that a repeated example has in its set."""
    return example.id.rpartition(_SEPARATOR)[0]


def repetition(example: Example) -> int:
    """Return which repetition of its example this is, from 0."""
    return int(example.id.rpartition(_SEPARATOR)[2])


class Turns:
    """At most ``concurrency`` calls at once, and no model further ahead of another than that."""

    def __init__(self, models: int, concurrency: int) -> None:
        self._models = models
        self._concurrency = concurrency
        self._begun: Counter[str] = Counter()
        self._running = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def of(self, model: str) -> AsyncIterator[None]:
        """Wait for the model's turn and hold it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._may_begin(model))
            self._begun[model] += 1
            self._running += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            async with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _may_begin(self, model: str) -> bool:
        everyone_began = len(self._begun) == self._models
        least = min(self._begun.values()) if everyone_began else 0
        ahead = self._begun.get(model, 0) - least
        return self._running < self._concurrency and ahead < self._concurrency


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What the runs of several models over the same examples share."""

    examples: Sequence[Example]
    repeated: Sequence[Example]
    """Each under its id and the number of its repetition."""
    prepared: Mapping[str, Prepared]
    """By the example's own id."""
    metrics: tuple[str, ...]
    turns: Turns
    tick: Callable[[], None]

    def score(self, example: Example, reply: Reply) -> Mapping[str, float]:
        """Return the scores of a reply."""
        return self.prepared[own_id(example)].score(reply, self.metrics)


class Respondent:
    """One model, called in its turns until more calls have failed than the run can bear.

    Args:
        name: whose turns these are.
        calls: how many there are to be.
        tick: called when one is done.
    """

    def __init__(self, name: str, calls: int, turns: Turns, tick: Callable[[], None]) -> None:
        self._name = name
        self._turns = turns
        self._tick = tick
        self.bearable = bearable_failures(calls)
        self.failures: list[str] = []
        """What the calls said that failed."""

    @property
    def is_hopeless(self) -> bool:
        """Whether too many calls have failed."""
        return len(self.failures) > self.bearable

    async def reply(self, ask: Callable[[], Awaitable[ModelAnswer]]) -> Reply:
        """Wait for the turn and return what came of asking; a hopeless model is not asked."""
        async with self._turns.of(self._name):
            if self.is_hopeless:
                return CallFailure("not asked: too many calls had failed")
            try:
                answer = await ask()
                reply: Reply = replace(answer, text=storable(answer.text))
            except UnavailableError as error:
                self.failures.append(str(error))
                reply = CallFailure(str(error))
        self._tick()
        return reply


def record(row: Scored) -> CallRecord:
    """Return what the report keeps of a call on a repeated example."""
    reply = row.reply
    answered = reply if isinstance(reply, ModelAnswer) else None
    return CallRecord(
        example_id=own_id(row.example),
        repetition=repetition(row.example),
        group=row.example.group,
        category=row.example.category,
        expected=row.example.label or "",
        answer=answered.text if answered else None,
        latency_s=answered.latency_s if answered else None,
        prompt_tokens=answered.prompt_tokens if answered else None,
        completion_tokens=answered.completion_tokens if answered else None,
        error=reply.message if isinstance(reply, CallFailure) else None,
        scores=row.scores,
        ended_at=row.ended_at.isoformat() if row.ended_at else None,
        cached=answered is not None and answered.cached,
    )


def storable(text: str) -> str:
    """Return ``text`` with "?" for half surrogate pairs, which JSON may carry and UTF-8 cannot."""
    return text.encode(errors="replace").decode()


def counter(total: int, progress: Progress) -> Callable[[], None]:
    """Return what counts one call done, and tells."""
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    return tick
