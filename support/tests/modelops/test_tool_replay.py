"""Runs with recorded tools: what a model did is read, what it says is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import (
    ModelAnswer,
    Step,
    ToolRequest,
    expectation,
    score,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.tool_replay import (
    play,
    recorded_tools,
)
from agent_orchestrator.errors import DatasetError

TARGETS = {"target_tokens": 2000.0, "latency_limit_s": 5.0}


def tool(name: str) -> dict[str, Any]:
    """Return a tool as a request has it."""
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


def example(results: Mapping[str, Any], **metadata: Any) -> Example:
    """Return an example that offers these tools."""
    inputs = {
        "task": "Release build 12.",
        "tools": [tool(name) for name in results],
        "tool_results": dict(results),
    }
    return Example(id="e1", inputs=inputs, outputs={}, metadata=metadata)


def call(name: str, **arguments: Any) -> ToolRequest:
    """Return a call as a model asks for it."""
    return ToolRequest(f"id_{name}", name, json.dumps(arguments))


class Scripted:
    """A model that takes these turns."""

    def __init__(self, *turns: str | list[ToolRequest]) -> None:
        self.turns = list(turns)
        self.bodies: list[Mapping[str, Any]] = []

    async def __call__(self, model: str, body: Mapping[str, Any], /) -> ModelAnswer:
        """Take the next turn; 1 s, 10 + 2 tokens."""
        self.bodies.append(body)
        turn = self.turns.pop(0)
        text, requests = (turn, ()) if isinstance(turn, str) else ("", tuple(turn))
        return ModelAnswer(
            text=text, requests=requests, latency_s=1.0, prompt_tokens=10, completion_tokens=2
        )


async def run(
    found: Example, *turns: str | list[ToolRequest], max_turns: int = 8
) -> tuple[ModelAnswer, dict[str, float], Scripted]:
    """Run the example with a scripted model; return the run, its scores and the model."""
    model = Scripted(*turns)
    tools = recorded_tools(found)
    answer = await play(model, "m", {"messages": found.messages}, tools, max_turns=max_turns)
    return answer, score(expectation(found, **TARGETS), answer), model


async def test_a_run_is_routed_worked_and_approved_by_what_it_calls():
    """Hand-offs, steps, results that were used and the request for approval are all measured."""
    found = example(
        {
            "transfer_to_cicd": "handed over",
            "build": '{"image": "registry/app:9f3c"}',
            "request_approval": "approved",
            "deploy": "done",
        },
        expected_agents=["cicd"],
        expected_steps=["build", "deploy"],
        approval_required=True,
    )
    answer, scores, model = await run(
        found,
        [call("transfer_to_cicd")],
        [call("build", number=12)],
        [call("request_approval")],
        [call("deploy", image="registry/app:9f3c")],
        "It is out.",
    )
    assert answer.agents == {"cicd"}
    assert answer.steps[1] == Step("build", succeeded=True)
    assert (answer.latency_s, answer.total_tokens) == (5.0, 60)
    whole = ("agent_routing_accuracy", "workflow_completeness", "risk_assessment_accuracy")
    assert [scores[metric] for metric in (*whole, "mcp_integration_quality")] == [1.0] * 4
    roles = [message["role"] for message in model.bodies[-1]["messages"]]
    assert roles == ["user", *["assistant", "tool"] * 4]


async def test_an_answer_that_only_talks_of_steps_scores_nothing():
    """Words about agents, tools, steps and approval are no hand-off, no call and no question."""
    found = example(
        {"transfer_to_cicd": "ok", "build": "image 9f3c", "request_approval": "approved"},
        expected_agents=["cicd"],
        expected_steps=["build"],
        approval_required=True,
    )
    boast = (
        "I routed this to cicd (transfer_to_cicd), the build step succeeded, all tool calls "
        "succeeded with image 9f3c, and I called request_approval: approval was granted. Complete!"
    )
    _, scores, _ = await run(found, boast)
    assert scores["agent_routing_accuracy"] == 0.0
    assert scores["workflow_completeness"] == 0.0
    assert scores["risk_assessment_accuracy"] == 0.0
    assert "mcp_integration_quality" not in scores


async def test_naming_a_tool_without_calling_it_uses_no_result():
    """A result is used by its values, not by words that stood in the conversation before."""
    found = example({"read_log": "error E4711 in build 12"})
    answer, _, _ = await run(found, [call("read_log")], "I used read_log on build 12: an error.")
    assert answer.tool_calls[0].result_used is False
    answer, _, _ = await run(found, [call("read_log")], "It failed with e4711.")
    assert answer.tool_calls[0].result_used is True
    answer, _, _ = await run(found, [call("read_log")], "It failed with E47110.")
    assert answer.tool_calls[0].result_used is False


async def test_a_result_without_anything_to_trace_counts_neither_way():
    """Plain prose cannot be told from the answer's own words, so nobody claims to have."""
    answer, scores, _ = await run(example({"build": "all is well"}), [call("build")], "all is well")
    assert answer.tool_calls[0].result_used is None
    assert scores["mcp_integration_quality"] == 1.0


async def test_a_failed_call_is_handled_when_the_run_goes_on_and_answers():
    """A retry that succeeds handles the failure; giving up, or apologising, does not."""
    found = example({"build": [{"error": "no runner"}, "image 9f3c"]})
    answer, scores, _ = await run(found, [call("build")], [call("build")], "Image 9f3c is built.")
    assert answer.tool_calls[0].handled is True
    assert scores["mcp_integration_quality"] == pytest.approx(0.5 * 0.5 + 0.25 + 0.25)
    answer, _, _ = await run(found, [call("build")], "Sorry, I handled the error gracefully.")
    assert answer.tool_calls[0].handled is False


async def test_calls_of_one_turn_cannot_use_each_others_results():
    """They were made before any result was there: a value that both hold proves nothing."""
    found = example({"look": "key K-77", "take": "fine"})
    answer, _, _ = await run(found, [call("look"), call("take", key="K-77")], "Done.")
    assert answer.tool_calls[0].result_used is None


async def test_calls_that_cannot_be_answered_fail():
    """An unknown tool, one without a result, and arguments that are no object: failed steps."""
    found = example({"build": "ok"})
    bad = ToolRequest("x", "build", "[1]")
    answer, _, _ = await run(found, [call("deploy"), bad], "Done.")
    assert [step.succeeded for step in answer.steps] == [False, False]


async def test_a_run_that_never_answers_ends():
    """After the last turn there is no answer, and what it did still stands."""
    found = example({"build": "ok"}, expected_steps=["build"])
    answer, scores, _ = await run(found, *[[call("build")]] * 3, max_turns=3)
    assert answer.text == ""
    assert answer.requests == ()
    assert len(answer.steps) == 3
    assert scores["workflow_completeness"] == 1.0


async def test_what_was_not_offered_is_not_measured():
    """Without a hand-off tool there is no routing, without request_approval no risk assessment."""
    found = example({"build": "ok"}, expected_agents=["cicd"], approval_required=True)
    answer, scores, _ = await run(found, [call("build")], "Done.")
    assert (answer.agents, answer.approval_asked) == (None, None)
    assert not {"agent_routing_accuracy", "risk_assessment_accuracy"} & scores.keys()


@pytest.mark.parametrize(
    "inputs",
    [
        {"tools": "build"},
        {"tools": [{"name": "build"}]},
        {"tools": [tool("build")], "tool_results": ["ok"]},
        {"tools": [tool("build")], "tool_results": {"build": 7}},
        {"tools": [tool("build")], "tool_results": {"build": []}},
    ],
)
def test_wrong_tools_are_refused_by_name(inputs: dict[str, Any]):
    """The example and the column are named."""
    with pytest.raises(DatasetError, match=r"Example 'e1', column 'inputs\.tool"):
        recorded_tools(Example(id="e1", inputs={"task": "t", **inputs}, outputs={}))


def test_an_example_without_tools_has_none():
    """It is asked once, as before."""
    assert recorded_tools(Example(id="e1", inputs={"task": "t"}, outputs={})) is None


texts = st.text(max_size=40)
requests = st.builds(ToolRequest, st.just("id"), st.sampled_from(["a", "b", "c", ""]), texts)


@given(
    st.lists(st.lists(requests, min_size=1, max_size=3), max_size=4),
    texts,
    st.lists(texts | texts.map(lambda text: {"error": text}), min_size=1, max_size=3),
)
async def test_whatever_a_model_calls_is_recorded_and_scored_between_0_and_1(
    turns: list[list[ToolRequest]], text: str, results: list[Any]
):
    """No call is lost, none raises, and every score is in range."""
    found = example({"a": results, "b": "ok"}, expected_steps=["a", "b"])
    answer, scores, _ = await run(found, *turns, text)
    assert len(answer.tool_calls) == sum(map(len, turns))
    assert all(0.0 <= value <= 1.0 for value in scores.values())
