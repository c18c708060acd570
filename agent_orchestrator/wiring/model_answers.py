"""The serving code's answers as the evaluation reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.evaluation.answer_cache import CachedCaller
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import (
    ModelAnswer,
    ToolRequest,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.tool_replay import ModelCaller
from agent_orchestrator.serving.judge import ModelJudge
from agent_orchestrator.serving.upstream import Answer
from agent_orchestrator.wiring.model_access import Complete


def model_caller(complete: Complete) -> ModelCaller:
    """Return the way to ask a model for an answer with its measures."""

    async def ask(model: str, body: Mapping[str, Any], /) -> ModelAnswer:
        found = await complete(model, body)
        return ModelAnswer(
            text=found.text,
            requests=tuple(_requests(found.message)),
            latency_s=found.latency_ms / 1000,
            prompt_tokens=found.usage.prompt_tokens,
            completion_tokens=found.usage.completion_tokens,
        )

    return ask


def keeping_judge(ask: CachedCaller, model: str) -> ModelJudge:
    """Return a judge that is ``model``, whose verdicts are kept as answers are."""

    async def asked(body: Mapping[str, Any]) -> Answer:
        answer, _ = await ask.answer(model, body, 0)
        message = {"role": "assistant", "content": answer.text}
        return Answer(b"", {"choices": [{"index": 0, "message": message}]})

    return ModelJudge(asked)


def _requests(message: Mapping[str, Any]) -> Iterator[ToolRequest]:
    """Yield the calls of tools; what is no call of a function has no name, and will fail."""
    calls = message.get("tool_calls")
    for number, call in enumerate(calls if isinstance(calls, list) else ()):
        given = call if isinstance(call, Mapping) else {}
        function = given.get("function")
        function = function if isinstance(function, Mapping) else {}
        yield ToolRequest(
            id=str(given.get("id") or f"call_{number}"),
            name=str(function.get("name") or ""),
            arguments=str(function.get("arguments") or "{}"),
        )
