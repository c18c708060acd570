"""Which answers can be used."""

from __future__ import annotations

from typing import Any

import pytest

from agent_orchestrator.serving.validation import (
    TEXT,
    OutputFormat,
    StreamedAnswer,
    Usage,
    is_valid_completion,
    read_usage,
    wanted_format,
)

ANY_JSON = OutputFormat(json=True)


def call(arguments: object, **more: Any) -> dict[str, Any]:
    """Return a tool's call, or a part of one."""
    return {"id": "c1", "function": {"name": "f", "arguments": arguments}, **more}


CALL = call("{}")


@pytest.mark.parametrize(
    ("message", "valid", "valid_json"),
    [
        ({"content": "hello"}, True, False),
        ({"content": '{"a": 1}'}, True, True),
        ({"content": '{"a": '}, True, False),
        ({"content": "[" * 100_000}, True, False),
        ({"content": '{"a": NaN}'}, True, False),
        ({"content": "[-Infinity]"}, True, False),
        ({"content": "1e999"}, True, False),
        ({"content": "1e9"}, True, True),
        ({"content": ""}, False, False),
        ({"content": " \n"}, False, False),
        ({"content": None}, False, False),
        ({}, False, False),
        ({"content": 3}, False, False),
        ({"content": None, "tool_calls": [CALL]}, True, True),
        ({"content": None, "tool_calls": []}, False, False),
        ({"content": None, "tool_calls": [call('{"path": "a.py"}')]}, True, True),
        ({"content": None, "tool_calls": [call("")]}, True, True),
        ({"content": None, "tool_calls": [CALL, call('{"path": ')]}, False, False),
        ({"content": None, "tool_calls": [call('["a.py"]')]}, False, False),
        ({"content": None, "tool_calls": [call('{"n": NaN}')]}, False, False),
        ({"content": None, "tool_calls": [call({"path": "a.py"})]}, False, False),
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
    assert is_valid_completion(data, TEXT) is valid
    assert is_valid_completion(data, ANY_JSON) is valid_json


def test_every_choice_must_be_usable():
    """One empty choice of two spoils the answer."""
    data = {"choices": [{"message": {"content": "x"}}, {"message": {"content": ""}}]}
    assert not is_valid_completion(data, TEXT)


@pytest.mark.parametrize(
    ("response_format", "wanted"),
    [
        ({"type": "json_object"}, ANY_JSON),
        ({"type": "json_schema", "json_schema": {}}, ANY_JSON),
        ({"type": "json_schema", "json_schema": "odd"}, ANY_JSON),
        (
            {"type": "json_schema", "json_schema": {"schema": {"b": 1, "a": 2}}},
            OutputFormat(json=True, schema='{"a": 2, "b": 1}'),
        ),
        ({"type": "text"}, TEXT),
        ("json", TEXT),
        (None, TEXT),
    ],
)
def test_the_response_format_says_what_is_wanted(response_format: object, wanted: OutputFormat):
    """Only the two JSON formats ask for JSON, and one of them for a shape."""
    assert wanted_format({"response_format": response_format}) == wanted
    assert wanted_format({}) == TEXT


def test_an_answer_must_conform_to_the_schema_that_was_asked_for():
    """Whole or in pieces; JSON of another shape cannot be used."""
    schema = {"type": "object", "required": ["defect"], "properties": {"line": {"minimum": 1}}}
    wanted = wanted_format(
        {"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}
    )
    for text, valid in [
        ('{"defect": "clean"}', True),
        ('{"defect": "x", "line": 0}', False),
        ('{"line": 1}', False),
        ("[]", False),
        ("clean", False),
    ]:
        data = {"choices": [{"message": {"content": text}}]}
        assert is_valid_completion(data, wanted) is valid
        assert streamed(delta(text[:4]), delta(text[4:]), wanted=wanted).valid is valid


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


def streamed(*chunks: dict[str, Any], wanted: OutputFormat = TEXT) -> StreamedAnswer:
    """Return what chunks add up to."""
    answer = StreamedAnswer(wanted)
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
    assert streamed(delta('{"a"'), delta(": 1}"), wanted=ANY_JSON).valid
    assert not streamed(delta('{"a"'), wanted=ANY_JSON).valid


def test_the_parts_of_a_streamed_call_are_put_together():
    """Each call by its place; one that is not whole spoils the answer."""
    begin = delta(tool_calls=[call('{"pa', index=0)])
    other = delta(tool_calls=[call("{}", index=1)])
    end = delta(tool_calls=[{"index": 0, "function": {"arguments": 'th": 1}'}}])
    assert streamed(begin, other, end).valid
    assert not streamed(begin, other).valid


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
