"""Whether a JSON value conforms to the schema that its request asked for.

By the ``jsonschema`` library, loaded when the first schema comes. Three things differ from its own
ways, because the schema comes from a client and is checked in the event loop: it is compiled once
and kept, nothing is fetched (a reference to elsewhere is not followed), and patterns run in linear
time (RE2; Python's engine can be stalled for hours by a pattern of a few characters).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

_KEPT = 128
_LONGEST_SCHEMA = 256 * 1024

Conforms = Callable[[Any], bool]


def conforms(value: Any, schema: str) -> bool:
    """Return whether ``value`` conforms to ``schema``, a JSON text.

    What cannot be judged conforms: a text that is no schema, one above 256 KiB or that refers to
    another place, and a pattern that RE2 has not got (look-around, back-references).
    """
    return _compiled(schema)(value)


@lru_cache(maxsize=_KEPT)
def _compiled(text: str) -> Conforms:
    from jsonschema import validators  # noqa: PLC0415 - most processes never see a schema
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    if len(text) > _LONGEST_SCHEMA:
        return _anything
    schema = json.loads(text)
    if not isinstance(schema, dict):
        return _anything
    draft = validators.validator_for(schema, default=validators.Draft202012Validator)
    try:
        draft.check_schema(schema)
    except (SchemaError, RecursionError):
        return _anything
    linear = {"pattern": _pattern, "patternProperties": _pattern_properties}
    extended: Any = validators.extend(draft, linear)  # type: ignore[no-untyped-call]
    nowhere: Any = Registry()  # the library's own would fetch what a schema refers to
    validator = extended(schema, registry=nowhere)

    def is_valid(value: Any) -> bool:
        try:
            return bool(validator.is_valid(value))
        except (Unresolvable, RecursionError):
            return True

    return is_valid


def _anything(_value: Any) -> bool:
    return True


def _pattern(validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[Exception]:
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415

    if validator.is_type(value, "string") and _matches(pattern, value) is False:
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], value: Any, _schema: Any
) -> Iterator[Exception]:
    if validator.is_type(value, "object"):
        for pattern, subschema in patterns.items():
            for key, item in value.items():
                if _matches(pattern, key):
                    yield from validator.descend(item, subschema, path=key, schema_path=pattern)


def _matches(pattern: str, text: str) -> bool | None:
    """Return whether ``pattern`` is found in ``text``; None for one that RE2 has not got."""
    expression = _expression(pattern)
    return None if expression is None else bool(expression.search(text))


@lru_cache(maxsize=_KEPT)
def _expression(pattern: str) -> Any:
    import re2  # noqa: PLC0415

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error:
        return None
