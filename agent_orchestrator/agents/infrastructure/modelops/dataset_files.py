"""Examples from a user's own file: JSONL or CSV, in any of the forms that trainers use.

============================  =====================================================
columns                       becomes
============================  =====================================================
``inputs``, ``outputs``       the example as it stands (LangSmith)
``messages``                  the last turn, the assistant's, is the answer
``prompt``, ``completion``    task and answer
``text``, ``response``        task and answer (the CSV form)
``prompt``, ``chosen``,       task and two answers, the better one first (DPO)
``rejected``
``problem`` and any of        task and what tells a right answer (GRPO)
``solution``, ``tests``,
``schema``
============================  =====================================================

All rows of a file have one form, that of its first row. Other columns become metadata.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent_orchestrator.agents.infrastructure.modelops.examples import (
    FORMS,
    Example,
    missing_column,
    parse_example,
    parse_messages,
    wrong_type,
)
from agent_orchestrator.errors import DatasetError

Row = dict[str, Any]
_PAIRS: Final = (("prompt", "completion"), ("text", "response"))
_PREFERENCE: Final = ("prompt", "chosen", "rejected")
_PROBLEM: Final = ("problem",)
#: Column of a problem → its name in ``outputs``.
_WANTED: Final = {"solution": "answer", "tests": "tests", "schema": "schema"}
_OWN: Final = frozenset({"id", "inputs", "outputs", "metadata", "messages", *_WANTED}).union(
    *_PAIRS, _PREFERENCE, _PROBLEM
)
_MIN_ROWS: Final = 2


def read_examples(path: Path) -> list[Example]:
    """Return the examples of a ``.jsonl`` or ``.csv`` file.

    Raises DatasetError that names file, line and column, and what to do about it.
    """
    readers = {".jsonl": _jsonl_rows, ".csv": _csv_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DatasetError(
            f"{path.name}: {path.suffix!r} is not a known kind of data file.",
            remedy="Use .jsonl or .csv.",
        )
    try:
        if not path.is_file():
            raise DatasetError(
                f"There is no data file {str(path)!r}.", remedy="Check the path and its spelling."
            )
        examples = _read(path, reader)
    except OSError as error:
        raise DatasetError(
            f"{path.name} cannot be read: {error.strerror}.",
            remedy="Check the path and its rights.",
        ) from error
    _check_whole(path, examples)
    return examples


def _read(path: Path, reader: Callable[[Path], Iterator[tuple[int, Row]]]) -> list[Example]:
    """Return the file's rows as examples, all in the form of the first, with ids of their own."""
    examples: list[Example] = []
    lines: dict[str, int] = {}
    form: Form | None = None
    for line, row in reader(path):
        where = f"{path.name}, line {line}"
        form = form or Form.of(row, where)
        example = form.example(row, where, f"{path.stem}-{line}")
        if example.id in lines:
            raise DatasetError(
                f"{where}, column 'id': {example.id!r} stands in line {lines[example.id]} too.",
                remedy="Give every example an id of its own, or leave the column out.",
            )
        _check_storable(example, where)
        lines[example.id] = line
        examples.append(example)
    return examples


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
        for columns in (_PROBLEM, *_PAIRS):
            if not set(columns).isdisjoint(row):
                return cls(columns)
        there = ", ".join(repr(name) for name in row) or "none"
        raise DatasetError(f"{where}: no known columns (columns there: {there}).", remedy=FORMS)

    def example(self, row: Row, where: str, default_id: str) -> Example:
        """Return the row as an example; DatasetError names the column that is wrong."""
        for column in self.columns:
            if column not in row:
                raise missing_column(where, column, list(row))
        shaped = self._shaped(row, where)
        metadata = shaped.get("metadata") or {}
        if isinstance(metadata, dict):
            others = {key: value for key, value in row.items() if key not in _OWN}
            shaped = {**shaped, "metadata": {**others, **metadata}}
        return parse_example(shaped, where, default_id=default_id)

    def _shaped(self, row: Row, where: str) -> Row:
        if self.columns == ("inputs",):
            return row
        if self.columns == ("messages",):
            return _from_messages(row, where)
        task, *answers = self.columns
        asked = {**row, "inputs": _task(row, task, where)}
        if self.columns == _PROBLEM:
            return {**asked, "outputs": _right(row, where)}
        given = [_answer(row, column, where) for column in answers]
        if self.columns == _PREFERENCE:
            return {**asked, "outputs": dict(zip(answers, given, strict=True))}
        return {**asked, "outputs": {"answer": given[0]}}


def _from_messages(row: Row, where: str) -> Row:
    turns = parse_messages(row["messages"], where)
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


def _task(row: Row, column: str, where: str) -> Row:
    """Return the inputs: a text, or a conversation that waits for its answer."""
    asked = row[column]
    if isinstance(asked, list):
        return {"messages": parse_messages(asked, where)}
    if not isinstance(asked, str):
        raise wrong_type(where, column, "text", asked)
    if not asked.strip():
        raise DatasetError(
            f"{where}, column {column!r}: the task is empty.", remedy="Correct or remove the row."
        )
    return {"task": asked}


def _answer(row: Row, column: str, where: str) -> str:
    if not isinstance(row[column], str | None):
        raise wrong_type(where, column, "text", row[column])
    return row[column] or ""


def _right(row: Row, where: str) -> Row:
    """Return what tells a right answer to a problem."""
    outputs = {name: row[column] for column, name in _WANTED.items() if row.get(column)}
    if not outputs:
        raise missing_column(where, "solution", list(row))
    return outputs


def _check_storable(example: Example, where: str) -> None:
    try:
        example.line().encode()
    except ValueError as error:  # half a surrogate pair, a number beyond all bounds
        raise DatasetError(f"{where}: {error}.", remedy="Correct or remove the row.") from None


def _check_whole(path: Path, examples: Sequence[Example]) -> None:
    if not examples:
        raise DatasetError(f"{path.name} holds no example.", remedy=f"Fill the file. {FORMS}")
    if len(examples) < _MIN_ROWS:
        raise DatasetError(
            f"{path.name} holds one example; training and evaluation need at least one each.",
            remedy="Add examples; some hundreds are a good start.",
        )
    if all(example.label is None for example in examples):
        raise DatasetError(
            f"{path.name}: no example has an answer.",
            remedy="Fill outputs.answer (or completion, response, the assistant's turn).",
        )


def _jsonl_rows(path: Path) -> Iterator[tuple[int, Row]]:
    for number, text in _lines(path):
        if not text.strip():
            continue
        where = f"{path.name}, line {number}"
        try:
            row = json.loads(text.rstrip("\r\n"), parse_constant=_no_constant)
        except ValueError as error:  # JSONDecodeError is one
            column = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise DatasetError(
                f"{where}{column}: not JSON: {reason}.", remedy="Write one JSON object a line."
            ) from None
        except RecursionError:
            raise DatasetError(
                f"{where}: nested too deeply.", remedy="Correct or remove the row."
            ) from None
        if not isinstance(row, dict):
            raise wrong_type(where, "(row)", "a JSON object", row)
        yield number, row


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _csv_rows(path: Path) -> Iterator[tuple[int, Row]]:
    reader = csv.reader((line for _, line in _lines(path)), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        _check_header(header, path)
        for row in filter(None, reader):
            where = f"{path.name}, line {reader.line_num}"
            if len(row) != len(header):
                raise DatasetError(
                    f"{where}: {len(row)} columns, the header has {len(header)}.",
                    remedy='Put values with a comma, a quote or a new line in "quotes".',
                )
            yield reader.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise DatasetError(
            f"{path.name}, line {reader.line_num}: not CSV: {error}.",
            remedy="Correct the quoting, or use .jsonl.",
        ) from None


def _check_header(header: Sequence[str], path: Path) -> None:
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise DatasetError(
            f"{path.name}, line 1: column {min(twice)!r} stands there twice.",
            remedy="Give every column a name of its own.",
        )
    if any(set(pair) <= set(header) for pair in _PAIRS):
        return
    wanted = next((p for p in _PAIRS if not set(p).isdisjoint(header)), _PAIRS[-1])
    absent = next(name for name in wanted if name not in header)
    raise missing_column(f"{path.name}, line 1", absent, header)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, line with its ending); DatasetError names a line that is not UTF-8."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DatasetError(
                    f"{path.name}, line {number}, byte {error.start + 1}: not UTF-8.",
                    remedy="Save the file as UTF-8.",
                ) from None
