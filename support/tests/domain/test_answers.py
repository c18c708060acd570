"""When answers say the same, which has the majority, and what two verdicts come to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.answers import (
    Said,
    agreed_preference,
    is_decided,
    majority,
    normalised,
    preference_by_text,
)


def said(text: str | None = None, *, valid: bool = True, **message: Any) -> Said:
    """Return an answer of one choice."""
    return Said([{"content": text, **message}], valid)


def call(name: str, arguments: str) -> dict[str, Any]:
    """Return a tool call."""
    return {
        "id": f"id-{name}",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (said("yes"), said(" yes \r\n")),
        (said('{"a": 1, "b": [2]}'), said('```json\n{"b":[2],"a":1}\n```')),
        (said("```python\nx = 1\n```"), said("x = 1")),
        (said("é"), said("é")),
        (said([{"type": "text", "text": "hi"}]), said("hi")),
        (
            said(tool_calls=[call("f", '{"a":1,"b":2}'), call("g", "")]),
            said("", tool_calls=[call("g", "{}"), call("f", '{ "b": 2, "a": 1 }')]),
        ),
    ],
)
def test_answers_that_say_the_same_have_one_key(one: Said, other: Said):
    """Layout, fences around the whole and the order of tool calls do not count."""
    assert one.key() == other.key()
    assert preference_by_text(one, other) == 0.5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (said("yes"), said("no")),
        (said("yes"), said("Yes")),
        (said("if x:\n    y"), said("if x:\ny")),
        (said("{not json"), said("{ not json")),
        (said("a"), said("a", tool_calls=[call("f", "{}")])),
        (said(tool_calls=[call("f", "{")]), said(tool_calls=[call("f", "{}")])),
        (said(tool_calls=["odd"]), said()),
    ],
)
def test_different_answers_allow_no_statement(one: Said, other: Said):
    """Text tells that answers differ, never which is better."""
    assert one.key() != other.key()
    assert preference_by_text(one, other) is None


def test_a_valid_answer_beats_an_invalid_one():
    """That much can be said without reading them."""
    good, bad = said("{}"), said("no json", valid=False)
    assert (preference_by_text(bad, good), preference_by_text(good, bad)) == (1.0, 0.0)


@given(st.text())
def test_normalising_is_idempotent(text: str):
    """What is normalised stays as it is, unless a fence or JSON comes to light beneath it."""
    once = normalised(text)
    if not once.startswith(("```", "{", "[")):
        assert normalised(once) == once


@given(st.dictionaries(st.text(), st.integers() | st.text()))
def test_json_counts_by_its_value(value: dict[str, Any]):
    """However it is laid out."""
    assert normalised(json.dumps(value, indent=3)) == normalised(json.dumps(value))


def test_two_verdicts_count_only_when_they_agree():
    """A preference that turns with the order is none."""
    assert agreed_preference(1.0, 1.0) == 1.0
    assert agreed_preference(0.0, 0.0) == 0.0
    assert agreed_preference(1.0, 0.0) == agreed_preference(0.5, 1.0) == 0.5


@pytest.mark.parametrize(
    ("keys", "own", "winner"),
    [
        ({"a": "x", "b": "y", "c": "y"}, "a", "b"),
        ({"a": "x", "b": "y"}, "a", "a"),
        ({"b": "x", "c": "y"}, "c", "c"),
        ({"b": "x", "c": "y"}, "a", "b"),
        ({"a": "x", "b": "y", "c": "y"}, "c", "c"),
    ],
)
def test_the_weightiest_answer_wins_and_a_tie_goes_to_the_own_voice(
    keys: dict[str, str], own: str, winner: str
):
    """Weights are votes; among equals the task's own arm speaks, else the first."""
    assert majority(keys, {"a": 40, "b": 30, "c": 30}, own) == winner


def test_a_vote_is_decided_at_more_than_half():
    """Half is not enough: the rest may agree with another."""
    weights = {"a": 50, "b": 30, "c": 20}
    assert not is_decided({}, weights)
    assert not is_decided({"a": "x"}, weights)
    assert is_decided({"a": "x", "c": "x"}, weights)
    assert not is_decided({"b": "x", "c": "y"}, weights)
