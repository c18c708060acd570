"""What is read from a finished run's tree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.run_trees import (
    RunTree,
    TracedRun,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.traced_runs import answer

BEGIN = datetime(2026, 11, 21, tzinfo=UTC)
AGENTS = {"supervisor", "feature_dev", "cicd"}


def at(seconds: float) -> datetime:
    """Return a moment of the run."""
    return BEGIN + timedelta(seconds=seconds)


def run(name: str, kind: str, began: float, ended: float, *parents: str, **given: Any) -> TracedRun:
    """Return a run; its id is its name and when it began."""
    known: dict[str, Any] = {"inputs": {}, "outputs": {}, "error": None, "metadata": {}, **given}
    return TracedRun(
        id=f"{name}@{began:g}",
        name=name,
        kind=kind,
        started=at(began),
        ended=at(ended),
        parents=parents,
        **known,
    )


def tree(*runs: TracedRun, said: str = "Done.", error: str | None = None) -> RunTree:
    """Return a tree of a root of ten seconds and these."""
    outputs = {} if error else {"answer": said}
    root = run("root", "chain", 0, 10, inputs={"task": "Release 12."}, outputs=outputs, error=error)
    return RunTree(roots=(root,), runs=(root, *runs), metadata={})


def model(began: float, *parents: str, tokens: int | None = 5) -> TracedRun:
    """Return a model call of half a second."""
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens}
    return run("model", "llm", began, began + 0.5, *parents, **usage)


def tool(
    name: str, began: float, output: Any, error: str | None = None, **inputs: Any
) -> TracedRun:
    """Return a tool's call of half a second."""
    outputs = {} if error else {"output": output}
    return run(name, "tool", began, began + 0.5, inputs=inputs, outputs=outputs, error=error)


def test_only_the_outermost_model_calls_count_their_tokens() -> None:
    """A gateway's span inside a chat model's is the same call; one unknown count leaves none."""
    outer = model(1)
    assert answer(tree(outer, model(1.1, outer.id), model(2)), AGENTS).total_tokens == 20
    assert answer(tree(outer, model(2, tokens=None)), AGENTS).total_tokens is None
    assert answer(tree(tool("build", 1, "ok")), AGENTS).total_tokens is None


def test_agents_are_nodes_and_successful_hand_offs() -> None:
    """Neither the supervisor, a tool's node, nor a refused hand-off."""
    nodes = [
        run(name, "chain", 1, 2, metadata={"langgraph_node": name})
        for name in ("supervisor", "tools", "feature_dev")
    ]
    refused = tool("transfer_to_cicd", 3, None, error="ValueError('no')")
    assert answer(tree(*nodes, refused), AGENTS).agents == {"feature_dev"}
    handed = tool("transfer_to_cicd", 4, "ok")
    assert answer(tree(handed), AGENTS).agents == {"cicd"}
    assert answer(tree(model(1)), AGENTS).agents is None


@pytest.mark.parametrize(
    ("parts", "asked"),
    [
        ([model(1)], False),
        ([tool("request_approval", 1, "approved")], True),
        ([run("gate", "chain", 1, 2, error="GraphInterrupt((Interrupt(value=1),))")], True),
        ([run("train", "chain", 1, 2, error="ApprovalRequired: Needs approval ap_1")], True),
        ([run("train", "chain", 1, 2, error="ValueError: ApprovalRequired")], False),
        ([], None),
    ],
)
def test_approval_is_what_the_run_did(parts: list[TracedRun], asked: bool | None) -> None:
    """An interrupt, the tool, or our own error; a run with nothing beneath it recorded neither."""
    assert answer(tree(*parts), AGENTS).approval_asked is asked


def test_a_tool_message_may_say_that_the_call_failed() -> None:
    """Its run ended without an error, as when the tool handles its own."""
    failed = tool("build", 1, {"content": "no runner", "status": "error", "type": "tool"})
    found = answer(tree(model(0.1), failed, model(2), tool("deploy", 3, "ok")), AGENTS)
    assert [(step.name, step.succeeded) for step in found.steps or ()] == [
        ("build", False),
        ("deploy", True),
    ]
    assert [call.handled for call in found.tool_calls or ()] == [True, None]


def test_a_result_is_used_by_a_later_turn_only() -> None:
    """What a model asked for at once knew nothing of the other's result."""
    build = tool("build", 1, '{"image": "app:9f3c"}')
    together = answer(tree(model(0.1), build, tool("deploy", 1.6, "ok", image="app:9f3c")), AGENTS)
    assert [call.result_used for call in together.tool_calls or ()] == [False, None]
    later = tree(model(0.1), build, model(2), tool("deploy", 3, "ok", image="app:9f3c"))
    assert [call.result_used for call in answer(later, AGENTS).tool_calls or ()] == [True, None]
    said = answer(tree(model(0.1), build, model(2), said="It is app:9f3c."), AGENTS)
    assert [call.result_used for call in said.tool_calls or ()] == [True]


def test_a_value_that_was_said_before_proves_nothing() -> None:
    """The task itself named the build."""
    echo = tool("build", 1, "release-12.7", number="release-12.7")
    found = answer(tree(model(0.1), echo, said="release-12.7 is out."), AGENTS)
    assert [call.result_used for call in found.tool_calls or ()] == [None]


def test_a_failed_run_has_no_answer_no_tokens_and_no_latency() -> None:
    """Its steps are there."""
    found = answer(tree(model(1), tool("build", 2, "ok"), error="RuntimeError('x')"), AGENTS)
    assert (found.text, found.total_tokens, found.latency_s) == ("", None, None)
    assert [step.name for step in found.steps or ()] == ["build"]
    assert answer(tree(model(1)), AGENTS).latency_s == 10.0
