"""One example in LangSmith's shape, and what can be read off it.

::

    {"id": "…",
     "inputs":   {"task": "…", "messages": […]},          messages are optional
     "outputs":  {"answer": "…"} or {"code": "…", "tests": "…"} or {"chosen": "…", "rejected": "…"},
     "metadata": {"agent": "…", "success": true, "group": "…", "category": "…", …}}
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict

from agent_orchestrator.errors import DatasetError, EmptyRowError

ROLES: Final = ("system", "user", "assistant", "tool")
_ANSWERS: Final = ("answer", "code", "chosen")


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A task with its right answer. Made by ``parse_example``, which checks the fields' types."""

    id: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """What is asked."""
        return str(self.inputs["task"])

    @property
    def messages(self) -> list[Message]:
        """The conversation to answer; the task as a user's message when none was given."""
        given = self.inputs.get("messages")
        return list(given) if given else [Message(role="user", content=self.task)]

    @property
    def label(self) -> str | None:
        """The answer to learn or to compare with: ``outputs.answer``, ``code`` or ``chosen``."""
        return next((self.outputs[key] for key in _ANSWERS if self.outputs.get(key)), None)

    @property
    def group(self) -> str:
        """Cluster: examples of a group are never split apart.

        ``metadata.group`` (e.g. the source file); else the normalised task itself, so that equal
        tasks stay together.
        """
        return str(self.metadata.get("group") or _digest(normalised(self.task))[:16])

    @property
    def category(self) -> str:
        """For break-downs and stratified samples; empty when the data set has none."""
        return str(self.metadata.get("category", ""))

    @property
    def successful(self) -> bool:
        """False where ``metadata.success`` says so (in a CSV file: the text ``false``)."""
        return str(self.metadata.get("success", True)).lower() not in {"false", "0"}

    def line(self) -> str:
        """Return the canonical JSON: sorted keys, no spaces, not escaped, one line.

        Raises ValueError for numbers that JSON cannot hold.
        """
        row = {
            "id": self.id,
            "inputs": self.inputs,
            "metadata": self.metadata,
            "outputs": self.outputs,
        }
        return json.dumps(
            row, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
        )


def normalised(text: str) -> str:
    """Return ``text`` in NFKC, case folded, with white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def parse_example(row: Mapping[str, Any], where: str, *, default_id: str = "") -> Example:
    """Return the example that ``row`` holds.

    ``where`` (e.g. ``data.jsonl, line 3``) begins the message of the DatasetError that names the
    column with a wrong or missing value.
    """
    inputs = _object(row, "inputs", where)
    outputs = _object(row, "outputs", where, optional=True)
    metadata = _object(row, "metadata", where, optional=True)
    example_id = row.get("id") or default_id
    task = inputs.get("task")
    if not isinstance(example_id, str) or not example_id:
        raise wrong_type(where, "id", "text", row.get("id"))
    if "messages" in inputs:
        inputs = {**inputs, "messages": parse_messages(inputs["messages"], where)}
        task = task if task is not None else _last_user_turn(inputs["messages"])
    if task is None:
        raise missing_column(where, "inputs.task", list(inputs))
    if not isinstance(task, str):
        raise wrong_type(where, "inputs.task", "text", task)
    if not task.strip():
        raise EmptyRowError(f"{where}, column 'inputs.task': the task is empty.", remedy=_FIX_ROW)
    for key in (*_ANSWERS, "rejected"):
        if not isinstance(outputs.get(key, ""), str | None):
            raise wrong_type(where, f"outputs.{key}", "text", outputs[key])
    return Example(
        id=example_id, inputs={**inputs, "task": task}, outputs=outputs, metadata=metadata
    )


def parse_messages(value: object, where: str) -> list[Message]:
    """Return ``value`` as a conversation; DatasetError names the turn that is none."""
    if not isinstance(value, list) or not value:
        raise wrong_type(where, "messages", "a list of {role, content}", value)
    turns: list[Message] = []
    for number, turn in enumerate(value):
        column = f"messages[{number}]"
        if not isinstance(turn, Mapping):
            raise wrong_type(where, column, "an object {role, content}", turn)
        if turn.get("role") not in ROLES:
            raise wrong_type(
                where, f"{column}.role", f"one of {', '.join(ROLES)}", turn.get("role")
            )
        if not isinstance(turn.get("content"), str):
            raise wrong_type(where, f"{column}.content", "text", turn.get("content"))
        turns.append(Message(role=turn["role"], content=turn["content"]))
    return turns


def digest(lines: Sequence[str]) -> str:
    """Return the SHA-256 of the lines as they stand in a file, hexadecimal."""
    return _digest("".join(f"{line}\n" for line in lines))


def missing_column(where: str, column: str, found: Sequence[str]) -> DatasetError:
    """Return the error for a column that is not there."""
    there = ", ".join(repr(name) for name in found) or "none"
    return DatasetError(
        f"{where}, column {column!r}: missing (columns there: {there}).", remedy=FORMS
    )


def wrong_type(where: str, column: str, wanted: str, value: object) -> DatasetError:
    """Return the error for a value of the wrong type."""
    shown = repr(value)
    shown = shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"
    return DatasetError(
        f"{where}, column {column!r}: expected {wanted}, got {shown} ({type(value).__name__}).",
        remedy=_FIX_ROW,
    )


FORMS: Final = (
    "Use one of: inputs + outputs (LangSmith), messages, prompt + completion, text + response, "
    "prompt + chosen + rejected, problem + solution (or tests, schema)."
)
_FIX_ROW: Final = "Correct or remove the row."
_SHOWN: Final = 60


def _object(
    row: Mapping[str, Any], name: str, where: str, *, optional: bool = False
) -> dict[str, Any]:
    value = row.get(name)
    if value is None and optional:
        return {}
    if value is None:
        raise missing_column(where, name, list(row))
    if not isinstance(value, dict):
        raise wrong_type(where, name, "an object", value)
    return value


def _last_user_turn(messages: Sequence[Message]) -> str | None:
    return next((m["content"] for m in reversed(messages) if m["role"] == "user"), None)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
