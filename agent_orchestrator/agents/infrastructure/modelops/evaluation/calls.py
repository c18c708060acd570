"""What evaluations and experiments share: whose turn it is to be called, and what a call left."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import ModelAnswer
from agent_orchestrator.agents.infrastructure.modelops.evaluation.runs import CallFailure, Scored
from agent_orchestrator.domain.evaluation import CallRecord

Progress = Callable[[int, int], None]
"""Called with (calls done, calls in all)."""


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


def record(row: Scored) -> CallRecord:
    """Return what the report keeps of a call."""
    reply = row.reply
    answered = reply if isinstance(reply, ModelAnswer) else None
    return CallRecord(
        example_id=row.example.id,
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
