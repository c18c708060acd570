"""Reading OpenAI's wire format."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.serving.wire import (
    Chunk,
    ReportedError,
    WireError,
    error_text,
    read_chunk,
    read_completion,
    split_events,
)

EVENTS = [b": keep-alive\n\n", b'data: {"a": 1}\r\n\r\n', b"data: 2\r\r", b"data: [DONE]\n\n"]


async def parts_of(parts: Sequence[bytes]) -> AsyncIterator[bytes]:
    """Give parts as a connection does."""
    for part in parts:
        yield part


@given(st.sets(st.integers(1, sum(map(len, EVENTS)) - 1)))
async def test_events_are_the_same_wherever_the_network_cuts(cuts: set[int]):
    """Every event comes whole, byte for byte, however its bytes arrive."""
    whole = b"".join(EVENTS)
    edges = [0, *sorted(cuts), len(whole)]
    parts = [whole[a:b] for a, b in pairwise(edges)]
    assert [event async for event in split_events(parts_of(parts))] == EVENTS


async def test_an_event_is_there_with_its_last_byte():
    """An event is not held back until the next one comes."""
    stream = split_events(parts_of([b"data: 1\n\n", b"data: 2\n\n"]))
    assert await anext(stream) == b"data: 1\n\n"


async def test_a_last_event_without_a_blank_line_is_completed():
    """Some servers forget the blank line after [DONE]."""
    assert [e async for e in split_events(parts_of([b"data: [DONE]"]))] == [b"data: [DONE]\n\n"]


async def test_an_endless_event_is_refused():
    """A peer that never ends an event does not fill the memory."""
    with pytest.raises(WireError, match="longer than"):
        async for _ in split_events(parts_of([b"data: " + b"x" * 3_000_000] * 2)):
            pass


def test_a_chunk_is_read_with_its_data():
    """Data lines are joined, comments have none, [DONE] is known."""
    event = b'event: x\r\ndata: {"choices":\r\ndata: []}\r\n\r\n'
    assert read_chunk(event) == Chunk(event, {"choices": []})
    assert read_chunk(b": waiting\n\n") == Chunk(b": waiting\n\n", None)
    assert read_chunk(b"data: [DONE]\n\n").is_done


@pytest.mark.parametrize(
    "payload",
    [
        "nonsense",
        "[]",
        '{"choices": 3}',
        '{"choices": [3]}',
        '{"choices": [{"delta": 3}]}',
        '{"choices": [{"delta": {"content": 3}}]}',
        '{"choices": [{"index": "a"}]}',
        "[" * 100_000,
    ],
)
def test_a_malformed_chunk_is_refused(payload: str):
    """What does not look like a chunk is an error of the wire, not a crash later on."""
    with pytest.raises(WireError):
        read_chunk(f"data: {payload}\n\n".encode())


@pytest.mark.parametrize(
    "payload", ["", "nonsense", "[]", "{}", '{"choices": []}', '{"choices": [{"text": "x"}]}']
)
def test_a_malformed_completion_is_refused(payload: str):
    """An answer without a message is none."""
    with pytest.raises(WireError):
        read_completion(payload.encode())


@pytest.mark.parametrize(
    ("error", "said"),
    [({"message": "out of\nmemory"}, "out of memory"), ("no such model", "no such model")],
)
def test_an_error_inside_an_answer_is_reported(error: object, said: str):
    """OpenRouter sends errors with status 200; their text is kept, in one line."""
    raw = json.dumps({"error": error}).encode()
    with pytest.raises(ReportedError, match=said):
        read_completion(raw)
    with pytest.raises(ReportedError, match=said):
        read_chunk(b"data: " + raw + b"\n\n")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "no model", "code": 404}}, "no model"),
        ({"error": "no model"}, "no model"),
        ({"object": "error", "message": "no model"}, "no model"),
        ({"detail": "no model"}, "no model"),
        ({"detail": [{"loc": ["body"], "msg": "Field required"}]}, "Field required"),
        ({"error": {"code": 7}}, "{'code': 7}"),
        ({"status": "no model"}, "no model"),
    ],
)
def test_an_error_is_read_wherever_servers_write_it(body: dict, said: str):
    """OpenAI's object, an older vLLM's, FastAPI's; else the whole of it."""
    assert said in error_text(body)


@pytest.mark.parametrize(
    ("payload", "ends"),
    [
        (b"[DONE]", True),
        (b'{"choices": [{"delta": {}, "finish_reason": "stop"}]}', True),
        (b'{"choices": [{"delta": {"content": "x"}, "finish_reason": null}]}', False),
        (b'{"choices": []}', False),
    ],
)
def test_the_end_of_an_answer_is_known(payload: bytes, *, ends: bool):
    """[DONE] ends an answer, and so does a finish reason, as some servers send only that."""
    assert read_chunk(b"data: " + payload + b"\n\n").ends_answer is ends
