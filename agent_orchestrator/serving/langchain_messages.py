"""OpenAI's wire format as LangChain's messages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

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
        content=raw.get("content") or raw.get("refusal") or "",
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
        content=delta.get("content") or delta.get("refusal") or "",
        tool_call_chunks=[
            tool_call_chunk(
                name=(call.get("function") or {}).get("name"),
                args=_text((call.get("function") or {}).get("arguments")),
                id=call.get("id"),
                index=call.get("index"),
            )
            for call in delta.get("tool_calls") or ()
        ],
        usage_metadata=_usage_metadata(read_usage(data)),
        response_metadata=dict(metadata),
    )


class SentCalls:
    """The calls of tools in a stream, as they were sent.

    LangChain completes arguments that broke off (``parse_partial_json``): half a file would be
    written as if it were whole.
    """

    def __init__(self) -> None:
        self._calls: dict[int, dict[str, Any]] = {}

    def add(self, data: Mapping[str, Any]) -> None:
        """Take in a chunk."""
        choice: Mapping[str, Any] = next(iter(data.get("choices") or ()), {})
        for part in (choice.get("delta") or {}).get("tool_calls") or ():
            index = part.get("index")
            place = index if isinstance(index, int) else len(self._calls)
            call = self._calls.setdefault(place, {"id": None, "name": "", "arguments": ""})
            function = part.get("function") or {}
            call["id"] = call["id"] or part.get("id")
            call["name"] += function.get("name") or ""
            call["arguments"] += _text(function.get("arguments")) or ""

    def chunks(self) -> list[AIMessageChunk]:
        """Return what the stream has to end with, for ``as_sent``: nothing without calls."""
        sent = [{"id": c["id"], "function": c} for c in self._calls.values()]
        return [AIMessageChunk(content="", response_metadata={_SENT: sent})] if sent else []


_SENT = "tool_calls_sent"


def as_sent(message: AIMessage) -> AIMessage:
    """Return the message of a whole stream with its calls as they were sent."""
    if _SENT not in message.response_metadata:
        return message
    metadata = dict(message.response_metadata)
    calls, invalid = _tool_calls(metadata.pop(_SENT))
    return message.model_copy(
        update={
            "tool_calls": calls,
            "invalid_tool_calls": invalid,
            "response_metadata": metadata,
        }
    )


def _text(arguments: Any) -> str | None:
    """Return arguments as text; there are servers that send the object itself."""
    return arguments if isinstance(arguments, str | None) else json.dumps(arguments)


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
        name, text = function.get("name"), _text(function.get("arguments")) or "{}"
        # Its answer needs one; there are servers that send none.
        call_id = str(raw.get("id") or f"call_{uuid4().hex}")
        try:
            arguments = json.loads(text)
        except ValueError as error:
            arguments, fault = None, f"The arguments are not JSON: {error}."
        else:
            fault = "The arguments are not a JSON object."
        if name and isinstance(name, str) and isinstance(arguments, dict):
            calls.append(ToolCall(name=name, args=arguments, id=call_id, type="tool_call"))
        else:
            invalid.append(
                InvalidToolCall(
                    name=name, args=text, id=call_id, error=fault, type="invalid_tool_call"
                )
            )
    return calls, invalid
