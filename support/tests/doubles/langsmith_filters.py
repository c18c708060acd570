"""LangSmith's filter language for runs and examples, as far as we speak it.

``and(eq(feedback_key, "score"), gte(feedback_score, 4.0))``, ``has(tags, "prod")``, ``not(…)`` …
Comparisons of feedback that stand in one ``and`` are about one and the same feedback, those of
metadata about one and the same entry: so the service reads them.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

Record = Mapping[str, Any]
"""A run with its ``feedback`` (a list), or an example."""
Test = Callable[[Record], bool]

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<mark>[(),\[\]])|(?P<word>[^\s(),\[\]"']+))"""
)
_WORDS: Final[Mapping[str, Any]] = {"true": True, "false": False, "null": None}


def _contains(value: Any, wanted: Any) -> bool:
    if isinstance(value, Mapping):
        entries = json.loads(wanted) if isinstance(wanted, str) else wanted
        return all(value.get(key) == entry for key, entry in entries.items())
    return wanted in (value or [])


_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_OTHER: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "eq": lambda value, wanted: _like(value, wanted) == _moment(wanted),
    "neq": lambda value, wanted: _like(value, wanted) != _moment(wanted),
    "in": lambda value, wanted: value in wanted,
    "has": _contains,
    "exists": lambda value, wanted: wanted in (value or {}),
    "search": lambda value, wanted: wanted.lower() in json.dumps(value, default=str).lower(),
}


class FilterError(ValueError):
    """The service answers 400 to it."""


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One comparison of a field with a value."""

    operation: str
    field: str
    value: Any

    def holds(self, value: Any) -> bool:
        """Return whether it holds for a field's value."""
        if self.operation in _ORDER:
            wanted = _moment(_seconds(self.value) if self.field == "latency" else self.value)
            return value is not None and _ORDER[self.operation](_like(value, wanted), wanted)
        return bool(_OTHER[self.operation](value, self.value))


def matches(expression: str | None) -> Test:
    """Return the test that a filter says; FilterError when it cannot be read."""
    if not expression:
        return lambda _record: True
    tokens = list(_tokens(expression))
    test = _test(_node(tokens))
    if tokens:
        raise FilterError(f"unexpected {tokens[0]!r} in {expression!r}")
    return test


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    at = 0
    while expression[at:].strip():
        found = _TOKEN.match(expression, at)
        if found is None or found.lastgroup is None:
            raise FilterError(f"cannot read {expression[at:]!r}")
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()


def _node(tokens: list[tuple[str, str]]) -> Any:
    """Return a call as (name, arguments), a list, or a literal; a bare word stays a ``_Name``."""
    if not tokens:
        raise FilterError("the filter ends too early")
    kind, text = tokens.pop(0)
    if kind == "text":
        return json.loads(text) if text[0] == '"' else text[1:-1].replace("\\'", "'")
    if text == "[":
        return _until(tokens, "]")
    if kind == "mark":
        raise FilterError(f"unexpected {text!r}")
    if tokens and tokens[0] == ("mark", "("):
        tokens.pop(0)
        return (text, _until(tokens, ")"))
    if text in _WORDS:
        return _WORDS[text]
    try:
        return float(text)
    except ValueError:
        return _Name(text)


class _Name(str):
    """A field."""

    __slots__ = ()


def _until(tokens: list[tuple[str, str]], end: str) -> list[Any]:
    found = []
    while tokens and tokens[0] != ("mark", end):
        found.append(_node(tokens))
        if tokens and tokens[0] == ("mark", ","):
            tokens.pop(0)
    if not tokens:
        raise FilterError(f"{end!r} is missing")
    tokens.pop(0)
    return found


def _test(node: Any) -> Test:
    match node:
        case ("and", arguments):
            return _all_of(arguments)
        case ("or", arguments):
            tests = [_test(argument) for argument in arguments]
            return lambda record: any(test(record) for test in tests)
        case ("not", [argument]):
            test = _test(argument)
            return lambda record: not test(record)
        case _:
            return _all_of([node])


def _all_of(nodes: Sequence[Any]) -> Test:
    nested = [_test(node) for node in nodes if node[0] in {"and", "or", "not"}]
    compared = [_comparison(node) for node in nodes if node[0] not in {"and", "or", "not"}]
    groups = {
        group: [one for one in compared if _group(one.field) == group]
        for group in ("feedback", "metadata", "")
    }

    def test(record: Record) -> bool:
        return (
            all(one.holds(_field(record, one.field)) for one in groups[""])
            and _some(groups["feedback"], record.get("feedback") or [])
            and _some(groups["metadata"], _entries(record))
            and all(inner(record) for inner in nested)
        )

    return test


def _comparison(node: Any) -> _Comparison:
    match node:
        case ("search", [text]):
            return _Comparison("search", "", text)
        case (str(operation), [_Name() as field, value]) if operation in (
            _ORDER.keys() | _OTHER.keys()
        ):
            return _Comparison(operation, str(field), value)
    raise FilterError(f"cannot read {node!r}")


def _group(field: str) -> str:
    """Return which rows a field is of; "" for the record's own."""
    return next((group for group in ("feedback", "metadata") if field.startswith(f"{group}_")), "")


def _some(comparisons: Sequence[_Comparison], rows: Sequence[Record]) -> bool:
    """Return whether some row satisfies all comparisons."""
    return not comparisons or any(
        all(one.holds(row.get(one.field.partition("_")[2])) for one in comparisons) for row in rows
    )


def _entries(record: Record) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in _metadata(record).items()]


def _metadata(record: Record) -> Mapping[str, Any]:
    return {**((record.get("extra") or {}).get("metadata") or {}), **(record.get("metadata") or {})}


def _field(record: Record, field: str) -> Any:
    if not field:
        return [record.get("name"), record.get("inputs"), record.get("outputs")]
    if field == "metadata":
        return _metadata(record)
    if field == "latency":
        return _latency(record)
    if field == "is_root":
        return record.get("parent_run_id") is None
    return record.get(field)


def _latency(record: Record) -> float | None:
    """Return seconds from start to end."""
    if not record.get("end_time"):
        return None
    return float((_moment(record["end_time"]) - _moment(record["start_time"])).total_seconds())


def _like(value: Any, wanted: Any) -> Any:
    """Return a moment for a text that is compared with one."""
    return _moment(value) if isinstance(_moment(wanted), datetime) else value


def _moment(value: Any) -> Any:
    """Return a date's moment; anything else as it is."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        return moment.astimezone() if moment.tzinfo else datetime.fromisoformat(f"{value}+00:00")
    return value


def _seconds(value: Any) -> float:
    """Return ``5``, ``"5s"`` or ``"200ms"`` in seconds."""
    if not isinstance(value, str):
        return float(value)
    if value.endswith("ms"):
        return float(value[:-2]) / 1000
    return float(value.removesuffix("s"))
