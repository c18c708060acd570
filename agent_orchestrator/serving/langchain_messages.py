"""OpenAI's wire format as LangChain's messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall, ToolCall
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk

from agent_orchestrator.serving.router import Served
from agent_orchestrator.serving.validation import Usage, read_usage


def served_metadata(served: Served) -> dict[str, Any]:
    """Return what ``response_metadata`` says of who answered."""
    return {
        "model_name": served.arm.model,
        "agent": served.agent,
        "arm": served.arm.name,
        "model_version": served.arm.version,
        "rollout_id": served.rollout_id,
        "request_id": served.request_id,
        **({"cached": True} if served.cached else {}),
    }


def to_message(choice: Mapping[str, Any], usage: Usage, metadata: Mapping[str, Any]) -> AIMessage:
    """Return a completion's choice as a message."""
    raw = choice["message"]
    tool_calls, invalid = _tool_calls(raw.get("tool_calls") or ())
    return AIMessage(
        content=raw.get("content") or "",
        tool_calls=tool_calls,
        invalid_tool_calls=invalid,
        usage_metadata=_usage_metadata(usage),
        response_metadata={**metadata, "finish_reason": choice.get("finish_reason")},
    )


def to_chunk(data: Mapping[str, Any], metadata: Mapping[str, Any]) -> AIMessageChunk:
    """Return a chunk's first choice as a message chunk; empty for a chunk without choices."""
    choice: Mapping[str, Any] = next(iter(data.get("choices") or ()), {})
    delta = choice.get("delta") or {}
    if choice.get("finish_reason"):
        metadata = {**metadata, "finish_reason": choice["finish_reason"]}
    return AIMessageChunk(
        content=delta.get("content") or "",
        tool_call_chunks=[
            tool_call_chunk(
                name=(call.get("function") or {}).get("name"),
                args=(call.get("function") or {}).get("arguments"),
                id=call.get("id"),
                index=call.get("index"),
            )
            for call in delta.get("tool_calls") or ()
        ],
        usage_metadata=_usage_metadata(read_usage(data)),
        response_metadata=dict(metadata),
    )


def _usage_metadata(usage: Usage | None) -> UsageMetadata | None:
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
    )


def _tool_calls(
    raw_calls: Sequence[Mapping[str, Any]],
) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """Return the calls whose arguments are a JSON object, and the others as they came."""
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for raw in raw_calls:
        function = raw.get("function") or {}
        name, text = function.get("name"), function.get("arguments") or "{}"
        try:
            arguments = json.loads(text)
        except ValueError as error:
            arguments, fault = None, f"The arguments are not JSON: {error}."
        else:
            fault = "The arguments are not a JSON object."
        if isinstance(name, str) and isinstance(arguments, dict):
            calls.append(ToolCall(name=name, args=arguments, id=raw.get("id"), type="tool_call"))
        else:
            invalid.append(
                InvalidToolCall(
                    name=name, args=text, id=raw.get("id"), error=fault, type="invalid_tool_call"
                )
            )
    return calls, invalid
