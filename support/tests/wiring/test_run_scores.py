"""Finished runs of a real LangGraph, traced by the real client, scored through the coordinator."""

import json
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt
from langsmith import Client, tracing_context
from tests.doubles.langsmith import KEY, LangSmith
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.run_scores import (
    RunScores,
    ScoreRuns,
)
from agent_orchestrator.errors import DatasetError, InputError
from agent_orchestrator.wiring.embedded import compose

USAGE = {"input_tokens": 900, "output_tokens": 100, "total_tokens": 1000}
EXPECTED = {
    "expected_agents": ["cicd"],
    "expected_steps": ["build", "deploy"],
    "approval_required": True,
    "target_tokens": 1500,
}


@tool
def build(number: int) -> str:
    """Build a release."""
    if number == 13:
        raise ValueError("no runner is free")
    return json.dumps({"image": f"app:9f{number}"})


@tool
def deploy(image: str) -> str:
    """Deploy an image."""
    return f"{image} is deployed"


def calling(name: str, **arguments: Any) -> AIMessage:
    """Return a model's turn that calls a tool."""
    call = {"name": name, "args": arguments, "id": f"call_{name}_{len(str(arguments))}"}
    return AIMessage("", tool_calls=[call], usage_metadata=USAGE)


def team(*turns: AIMessage, gate: bool = True) -> Any:
    """Return a graph: a supervisor, cicd with its tools, and an approval before it ends."""
    model = GenericFakeChatModel(messages=iter(turns))

    def ask(_state: MessagesState) -> dict[str, Any]:
        interrupt({"kind": "approval", "summary": "Deploy?"})
        return {}

    def after(state: MessagesState) -> str:
        calls = getattr(state["messages"][-1], "tool_calls", [])
        return "tools" if calls else "gate" if gate else "__end__"

    graph = StateGraph(MessagesState)
    graph.add_node("supervisor", lambda _state: Command(goto="cicd"))
    graph.add_node("cicd", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode([build, deploy], handle_tool_errors=True))
    graph.add_node("gate", ask)
    graph.add_edge(START, "supervisor")
    graph.add_edge("tools", "cicd")
    graph.add_conditional_edges("cicd", after)
    return graph.compile(checkpointer=InMemorySaver())


def good(*, gate: bool = True) -> Any:
    """Return a team that fails once, goes on, and uses what it was given."""
    turns = (calling("build", number=13), calling("build", number=12))
    last = AIMessage("Deployed.", usage_metadata=USAGE)
    return team(*turns, calling("deploy", image="app:9f12"), last, gate=gate)


@pytest.fixture
def client(langsmith: LangSmith) -> Iterator[Client]:
    """Return a client that traces to the double."""
    client = Client(api_url=langsmith.url, api_key=KEY)
    yield client
    client.close()


def work(client: Client, graph: Any, thread: str, given: Any = None, **metadata: Any) -> None:
    """Let a team work under tracing, until it ends or waits."""
    about = {"agent": "cicd", **EXPECTED, **metadata}
    config = {"configurable": {"thread_id": thread}, "metadata": about}
    with tracing_context(enabled=True, client=client, project_name="shop"):
        graph.invoke(given or {"messages": [HumanMessage("Release 13, else 12.")]}, config)
    client.flush()


def score(workspace: Workspace, langsmith: LangSmith, **request: Any) -> RunScores:
    """Score the agent's runs as every door does."""
    workspace.variables |= {"LANGSMITH_API_KEY": KEY, "LANGSMITH_ENDPOINT": langsmith.url}
    given = {"agent": "cicd", "project": "shop", **request}
    coordinator = compose(workspace.settings()).coordinator
    found = anyio.run(coordinator.run, "score_runs", ScoreRuns(**given), Caller("ada", "cli"))
    assert isinstance(found, RunScores)
    return found


def means(found: RunScores) -> dict[str, float]:
    """Return metric → mean."""
    return {score.metric: score.mean for score in found.scores}


def test_the_six_evaluators_read_a_run_that_waited_for_a_person(
    workspace: Workspace, langsmith: LangSmith, client: Client
) -> None:
    """Both traces of the thread are one run: agents, steps, tools, approval, tokens, time."""
    graph = good()
    thread = 'the "first", (1)'
    work(client, graph, thread)
    work(client, graph, thread, Command(resume={"approval_id": "ap_1"}))
    found = score(workspace, langsmith)
    assert (found.n_runs, found.unfinished_runs, found.failed_runs) == (1, 0, 0)
    assert found.avg_tokens == 4 * 1000
    assert found.avg_latency_s is not None
    scores = means(found)
    assert scores.pop("latency_threshold") > 0.0
    assert scores == {
        "agent_routing_accuracy": 1.0,
        "workflow_completeness": 1.0,
        "token_efficiency": pytest.approx(1500 / 4000),
        # ½ · 2 of 3 calls succeeded + ¼ · the image is used + ¼ · the failure was handled
        "mcp_integration_quality": pytest.approx(0.5 * 2 / 3 + 0.25 + 0.25),
        "risk_assessment_accuracy": 1.0,
    }


def test_a_run_that_only_says_it_did_scores_nothing_for_it(
    workspace: Workspace, langsmith: LangSmith, client: Client
) -> None:
    """What the answer claims counts for no step, no approval and no tool."""
    claim = AIMessage("I built it, asked for approval, and deployed.", usage_metadata=USAGE)
    work(client, team(claim, gate=False), "t1")
    scores = means(score(workspace, langsmith))
    assert scores["workflow_completeness"] == scores["risk_assessment_accuracy"] == 0.0
    assert "mcp_integration_quality" not in scores


def test_a_run_that_still_waits_is_left_out_and_counted(
    workspace: Workspace, langsmith: LangSmith, client: Client
) -> None:
    """Its steps are not done; nor is what follows an interrupt a run of its own."""
    work(client, good(gate=False), "done")
    work(client, good(), "waits")
    found = score(workspace, langsmith)
    assert (found.n_runs, found.unfinished_runs) == (1, 1)
    assert means(found)["risk_assessment_accuracy"] == 0.0


def test_a_run_that_failed_is_not_quick(
    workspace: Workspace, langsmith: LangSmith, client: Client
) -> None:
    """It has steps, but neither tokens nor latency, and is counted."""
    with pytest.raises(RuntimeError):
        work(client, team(calling("build", number=12)), "t1")  # its model has no second turn
    client.flush()
    found = score(workspace, langsmith)
    assert (found.n_runs, found.failed_runs) == (1, 1)
    scores = means(found)
    assert scores["workflow_completeness"] == 0.5
    assert not {"latency_threshold", "token_efficiency"} & scores.keys()


def test_runs_are_chosen_by_agent_filters_and_number(
    workspace: Workspace, langsmith: LangSmith, client: Client
) -> None:
    """Others' runs and older ones are left out; what is not there is named."""
    for number, version in enumerate(["v1.0.0", "v1.1.0", "v1.1.0"]):
        work(client, good(gate=False), f"t{number}", model_version=version)
    work(client, good(gate=False), "other", agent="feature_dev")
    assert score(workspace, langsmith).n_runs == 3
    newest = score(workspace, langsmith, max_runs=2)
    assert (newest.n_runs, newest.more_runs, newest.n_groups) == (2, True, 2)
    assert score(workspace, langsmith, filters={"model_version": "v1.0.0"}).n_runs == 1
    with pytest.raises(DatasetError, match="no finished run of cicd"):
        score(workspace, langsmith, filters={"tags": ["staging"]})
    with pytest.raises(DatasetError, match="no project 'elsewhere'"):
        score(workspace, langsmith, project="elsewhere")
    with pytest.raises(InputError, match="Unknown metric"):
        score(workspace, langsmith, metrics=["vibes"])


def test_the_example_a_run_was_made_on_says_what_is_right(
    workspace: Workspace, langsmith: LangSmith, client: Client
) -> None:
    """Its answer and targets count; a run's own answer is never taken for the right one."""
    dataset = client.create_dataset("releases")
    example = client.create_example(
        inputs={"task": "Release 13, else 12."},
        reference_outputs={"answer": "deployed."},
        metadata={"target_tokens": 4000},
        dataset_id=dataset.id,
    )
    work(client, good(gate=False), "t1")
    [root] = langsmith.runs_named("LangGraph")
    assert "accuracy" not in means(score(workspace, langsmith))
    root["reference_example_id"] = str(example.id)
    scores = means(score(workspace, langsmith))
    assert (scores["accuracy"], scores["token_efficiency"]) == (1.0, 1.0)


def test_a_run_with_wrong_metadata_is_named_and_the_others_count(
    workspace: Workspace, langsmith: LangSmith, client: Client
) -> None:
    """A trace cannot be mended afterwards."""
    work(client, good(gate=False), "t1")
    work(client, good(gate=False), "t2", approval_required="maybe")
    found = score(workspace, langsmith)
    assert found.n_runs == 1
    assert "approval_required" in found.problems[0]
