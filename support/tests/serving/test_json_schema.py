"""Checking answers against the schema that a client sent."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.serving.json_schema import conforms

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "object", "required": ["a"]}, {"a": 1}, {}),
        ({"type": "array", "items": {"type": "integer"}}, [1, 2], [1, "2"]),
        ({"enum": ["clean", "defect"]}, "clean", "fine"),
        ({"additionalProperties": False, "properties": {"a": {}}}, {"a": 1}, {"b": 1}),
        ({"$defs": {"n": {"minimum": 0}}, "$ref": "#/$defs/n"}, 1, -1),
        ({"pattern": "^v[0-9]+$"}, "v12", "12"),
        ({"pattern": "^v"}, 3, "x"),
        ({"patternProperties": {"^n_": {"type": "number"}}}, {"n_a": 1, "b": "x"}, {"n_a": "x"}),
        (
            {
                "$schema": "http://json-schema.org/draft-04/schema#",
                "maximum": 3,
                "exclusiveMaximum": True,
            },
            2,
            3,
        ),
    ],
)
def test_a_value_conforms_or_does_not(schema: dict[str, Any], good: object, bad: object) -> None:
    """As the schema's own draft says; 2020-12 when it names none."""
    text = json.dumps(schema)
    assert conforms(good, text)
    assert not conforms(bad, text)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "no such type"},
        "object",
        True,
        {"$ref": "http://127.0.0.1:9/elsewhere"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#"},
        {"pattern": "(?=look)ahead"},
        {"description": "x" * 300_000, "type": "null"},
    ],
)
def test_what_cannot_be_judged_is_not_held_against_the_answer(schema: object) -> None:
    """No schema, one that refers elsewhere or to itself, a pattern of another kind, a huge one."""
    assert conforms({"a": "b"}, json.dumps(schema))
    assert conforms("text", json.dumps(schema))


def test_a_pattern_cannot_stall_the_gateway() -> None:
    """What takes a backtracking engine longer than the age of the earth is answered at once."""
    schema = json.dumps({"pattern": "^(a+)+$"})
    assert not conforms("a" * 5_000 + "b", schema)


@given(JSON)
def test_the_empty_schema_allows_everything(value: object) -> None:
    """And its opposite nothing."""
    assert conforms(value, "{}")
    assert not conforms(value, '{"not": {}}')


@given(JSON)
def test_a_value_conforms_to_the_schema_that_names_it(value: object) -> None:
    """``const`` is equality of JSON values."""
    assert conforms(value, json.dumps({"const": value}))
