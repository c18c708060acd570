"""Answers that were paid for once: asked again, a run that was cut off goes on from there.

An answer is found by what decides it: the model, where it lives and what tells its weights from
others of that name, the whole request, and which repetition it is. The request holds the data: the
example, for an agent's run all that came before, and for a judge the rules it judges by. Scores are
computed anew from the answers, so that a better evaluator needs no new ones. Failed calls are not
kept. A run of which any answer was kept has no latency: it was not measured now.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import ModelAnswer
from agent_orchestrator.agents.infrastructure.modelops.evaluation.tool_replay import (
    ModelCaller,
    RecordedTools,
    play,
)
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.stores.response_cache import ResponseCache

_ANSWER: Final = TypeAdapter(ModelAnswer)


class CachedCaller:
    """Asks models, and answers from what is kept; without a store it keeps nothing."""

    def __init__(
        self,
        ask: ModelCaller,
        endpoints: Mapping[str, Endpoint],
        store: ResponseCache | None,
        fingerprints: Mapping[str, str] | None = None,
    ) -> None:
        """``endpoints``: model → where it lives; ``fingerprints``: model → whose weights it has."""
        self._ask = ask
        self._endpoints = endpoints
        self._store = store
        self._fingerprints = fingerprints or {}

    async def run(
        self,
        model: str,
        body: Mapping[str, Any],
        tools: RecordedTools | None,
        *,
        repetition: int,
        max_turns: int,
    ) -> ModelAnswer:
        """Let the model answer, with its tools where there are some. Raises as ``ModelCaller``."""
        kept = asked = 0

        async def ask(model: str, body: Mapping[str, Any], /) -> ModelAnswer:
            nonlocal kept, asked
            answer, was_kept = await self.answer(model, body, repetition)
            kept += was_kept
            asked += not was_kept
            return answer

        answer = await play(ask, model, body, tools, max_turns=max_turns)
        return replace(answer, latency_s=None, cached=not asked) if kept else answer

    async def answer(
        self, model: str, body: Mapping[str, Any], repetition: int
    ) -> tuple[ModelAnswer, bool]:
        """Return the answer, and whether it was kept. Raises as ``ModelCaller``.

        The store is asked without a thread: it waits for no disk, and takes a twentieth of what a
        thread does beside a loop that computes.
        """
        if self._store is None:
            return await self._ask(model, body), False
        key = self._key(model, body, repetition)
        kept = self._store.get(key)
        if kept is not None:
            return _ANSWER.validate_json(kept), True
        answer = await self._ask(model, body)
        self._store.put(key, _ANSWER.dump_json(answer))
        return answer, False

    def _key(self, model: str, body: Mapping[str, Any], repetition: int) -> str:
        place, weights = self._endpoints[model], self._fingerprints.get(model, "")
        parts = [model, weights, place.provider, *place.endpoints, repetition, body]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
