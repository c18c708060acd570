"""Runs an example that brings tools: the model calls them, recorded results answer.

So routing, steps, tool use and requests for approval are read from what the model did, never from
what it says. The same results come to every model, and nothing outside is touched.

::

    inputs.tools         tools as a chat-completions request has them
    inputs.tool_results  tool → what its calls give, in their order; the last one repeats
                         "text", or {"error": "text"} for a call that fails

- Every call of a tool is a **step** of the tool's name; it succeeded unless its result is an error.
  A call of a tool without a recorded result fails, and so does one whose arguments are no object.
- A successful call of ``transfer_to_<agent>`` routes the work to that **agent** (the name that
  LangGraph's hand-off tools have). Agents are recorded when such a tool is offered.
- A call of ``request_approval`` asks for **approval**. It is recorded when that tool is offered.
- Which results were used and which failures handled, ``tool_use`` says.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example, wrong_type
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import (
    ModelAnswer,
    Step,
    ToolRequest,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.tool_use import (
    Call,
    said,
    tool_calls,
)

ROUTING: Final = "transfer_to_"
APPROVAL: Final = "request_approval"


class ModelCaller(Protocol):
    """The serving code: asks one model directly, without a choice of arms or a fallback."""

    async def __call__(self, model: str, body: Mapping[str, Any], /) -> ModelAnswer:
        """Return the model's answer to an OpenAI chat-completions body.

        Raises UnavailableError (UpstreamError …) when the model gave none.
        """


@dataclass(frozen=True, slots=True)
class RecordedResult:
    """What one call of a tool gives."""

    text: str
    failed: bool


@dataclass(frozen=True, slots=True)
class RecordedTools:
    """The tools of an example and what their calls give."""

    definitions: Sequence[Mapping[str, Any]]
    results: Mapping[str, Sequence[RecordedResult]]

    @property
    def names(self) -> frozenset[str]:
        """What is offered."""
        return frozenset(tool["function"]["name"] for tool in self.definitions)


def recorded_tools(example: Example) -> RecordedTools | None:
    """Return the example's tools, None when it brings none.

    Raises DatasetError that names what is no tool or no result.
    """
    where = f"Example {example.id!r}"
    definitions = example.inputs.get("tools")
    if definitions is None:
        return None
    if not isinstance(definitions, list) or not all(map(_is_tool, definitions)):
        raise wrong_type(where, "inputs.tools", "a list of function tools", definitions)
    given = example.inputs.get("tool_results") or {}
    if not isinstance(given, Mapping):
        raise wrong_type(where, "inputs.tool_results", "tool → results", given)
    return RecordedTools(definitions, {name: _results(name, given[name], where) for name in given})


def _is_tool(value: object) -> bool:
    function = value.get("function") if isinstance(value, Mapping) else None
    return isinstance(function, Mapping) and isinstance(function.get("name"), str)


def _results(name: str, value: object, where: str) -> list[RecordedResult]:
    found = []
    for entry in value if isinstance(value, list) else [value]:
        if isinstance(entry, str):
            found.append(RecordedResult(entry, failed=False))
        elif isinstance(entry, Mapping) and isinstance(entry.get("error"), str):
            found.append(RecordedResult(entry["error"], failed=True))
        else:
            raise wrong_type(where, f"inputs.tool_results.{name}", 'text or {"error": text}', entry)
    if not found:
        raise wrong_type(where, f"inputs.tool_results.{name}", "at least one result", value)
    return found


async def play(
    ask: ModelCaller,
    model: str,
    body: Mapping[str, Any],
    tools: RecordedTools | None,
    *,
    max_turns: int,
) -> ModelAnswer:
    """Let the model work with the tools until it answers without calling one; record what it did.

    Latency and tokens are the sums over the turns. After ``max_turns`` turns that all call tools
    the run has no final answer: its text is empty. Without tools the model is asked once. Raises
    as ``ask``.
    """
    if tools is None:
        return await ask(model, body)
    messages = list(body["messages"])
    turns: list[ModelAnswer] = []
    calls: list[Call] = []
    used: Counter[str] = Counter()
    while len(turns) < max_turns:
        request = {**body, "messages": list(messages), "tools": list(tools.definitions)}
        turn = await ask(model, request)
        turns.append(turn)
        if not turn.requests:
            break
        messages.append(_spoken(turn))
        known = frozenset(said(messages))
        answered = [(wanted, _give(tools, wanted, used)) for wanted in turn.requests]
        calls += [
            Call(
                turn=len(turns),
                name=wanted.name,
                arguments=wanted.arguments,
                result=result.text,
                failed=result.failed,
                known=known,
            )
            for wanted, result in answered
        ]
        messages += [
            {"role": "tool", "tool_call_id": wanted.id, "content": result.text}
            for wanted, result in answered
        ]
    return _record(turns, calls, tools.names)


def _give(tools: RecordedTools, wanted: ToolRequest, used: Counter[str]) -> RecordedResult:
    recorded = tools.results.get(wanted.name)
    if wanted.name not in tools.names or recorded is None:
        return RecordedResult(f"There is no tool {wanted.name!r} here.", failed=True)
    if not _is_object(wanted.arguments):
        return RecordedResult("The arguments are not a JSON object.", failed=True)
    number = min(used[wanted.name], len(recorded) - 1)
    used[wanted.name] += 1
    return recorded[number]


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments or "{}"), dict)
    except (ValueError, RecursionError):
        return False


def _spoken(turn: ModelAnswer) -> dict[str, Any]:
    """Return the assistant's message as the next request repeats it."""
    calls = [
        {
            "id": wanted.id,
            "type": "function",
            "function": {"name": wanted.name, "arguments": wanted.arguments},
        }
        for wanted in turn.requests
    ]
    return {"role": "assistant", "content": turn.text or None, "tool_calls": calls}


def _record(
    turns: Sequence[ModelAnswer], calls: Sequence[Call], offered: frozenset[str]
) -> ModelAnswer:
    """Return the whole run as one answer with what it did."""
    last = turns[-1]
    text = "" if last.requests else last.text
    succeeded = [call.name for call in calls if not call.failed]
    routed = (name.removeprefix(ROUTING) for name in succeeded if name.startswith(ROUTING))
    can_route = any(name.startswith(ROUTING) for name in offered)
    return replace(
        last,
        text=text,
        requests=(),
        latency_s=_sum(turn.latency_s for turn in turns),
        prompt_tokens=_sum(turn.prompt_tokens for turn in turns),
        completion_tokens=_sum(turn.completion_tokens for turn in turns),
        agents=frozenset(routed) if can_route else None,
        steps=tuple(Step(call.name, not call.failed) for call in calls),
        tool_calls=tool_calls(calls, text),
        approval_asked=(
            any(call.name == APPROVAL for call in calls) if APPROVAL in offered else None
        ),
    )


def _sum(values: Iterable[float | None]) -> Any:
    """Return the sum; None when any is unknown."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)
