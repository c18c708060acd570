"""Which answers can be used."""

from __future__ import annotations

from typing import Any

import pytest

from agent_orchestrator.serving.validation import (
    StreamedAnswer,
    Usage,
    is_valid_completion,
    read_usage,
    wants_json,
)

CALL = {"id": "c1", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("message", "valid", "valid_json"),
    [
        ({"content": "hello"}, True, False),
        ({"content": '{"a": 1}'}, True, True),
        ({"content": '{"a": '}, True, False),
        ({"content": "[" * 100_000}, True, False),
        ({"content": ""}, False, False),
        ({"content": " \n"}, False, False),
        ({"content": None}, False, False),
        ({}, False, False),
        ({"content": 3}, False, False),
        ({"content": None, "tool_calls": [CALL]}, True, True),
        ({"content": None, "tool_calls": []}, False, False),
        ({"content": None, "refusal": "I won't."}, True, False),
        ({"content": [{"type": "text", "text": "hi"}, "odd", {"type": "image"}]}, True, False),
        ({"content": [{"type": "text", "text": "{}"}]}, True, True),
    ],
)
def test_a_completion_must_say_something_usable(
    message: dict[str, Any], *, valid: bool, valid_json: bool
):
    """Text, a tool call or a refusal is needed; JSON where JSON was asked for."""
    data = {"choices": [{"message": message}]}
    assert is_valid_completion(data, json_wanted=False) is valid
    assert is_valid_completion(data, json_wanted=True) is valid_json


def test_every_choice_must_be_usable():
    """One empty choice of two spoils the answer."""
    data = {"choices": [{"message": {"content": "x"}}, {"message": {"content": ""}}]}
    assert not is_valid_completion(data, json_wanted=False)


@pytest.mark.parametrize(
    ("wanted", "is_json"),
    [
        ({"type": "json_object"}, True),
        ({"type": "json_schema", "json_schema": {}}, True),
        ({"type": "text"}, False),
        ("json", False),
        (None, False),
    ],
)
def test_json_is_wanted_when_the_response_format_says_so(wanted: object, *, is_json: bool):
    """Only the two JSON formats ask for JSON."""
    assert wants_json({"response_format": wanted}) is is_json
    assert not wants_json({})


def test_usage_is_what_the_upstream_says():
    """Nothing is made up for what it does not say."""
    assert read_usage({"usage": {"prompt_tokens": 3, "completion_tokens": 4}}) == Usage(3, 4)
    assert read_usage({"usage": {"prompt_tokens": "3"}}) == Usage(None, None)
    assert read_usage({"usage": {"prompt_tokens": True}}) == Usage(None, None)
    assert read_usage({"usage": None}) is None
    assert read_usage({}) is None


def delta(content: str | None = None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a chunk."""
    return {
        "choices": [{"index": 0, "delta": {"content": content, **more}, "finish_reason": reason}]
    }


def streamed(*chunks: dict[str, Any], json_wanted: bool = False) -> StreamedAnswer:
    """Return what chunks add up to."""
    answer = StreamedAnswer(json_wanted=json_wanted)
    for chunk in chunks:
        answer.add(chunk)
    return answer


def test_a_stream_is_judged_as_the_whole_answer_would_be():
    """Empty, blank, text, tool calls and JSON in pieces."""
    assert not streamed().valid
    assert not streamed(delta(""), delta(reason="stop")).valid
    assert not streamed(delta(" "), delta("\n")).valid
    assert streamed(delta(" "), delta("x"), delta("y")).valid
    assert streamed(delta(tool_calls=[CALL])).valid
    assert streamed(delta(refusal="no")).valid
    assert streamed(delta('{"a"'), delta(": 1}"), json_wanted=True).valid
    assert not streamed(delta('{"a"'), json_wanted=True).valid


def test_a_stream_is_finished_when_every_choice_said_why():
    """Two choices: both must have ended."""
    other = {"choices": [{"index": 1, "delta": {"content": "y"}, "finish_reason": None}]}
    assert not streamed().finished
    assert not streamed(delta("x")).finished
    assert streamed(delta("x"), delta(reason="stop")).finished
    assert not streamed(delta("x", "stop"), other).finished


def test_a_streams_usage_is_that_of_its_last_report():
    """The usage chunk has no choices; chunks without usage do not erase it."""
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    assert streamed(delta("x"), usage, {"choices": []}).usage == Usage(3, 4)
