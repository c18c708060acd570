"""Spans on their way to LangSmith, through its real client, to its double."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from tests.doubles.langsmith import KEY, LangSmith

from agent_orchestrator.agents.infrastructure.modelops.tracing.export import (
    TraceDestination,
    TraceExport,
)
from agent_orchestrator.agents.infrastructure.modelops.tracing.redaction import Redaction
from agent_orchestrator.domain.outcomes import Feedback
from agent_orchestrator.serving.tracing import Tracer

SECRET = "correct-horse-battery-staple"


def export_to(url: str, **changes: Any) -> TraceExport:
    """Return an export."""
    most = changes.pop("most", 2_000)
    destination = TraceDestination(endpoint=url, key=KEY, project="traces", **changes)
    return TraceExport(destination, Redaction([SECRET]), most=most)


@pytest.fixture
def export(langsmith: LangSmith) -> Iterator[TraceExport]:
    """Return an export to the double."""
    made = export_to(langsmith.url)
    yield made
    made.close(10)


def test_a_trace_arrives_with_its_tree_and_metadata(langsmith: LangSmith, export: TraceExport):
    """LangSmith has the runs with their parents, inputs, outputs, tags and metadata."""
    metadata = {"agent": "feature_dev", "model_version": "v1.1.0", "rollout_id": None}
    tracer = Tracer(export)
    with tracer.span("deploy", {"agent": "feature_dev", "note": SECRET}, metadata) as root:
        called = {"model": "team/new", "prompt_tokens": 3, "completion_tokens": 4}
        with tracer.span("team/new", {}, called, kind="llm"):
            pass
        root.outputs = {"deployed": True}
    assert export.flush(20)
    [run] = langsmith.runs_named("deploy")
    [call] = langsmith.runs_named("team/new")
    assert (run["inputs"]["agent"], run["outputs"]) == ("feature_dev", {"deployed": True})
    assert run["extra"]["metadata"] == {"agent": "feature_dev", "model_version": "v1.1.0"}
    assert run["tags"] == ["agent:feature_dev", "model_version:v1.1.0"]
    assert call["trace_id"] == call["parent_run_id"] == run["id"]
    assert call["dotted_order"].startswith(run["dotted_order"])
    assert call["extra"]["metadata"]["usage_metadata"]["total_tokens"] == 7
    assert langsmith.sessions[run["session_id"]]["name"] == "traces"
    assert SECRET.encode() not in langsmith.sent()
    assert b"LANGSMITH" not in langsmith.sent()  # nothing about the environment


def test_an_error_is_traced_without_its_secrets(langsmith: LangSmith, export: TraceExport):
    """What went wrong is said, but not with which key."""
    with pytest.raises(ValueError, match="wrong"), Tracer(export).span("train", {}, {}):
        raise ValueError(f"wrong key {SECRET}")
    assert export.flush(20)
    [run] = langsmith.runs_named("train")
    assert run["error"] == "ValueError: wrong key <removed>"


def test_nothing_is_sent_before_there_is_something(langsmith: LangSmith, export: TraceExport):
    """An export that took no span asks nothing and runs no thread."""
    export.close(5)
    assert langsmith.requests == []


def test_a_sample_takes_whole_traces(langsmith: LangSmith):
    """Of many traces about the asked share arrives, each with all its runs."""
    export = export_to(langsmith.url, sample=0.5)
    tracer = Tracer(export)
    for _ in range(200):
        with tracer.span("outer", {}, {}), tracer.span("inner", {}, {}):
            pass
    export.close(30)
    outer, inner = langsmith.runs_named("outer"), langsmith.runs_named("inner")
    assert {run["id"] for run in outer} == {run["trace_id"] for run in inner}
    assert 50 < len(outer) < 150


@pytest.mark.parametrize("fault", ["refuses", "is away"])
def test_langsmith_that_takes_nothing_harms_nobody(langsmith: LangSmith, fault: str):
    """Spans are dropped and counted, the queue is bounded, and the end does not wait for long."""
    langsmith.failing = 422
    export = export_to("http://127.0.0.1:9" if fault == "is away" else langsmith.url, most=20)
    tracer = Tracer(export)
    for _ in range(100):
        with tracer.span("work", {}, {}):
            pass
    while not export.dropped:
        time.sleep(0.01)
    export.close(0.1)
    assert export.dropped >= 20
    with tracer.span("work", {}, {}):  # after the end: not taken, not an error
        pass


def test_slow_langsmith_is_not_waited_for(langsmith: LangSmith):
    """Work goes on while LangSmith has not answered the first batch yet."""
    langsmith.slow_by = 5.0
    export = export_to(langsmith.url)
    tracer = Tracer(export)
    for number in range(300):
        with tracer.span("work", {"number": number}, {"id": str(uuid.UUID(int=number))}):
            pass
    assert langsmith.runs_named("work") == []
    assert not export.flush(0)
    export.close(0)


def test_what_json_cannot_hold_is_told_as_text(langsmith: LangSmith, export: TraceExport):
    """Odd values arrive as their text."""
    with Tracer(export).span("odd", {"path": uuid.UUID(int=1), "bytes": b"abc"}, {}):
        pass
    assert export.flush(20)
    [run] = langsmith.runs_named("odd")
    assert run["inputs"] == {"path": str(uuid.UUID(int=1)), "bytes": "(3 bytes)"}
    assert json.dumps(run)


def test_a_judgement_stands_beside_its_trace(langsmith: LangSmith, export: TraceExport):
    """Feedback on a request reaches the request's root run, with who judged."""
    request_id = str(uuid.uuid4())
    tracer = Tracer(export)
    tracer.request(request_id, "feature_dev", "task", {"messages": []}).failed("no answer")
    tracer.judge(Feedback(request_id, 0.25, "review", 1.8e9))
    assert export.flush(20)
    [given] = langsmith.feedback.values()
    assert (given["run_id"], given["key"], given["score"]) == (request_id, "quality", 0.25)
    assert given["feedback_source"]["metadata"] == {"sent_by": "code-chef", "source": "review"}
    assert given["session_id"] in langsmith.sessions
