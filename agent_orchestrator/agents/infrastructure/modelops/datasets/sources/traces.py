"""Recorded calls as examples: what was asked, what was answered, in the shapes that tracers write.

Inputs and outputs of a run are whatever the traced function took and gave. Known shapes, in this
order: ours (``task``, ``messages``; ``answer``, ``code``, ``chosen``), chat messages of OpenAI's or
LangChain's form, and a mapping with one text. Anything else is a bad row that says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import (
    Example,
    parse_example,
    wrong_type,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import BadRow
from agent_orchestrator.errors import DatasetError

_OURS: Final = frozenset({"answer", "code", "chosen", "tests", "schema"})
#: LangChain's names of who speaks → OpenAI's.
_ROLES: Final[Mapping[str, str]] = {
    "human": "user",
    "HumanMessage": "user",
    "ai": "assistant",
    "AIMessage": "assistant",
    "AIMessageChunk": "assistant",
    "system": "system",
    "SystemMessage": "system",
    "tool": "tool",
    "ToolMessage": "tool",
}


def example_of(
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    metadata: Mapping[str, Any],
    *,
    example_id: str,
    where: str,
) -> Example | BadRow:
    """Return a recorded call as an example, or why it is none."""
    try:
        row = {
            "id": example_id,
            "inputs": _inputs(inputs, where),
            "outputs": _outputs(outputs),
            "metadata": dict(metadata),
        }
        return parse_example(row, where)
    except DatasetError as error:
        return BadRow(where, error)


def _inputs(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    if "task" in given:
        return dict(given)
    turns = _messages(given.get("messages"))
    if turns:
        return {"messages": turns}
    texts = {key: value for key, value in given.items() if isinstance(value, str)}
    if len(texts) != 1:
        raise wrong_type(where, "inputs", "a task, messages, or one text", dict(given))
    return {"task": next(iter(texts.values()))}


def _outputs(given: Mapping[str, Any]) -> dict[str, Any]:
    if _OURS & given.keys():
        return dict(given)
    answer = answer_of(given)
    return {"answer": answer} if answer else {}


def answer_of(given: Mapping[str, Any]) -> str | None:
    """Return the text that a call's outputs hold, None when there is none or several."""
    for value in (given.get("messages"), _first(given.get("choices")), _generation(given)):
        turns = _messages(value if isinstance(value, list) else [value])
        if turns and turns[-1]["role"] == "assistant":
            return turns[-1]["content"]
    content = given.get("content")
    if isinstance(content, str):
        return content
    texts = [value for value in given.values() if isinstance(value, str)]
    return texts[0] if len(texts) == 1 else None


def _first(choices: object) -> object:
    """Return the message of an OpenAI answer's first choice."""
    choice = choices[0] if isinstance(choices, list) and choices else None
    return choice.get("message") if isinstance(choice, Mapping) else None


def _generation(given: Mapping[str, Any]) -> object:
    """Return the message of a LangChain model's first generation."""
    found: object = given.get("generations")
    while isinstance(found, list) and found:
        found = found[0]
    return found.get("message") if isinstance(found, Mapping) else None


def _messages(value: object) -> list[dict[str, str]] | None:
    """Return chat messages as ``{role, content}``, None when they are not some."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]  # LangChain's models take a batch
    if not isinstance(value, list) or not value:
        return None
    turns = [_message(item) for item in value]
    return [turn for turn in turns if turn] if all(turns) else None


def _message(item: object) -> dict[str, str] | None:
    if not isinstance(item, Mapping):
        return None
    kwargs = item.get("kwargs")
    fields = kwargs if isinstance(kwargs, Mapping) else item
    kind = fields.get("role") or fields.get("type") or _class_name(item.get("id"))
    role = _ROLES.get(str(kind), str(kind))
    content = text_of(fields.get("content"))
    if role not in {"system", "user", "assistant", "tool"} or content is None:
        return None
    return {"role": role, "content": content}


def _class_name(path: object) -> object:
    return path[-1] if isinstance(path, Sequence) and not isinstance(path, str) and path else None


def text_of(content: object) -> str | None:
    """Return a message's text; of several parts, the text parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    parts = [part.get("text", "") if isinstance(part, Mapping) else str(part) for part in content]
    return "".join(map(str, parts))
