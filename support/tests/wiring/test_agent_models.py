"""The router of the process that runs agents."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from tests.doubles.canaries import ROLLOUT, start_canary
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.agents._shared.base_agent import BaseAgent
from agent_orchestrator.agents._shared.model_calls import ModelCall
from agent_orchestrator.agents._shared.profile import load_profile
from agent_orchestrator.errors import ModelsYamlError
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.health import HealthBoard
from agent_orchestrator.stores.models_yaml import ModelsYaml
from agent_orchestrator.stores.outcomes import OutcomeStore
from agent_orchestrator.stores.serving import ServingBoard
from agent_orchestrator.wiring import processes
from agent_orchestrator.wiring.agent_models import AgentModels, open_agent_models

AGENT = "feature_dev"


@asynccontextmanager
async def opened(workspace: Workspace) -> AsyncIterator[tuple[AgentModels, Database]]:
    """Open the models of a workspace."""
    settings = workspace.settings()
    database = Database(settings.database)
    try:
        async with open_agent_models(settings, database) as models:
            yield models, database
    finally:
        database.close()


async def ask(models: AgentModels, thread: str) -> ModelCall:
    """Ask the agent something in a conversation."""
    agent = BaseAgent(load_profile(AGENT), models.model(AGENT))
    config: Any = {"configurable": {"thread_id": thread}}
    return (await agent.run([HumanMessage("hi")], config)).calls[0]


async def test_a_judgement_reaches_the_arm_that_did_the_work(workspace: Workspace):
    """Feedback on a call is kept with the arm that its conversation sticks to."""
    async with OpenAIServer(Reply("hello")) as server:
        start_canary(workspace, AGENT, server.url)
        async with opened(workspace) as (models, _):
            calls = [await ask(models, f"t{number}") for number in range(8)]
            for call in calls:
                models.judge(call, source="tests", score=float(call.arm == "stable"))
    database = Database(workspace.settings().database)
    judged = OutcomeStore(database).feedback_after(ROLLOUT, 0, 100)
    database.close()
    assert [j.arm for j in judged] == [call.arm for call in calls]
    assert {(j.arm, j.version, j.score) for j in judged} == {
        ("stable", "v1.0.0", 1.0),
        ("candidate", "v1.1.0", 0.0),
    }


async def test_this_process_counts_among_those_that_serve(workspace: Workspace):
    """It lives on the list, says what it serves and how its breakers stand, and signs off."""
    settings = workspace.settings()
    async with OpenAIServer(Reply("hello")) as server:
        start_canary(workspace, AGENT, server.url)
        async with opened(workspace) as (models, database):
            [name] = processes.serving_now(settings)
            board = ServingBoard(database)
            [report] = await eventually(lambda: board.of(AGENT, time.time()))
            assert report.process == name
            await ask(models, "t1")
            health = HealthBoard(database)
            assert await eventually(lambda: health.of(AGENT, "stable", time.time()))
            ModelsYaml(workspace.models_yaml).set_model("cicd", "acme/other")
            await eventually(lambda: [len(r.periods) for r in board.of("cicd", time.time())] == [2])
        assert processes.serving_now(settings) == []
        database = Database(settings.database)
        assert ServingBoard(database).of(AGENT, time.time()) == []
        database.close()


@pytest.mark.parametrize(
    ("model", "variables", "said"),
    [
        ("qwen/some", {"OPENROUTER_BASE_URL": ""}, "set OPENROUTER_API_KEY"),
        ("qwen/some", {"OPENROUTER_BASE_URL": "", "OPENROUTER_API_KEY": "sk-1"}, None),
        ("qwen/some", {"OPENROUTER_BASE_URL": "http://127.0.0.1:9/v1"}, None),
        ("acme/own", {}, "set ACME_KEY"),
        ("acme/own", {"ACME_KEY": "k"}, None),
    ],
)
async def test_an_agent_without_a_usable_model_says_what_is_missing(
    workspace: Workspace, model: str, variables: dict[str, str], said: str | None
):
    """A model that wants a key which is not set counts as none."""
    ModelsYaml(workspace.models_yaml).set_model(AGENT, model)
    with workspace.models_yaml.open("a", encoding="utf-8") as file:
        file.write(
            "models:\n  acme/own: {provider: self_hosted, endpoints: ['http://127.0.0.1:9/v1'],"
            " api_key_env: ACME_KEY}\n"
        )
    workspace.variables.update(variables)
    async with opened(workspace) as (models, _):
        obstacle = models.obstacle(AGENT)
        assert (said in obstacle) if said else obstacle is None
        assert "no model in" in models.obstacle("stranger")


async def test_a_broken_models_yaml_keeps_agents_from_starting(workspace: Workspace):
    """There is no last good table yet, so the error names the key."""
    workspace.models_yaml.write_text("openrouter: {agent_modles: {}}\n")
    with pytest.raises(ModelsYamlError, match="agent_modles"):
        async with opened(workspace):
            pass
