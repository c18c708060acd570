"""The forms that rows of examples come in: which columns hold the task, and which the answer.

============================  =====================================================
columns                       becomes
============================  =====================================================
``inputs``, ``outputs``       the example as it stands (LangSmith)
``messages``                  the last turn, the assistant's, is the answer
``prompt``, ``completion``    task and answer
``text``, ``response``        task and answer (the CSV form)
``text`` alone                a list of messages, as in AutoTrain's ``train.csv``
``prompt``, ``chosen``,       task and two answers, the better one first (DPO, ORPO)
``rejected``
``problem`` and any of        task and what tells a right answer (GRPO)
``solution``, ``tests``,
``schema``
============================  =====================================================

All rows of a source have one form, that of its first example. Other columns become metadata.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import (
    FORMS,
    Example,
    missing_column,
    parse_example,
    parse_messages,
    wrong_type,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import BadRow
from agent_orchestrator.errors import DatasetError, EmptyRowError

Row = dict[str, Any]
Numbered = tuple[int, Row | DatasetError]
"""A row's line or number, from 1, and the row, or why there is none."""

_PAIRS: Final = (("prompt", "completion"), ("text", "response"))
_PREFERENCE: Final = ("prompt", "chosen", "rejected")
_PROBLEM: Final = ("problem",)
_CHAT: Final = ("text",)
#: Column of a problem → its name in ``outputs``.
_WANTED: Final = {"solution": "answer", "tests": "tests", "schema": "schema"}
_OWN: Final = frozenset({"id", "inputs", "outputs", "metadata", "messages", *_WANTED}).union(
    *_PAIRS, _PREFERENCE, _PROBLEM
)


def examples_of(
    rows: Iterable[Numbered], name: str, prefix: str, *, columns: Mapping[str, str]
) -> Iterator[Example | BadRow]:
    """Yield the rows as examples, all in the form of the first good one.

    ``name`` begins the places that errors name; ``prefix`` and the number make the id of an example
    that has none. ``columns`` says which of their columns is which of ours.
    """
    form: Form | None = None
    for number, row in rows:
        where = f"{name}, line {number}"
        try:
            if isinstance(row, DatasetError):
                raise row
            ours = {columns.get(column, column): value for column, value in row.items()}
            form = form or Form.of(ours, where)
            example = form.example(ours, where, f"{prefix}-{number}")
            _check_storable(example, where)
        except DatasetError as error:
            yield BadRow(where, error)
        else:
            yield example


@dataclass(frozen=True, slots=True)
class Form:
    """How a file's rows hold task and answer, decided by its first row."""

    columns: tuple[str, ...]

    @classmethod
    def of(cls, row: Row, where: str) -> Form:
        """Return the form of a file whose first row is ``row``."""
        if "inputs" in row:
            return cls(("inputs",))
        if "messages" in row:
            return cls(("messages",))
        if "chosen" in row or "rejected" in row:
            return cls(_PREFERENCE)
        if isinstance(row.get("text"), str | list) and "response" not in row and _is_chat(row):
            return cls(_CHAT)
        for columns in (_PROBLEM, *_PAIRS):
            if not set(columns).isdisjoint(row):
                return cls(columns)
        there = ", ".join(repr(name) for name in row) or "none"
        raise DatasetError(f"{where}: no known columns (columns there: {there}).", remedy=FORMS)

    def example(self, row: Row, where: str, default_id: str) -> Example:
        """Return the row as an example; DatasetError names the column that is wrong."""
        self.check(row, where)
        shaped = self._shaped(row, where)
        metadata = shaped.get("metadata") or {}
        if isinstance(metadata, dict):
            others = {key: value for key, value in row.items() if key not in _OWN}
            shaped = {**shaped, "metadata": {**others, **metadata}}
        return parse_example(shaped, where, default_id=default_id)

    def check(self, columns: Collection[str], where: str) -> None:
        """Raise DatasetError for the first column of this form that is not there."""
        for column in self.columns:
            if column not in columns:
                raise missing_column(where, column, list(columns))

    def _shaped(self, row: Row, where: str) -> Row:
        if self.columns == ("inputs",):
            return row
        if self.columns == ("messages",):
            return _from_messages(row, where)
        if self.columns == _CHAT:
            return _from_messages({**row, "messages": row["text"]}, where)
        task, *answers = self.columns
        asked = {**row, "inputs": _task(row, task, where)}
        if self.columns == _PROBLEM:
            return {**asked, "outputs": _right(row, where)}
        given = [_answer(row, column, where) for column in answers]
        if self.columns == _PREFERENCE:
            return {**asked, "outputs": dict(zip(answers, given, strict=True))}
        return {**asked, "outputs": {"answer": given[0]}}


def _from_messages(row: Row, where: str) -> Row:
    turns = parse_messages(_chat(row["messages"], where), where)
    if turns[-1]["role"] != "assistant":
        column = f"messages[{len(turns) - 1}].role"
        raise wrong_type(where, column, "the assistant's answer last", turns[-1]["role"])
    *asked, answer = turns
    if not any(turn["role"] == "user" for turn in asked):
        raise wrong_type(where, "messages", "a user's turn before the answer", row["messages"])
    inputs: dict[str, Any] = {"messages": asked}
    if len(asked) == 1:  # nothing that the task alone would not say
        inputs = {"task": asked[0]["content"]}
    return {**row, "inputs": inputs, "outputs": {"answer": answer["content"]}}


def _is_chat(row: Row) -> bool:
    text = row["text"]
    return isinstance(text, list) or text.lstrip().startswith("[")


def _chat(text: object, where: str) -> object:
    """Return the messages that a cell holds, a list or its JSON."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        raise wrong_type(where, "messages", "a list of messages in JSON", text) from None


def _task(row: Row, column: str, where: str) -> Row:
    """Return the inputs: a text, or a conversation that waits for its answer."""
    asked = row[column]
    if isinstance(asked, list):
        return {"messages": parse_messages(asked, where)}
    if not isinstance(asked, str):
        raise wrong_type(where, column, "text", asked)
    if not asked.strip():
        raise EmptyRowError(
            f"{where}, column {column!r}: the task is empty.", remedy="Correct or remove the row."
        )
    return {"task": asked}


def _answer(row: Row, column: str, where: str) -> str:
    """Return an answer: a text, none, or a conversation of the assistant's turn alone."""
    answer = row[column]
    if isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], Mapping):
        [turn] = parse_messages(answer, where)
        answer = turn["content"] if turn["role"] == "assistant" else turn
    if not isinstance(answer, str | None):
        raise wrong_type(where, column, "text", row[column])
    return answer or ""


def _right(row: Row, where: str) -> Row:
    """Return what tells a right answer to a problem."""
    outputs = {name: row[column] for column, name in _WANTED.items() if row.get(column)}
    if not outputs:
        raise missing_column(where, "solution", list(row))
    return outputs


def _check_storable(example: Example, where: str) -> None:
    try:
        example.line().encode()
    except (TypeError, ValueError) as error:  # a date; half a surrogate pair; an endless number
        raise DatasetError(f"{where}: {error}.", remedy="Correct or remove the row.") from None
