"""Conversations with language models: scripted, behind the real router."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from tests.conversation.conftest import BOB, asked_for, ending, resume, say, texts, types
from tests.doubles.openai_server import AGENTS, OpenAIServer, Reply
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.conversation.events import (
    AgentWorks,
    Message,
    Problem,
    Token,
    UseCaseResult,
)
from agent_orchestrator.domain.outcomes import Feedback
from agent_orchestrator.stores.models_yaml import ModelsYaml
from agent_orchestrator.wiring.orchestrator import Orchestrator, open_orchestrator

Script = dict[str, Callable[[Mapping[str, Any]], Reply]]


def calling(name: str, /, **arguments: Any) -> Reply:
    """Return a reply that calls a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return Reply("", tool_calls=[{"id": f"call_{name}", "type": "function", "function": function}])


def routed(*pieces: tuple[str, str], answer: str = "") -> Callable[[Mapping[str, Any]], Reply]:
    """Return the supervisor's decision."""
    handed = [{"agent": agent, "task": task} for agent, task in pieces]
    return lambda _: calling("Route", pieces=handed, answer=answer)


def in_turn(*replies: Reply) -> Callable[[Mapping[str, Any]], Reply]:
    """Reply in order; the last repeats."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@pytest.fixture
def script() -> Script:
    """Return what each agent's model answers, to be changed by the test."""
    return {agent: lambda _: Reply("ok") for agent in AGENTS}


@pytest.fixture
async def server(script: Script) -> AsyncIterator[OpenAIServer]:
    """Return the server of all agents' models."""
    async with OpenAIServer(
        lambda body: script[body["model"].removeprefix("acme/")](body)
    ) as server:
        yield server


@pytest.fixture
async def team(workspace: Workspace, server: OpenAIServer) -> AsyncIterator[Orchestrator]:
    """Return the orchestrator with a model for every agent, and two versions for code_review."""
    workspace.serve_elsewhere(**dict.fromkeys(AGENTS, server.url))
    workspace.build_dataset()
    registry = ModelRegistry(workspace.settings().registry_json)
    for model in ("acme/one", "acme/two"):
        workspace.add_artifact(model)
        version = registry.add_model_version("code_review", model_id=model).version
        scores = {"accuracy": 0.9, "recommendation": "deploy"}
        registry.update_evaluation_scores("code_review", version, scores)
    async with open_orchestrator(workspace.settings()) as opened:
        yield opened


async def test_the_supervisor_answers_itself_where_nobody_has_to_work(
    team: Orchestrator, script: Script
):
    """Structured routing: no piece, an answer."""
    script["supervisor"] = routed(answer="Hello. What shall we do?")
    events = await say(team, "Good morning!")
    assert types(events) == ["said", "message", "end"]
    assert texts(events) == "Hello. What shall we do?"


async def test_agents_work_at_the_same_time_and_are_joined(
    team: Orchestrator, script: Script, server: OpenAIServer
):
    """Each gets its own piece; what both made is in the state; tokens are told as they come."""
    script["supervisor"] = routed(("feature_dev", "write f"), ("documentation", "describe f"))
    script["feature_dev"] = lambda _: Reply("def f(): ...")
    script["documentation"] = lambda _: Reply("f does nothing.")
    events = await say(team, "Write f and its documentation")
    pieces = {e.agent: e.task for e in events if isinstance(e, AgentWorks)}
    assert pieces == {"feature_dev": "write f", "documentation": "describe f"}
    whole = {e.agent: e.text for e in events if isinstance(e, Message)}
    assert whole == {"feature_dev": "def f(): ...", "documentation": "f does nothing."}
    for agent, text in whole.items():
        tokens = [e for e in events if isinstance(e, Token) and e.agent == agent]
        assert "".join(token.text for token in tokens) == text
        assert {token.message_id for token in tokens} <= {
            e.message_id for e in events if isinstance(e, Message)
        }
    state = await team.graph.aget_state({"configurable": {"thread_id": "t1"}})
    assert {work["agent"]: work["outcome"] for work in state.values["work"]} == {
        "feature_dev": "finished",
        "documentation": "finished",
    }
    asked = [seen.body for seen in server.requests if seen.body["model"] == "acme/feature_dev"]
    assert asked[0]["messages"][-1]["content"] == "write f"


async def test_a_person_judges_work_by_the_request_that_its_message_names(
    team: Orchestrator, script: Script, workspace: Workspace
):
    """Thumbs on a message reach the arm that wrote it."""
    script["supervisor"] = routed(("cicd", "look"))
    script["cicd"] = lambda _: Reply("All is well.")
    events = await say(team, "Look at the pipeline")
    [message] = [e for e in events if isinstance(e, Message)]
    given = Feedback(message.request_id, 1.0, "bob", 0.0)
    await team.team.models.outcomes.add_feedback(given)
    state = await team.graph.aget_state({"configurable": {"thread_id": "t1"}})
    assert state.values["messages"][-1].response_metadata["request_id"] == message.request_id


async def test_the_next_turn_finds_the_models_that_are_there_by_then(
    workspace: Workspace, server: OpenAIServer, script: Script
):
    """Agents whose models are named, or can no longer answer, while the process runs."""
    script["supervisor"] = routed(("documentation", "describe f"), answer="Nobody can.")
    script["documentation"] = lambda _: Reply("f does nothing.")
    script["infrastructure"] = lambda _: Reply("I see.")
    without = workspace.models_yaml.read_text(encoding="utf-8")
    async with open_orchestrator(workspace.settings()) as chef:
        models = chef.team.models
        assert "needs a language model" in texts(await say(chef, "Describe f"))
        workspace.serve_elsewhere(
            **dict.fromkeys(("supervisor", "documentation", "infrastructure"), server.url)
        )
        await eventually(lambda: models.obstacle("documentation") is None)
        assert texts(await say(chef, "Describe f")) == "f does nothing."
        script["supervisor"] = routed(("infrastructure", "what is that?"))
        assert texts(await say(chef, "What is that?")) == "I see."
        script["supervisor"] = routed(("documentation", "describe f"), answer="Nobody can.")
        text = workspace.models_yaml.read_text(encoding="utf-8")
        workspace.models_yaml.write_text(
            text.replace("documentation: acme/documentation", "documentation: acme/elsewhere"),
            encoding="utf-8",
        )
        await eventually(lambda: models.obstacle("documentation") is not None)
        assert texts(await say(chef, "Describe f")) == "Nobody can."
        workspace.models_yaml.write_text(without, encoding="utf-8")
        await eventually(lambda: models.obstacle("supervisor") is not None)
        assert "needs a language model" in texts(await say(chef, "Describe f"))


async def test_a_server_of_tools_that_cannot_be_reached_is_said(
    workspace: Workspace, server: OpenAIServer, script: Script
):
    """The agent works on without it, and the person learns what is missing."""
    (workspace.config / "mcp-agent-tool-mapping.yaml").write_text(
        "servers: {tracker: {transport: stdio, command: [/no/such/program]}}\n"
        "agents: {cicd: {tracker: {}}}\n"
    )
    workspace.serve_elsewhere(**dict.fromkeys(AGENTS, server.url))
    script["supervisor"] = routed(("cicd", "look"))
    async with open_orchestrator(workspace.settings()) as opened:
        events = await say(opened, "Look at the pipeline")
    [problem] = [e for e in events if isinstance(e, Problem)]
    assert "'tracker' cannot be reached" in problem.message
    assert texts(events) == "ok"


async def test_the_work_of_an_earlier_turn_is_not_counted_again(team: Orchestrator, script: Script):
    """The reducer begins anew with each turn."""
    script["supervisor"] = routed(("cicd", "look"))
    await say(team, "Look at the pipeline")
    await say(team, "And again")
    state = await team.graph.aget_state({"configurable": {"thread_id": "t1"}})
    assert len(state.values["work"]) == 1


async def test_one_agent_that_fails_fails_alone(team: Orchestrator, script: Script):
    """The other's work is kept; the error has its message."""
    script["supervisor"] = routed(("feature_dev", "write f"), ("documentation", "describe f"))
    script["feature_dev"] = lambda _: Reply("no", status=400)
    script["documentation"] = lambda _: Reply("f does nothing.")
    events = await say(team, "Write f and its documentation")
    assert len([e for e in events if isinstance(e, Problem)]) == 1
    assert "f does nothing." in texts(events)
    state = await team.graph.aget_state({"configurable": {"thread_id": "t1"}})
    assert sorted(work["outcome"] for work in state.values["work"]) == ["failed", "finished"]


async def test_the_infrastructure_agents_model_looks_and_then_proposes(
    team: Orchestrator, script: Script
):
    """It reads by itself; a change is priced first and waits for the person's yes."""
    script["supervisor"] = routed(("infrastructure", "see why the reviewer is weak"))
    script["infrastructure"] = in_turn(
        calling("list_agent_models", agent="code_review"),
        calling("train_subagent_model", agent="code_review", mode="demo"),
    )
    events = await say(team, "The reviewer should learn from its mistakes, see to it")
    assert types(events) == ["said", "result", "message", "end"]
    assert "demo run, this machine" in texts(events)
    assert ending(events).waiting == "answer"
    assert team.embedded.jobs.latest_for_agent("code_review") is None
    assert "registered as v1.2.0" in texts(await say(team, "yes"))


async def test_a_change_that_a_model_wants_waits_for_a_yes_even_where_it_is_free(
    team: Orchestrator, script: Script, workspace: Workspace
):
    """What a person may ask for at once, a model may only propose."""
    source = str(workspace.write_examples(name="more"))
    script["supervisor"] = routed(("infrastructure", "build it"))
    script["infrastructure"] = lambda _: calling(
        "build_dataset", agent="code_review", source=source
    )
    events = await say(team, "Hm, the reviewer needs something to learn from, I guess")
    assert ending(events).waiting == "answer"
    assert not [e for e in events if isinstance(e, UseCaseResult)]


async def test_a_model_that_deploys_asks_for_the_same_approval(
    team: Orchestrator, script: Script, workspace: Workspace
):
    """Whatever it claims; without an approver's answer nothing is served otherwise."""
    before = workspace.models_yaml.read_bytes()
    script["supervisor"] = routed(("infrastructure", "the boss approved it"))
    script["infrastructure"] = lambda _: calling(
        "deploy_model_to_agent", agent="code_review", version="v1.1.0", strategy="immediate"
    )
    approval = asked_for(await say(team, "Make the newest one work for us, the boss said yes"))
    assert approval.use_case == "deploy_model_to_agent"
    asked_for(await say(team, "yes"))
    assert workspace.models_yaml.read_bytes() == before
    await team.embedded.coordinator.answer(approval.approval_id, BOB, approve=True)
    await resume(team, approval.approval_id)
    table = ModelsYaml(workspace.models_yaml).read()
    assert table.agent_models["code_review"] == "acme/two"


async def test_a_models_wrong_call_is_told_to_the_model(team: Orchestrator, script: Script):
    """It can do better the next time; nothing was done."""
    script["supervisor"] = routed(("infrastructure", "look"))
    script["infrastructure"] = in_turn(
        calling("delete_everything"),
        calling("list_agent_models", agent="code_review", colour="blue"),
        Reply("I cannot tell."),
    )
    events = await say(team, "Tell me something about our reviewer")
    assert texts(events) == "I cannot tell."
    assert "result" not in types(events)


async def test_a_model_that_never_answers_is_stopped(team: Orchestrator, script: Script):
    """By the agent's limit of calls."""
    script["supervisor"] = routed(("infrastructure", "look"))
    script["infrastructure"] = lambda _: calling("list_agent_models", agent="code_review")
    assert "long enough" in texts(await say(team, "Tell me something about our reviewer"))


async def test_what_the_parser_understands_asks_no_model(team: Orchestrator, server: OpenAIServer):
    """Nor does a yes or a no: no model can turn one into the other."""
    await say(team, "train code_review")
    await say(team, "no")
    assert server.requests == []


async def test_a_model_that_is_down_is_an_error_and_the_thread_goes_on(
    team: Orchestrator, script: Script
):
    """ModelOps is served all the same."""
    script["supervisor"] = lambda _: Reply("down", status=500)
    events = await say(team, "Write a poem")
    assert [type(e) for e in events if isinstance(e, Problem)] == [Problem]
    assert "result" in types(await say(team, "list the models of code_review"))


async def test_the_infrastructure_agents_model_loads_a_skill_when_it_needs_one(
    team: Orchestrator, script: Script, server: OpenAIServer
):
    """Its requests carry the skill's description; the body comes with the call, and only then."""
    script["supervisor"] = routed(("infrastructure", "say how deploying goes here"))
    script["infrastructure"] = in_turn(
        calling("load_skill", name="../../SECURITY"),
        calling("load_skill", name="model-deployment-monitoring"),
        Reply("As a canary, after the checklist."),
    )
    events = await say(team, "How is a model brought in front of traffic around here, dear team?")
    assert "As a canary" in texts(events)
    asked = [r.body for r in server.requests if r.body["model"] == "acme/infrastructure"]
    (tool,) = [t for t in asked[0]["tools"] if t["function"]["name"] == "load_skill"]
    assert "rolls back the language models" in tool["function"]["description"]
    body, excuses = "## The seven patterns", "## Excuses"
    assert body not in str(asked[0])
    assert "There is no skill '../../SECURITY'" in str(asked[1]["messages"][-1])
    told = asked[2]["messages"][-1]["content"]
    assert body in told
    assert excuses in told
