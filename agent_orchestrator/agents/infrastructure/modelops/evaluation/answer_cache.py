"""Answers that were paid for once: asked again, an experiment that was cut off goes on from there.

An answer is found by what decides it: the model and where it lives, the whole request and which
repetition it is. The request holds the data: the example, for an agent's run all that came before,
and for a judge the rules it judges by. Scores are computed anew from the answers, so that a better
evaluator needs no new ones. Failed calls are not kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import anyio.to_thread
from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import ModelAnswer
from agent_orchestrator.agents.infrastructure.modelops.evaluation.tool_replay import ModelCaller
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.stores.response_cache import ResponseCache

_ANSWER: Final = TypeAdapter(ModelAnswer)


class CachedCaller:
    """Asks models, and answers from what is kept; without a store it keeps nothing."""

    def __init__(
        self, ask: ModelCaller, endpoints: Mapping[str, Endpoint], store: ResponseCache | None
    ) -> None:
        """``endpoints``: model → where it lives."""
        self._ask = ask
        self._endpoints = endpoints
        self._store = store

    def repetition(self, number: int) -> RepeatedCaller:
        """Return the way to ask for the answer of one repetition of an example."""
        return RepeatedCaller(self, number)

    async def answer(
        self, model: str, body: Mapping[str, Any], number: int
    ) -> tuple[ModelAnswer, bool]:
        """Return the answer, and whether it was kept. Raises as ``ModelCaller``."""
        if self._store is None:
            return await self._ask(model, body), False
        key = self._key(model, body, number)
        kept = await anyio.to_thread.run_sync(self._store.get, key)
        if kept is not None:
            return _ANSWER.validate_json(kept), True
        answer = await self._ask(model, body)
        await anyio.to_thread.run_sync(self._store.put, key, _ANSWER.dump_json(answer))
        return answer, False

    def _key(self, model: str, body: Mapping[str, Any], number: int) -> str:
        place = self._endpoints[model]
        parts = [model, place.provider, *place.endpoints, number, body]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class RepeatedCaller:
    """A ``ModelCaller`` for one run on one example."""

    def __init__(self, cached: CachedCaller, number: int) -> None:
        self._cached = cached
        self._number = number
        self._unknown = 0

    @property
    def all_known(self) -> bool:
        """Whether no model had to be asked."""
        return not self._unknown

    async def __call__(self, model: str, body: Mapping[str, Any], /) -> ModelAnswer:
        """See ``ModelCaller``."""
        answer, kept = await self._cached.answer(model, body, self._number)
        self._unknown += not kept
        return answer
