"""Tracing of whole processes: what arrives when it is on, and that off is off."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from tests.doubles.langsmith import KEY, LangSmith
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import MonitorTrainingJob
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import (
    TrainingStarted,
    TrainSubagentModel,
)
from agent_orchestrator.settings import own_python
from agent_orchestrator.stores.gateways import running_gateways
from agent_orchestrator.wiring import gateway_process
from agent_orchestrator.wiring.embedded import compose

ADA = Caller("ada", "cli", "admin")


def traced(langsmith: LangSmith, **changes: str) -> dict[str, str]:
    """Return the variables that switch tracing on."""
    return {
        "LANGSMITH_API_KEY": KEY,
        "LANGSMITH_ENDPOINT": langsmith.url,
        "LANGSMITH_TRACING": "true",
        **changes,
    }


async def named(langsmith: LangSmith, name: str) -> Mapping[str, Any]:
    """Wait for a run of that name; return it."""
    return await eventually(lambda: next(iter(langsmith.runs_named(name)), None))


async def test_a_use_case_and_its_backend_are_traced(workspace: Workspace, langsmith: LangSmith):
    """A training's trace has the use case, below it the backend's call, with agent and job."""
    workspace.variables.update(traced(langsmith))
    workspace.build_dataset()
    coordinator = compose(workspace.settings()).coordinator
    request = TrainSubagentModel(agent="code_review", dataset="reviews")
    started = await coordinator.run("train_subagent_model", request, ADA)
    assert isinstance(started, TrainingStarted)
    use_case = await named(langsmith, "train_subagent_model")
    call = await named(langsmith, "local.submit")
    assert call["parent_run_id"] == use_case["id"]
    for run in (use_case, call):
        assert run["extra"]["metadata"]["agent"] == "code_review"
        assert run["extra"]["metadata"]["job_id"] == started.job_id
    assert use_case["inputs"]["dataset"] == "reviews"
    assert use_case["outputs"]["job_id"] == started.job_id
    assert isinstance(call["inputs"]["arguments"][1]["rows"], int)  # how many, not which
    assert b"Name the defect" not in langsmith.sent()

    await coordinator.run("monitor_training_job", MonitorTrainingJob(job_id=started.job_id), ADA)
    poll = await named(langsmith, "local.poll")
    assert poll["extra"]["metadata"]["job_id"] == started.job_id


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"LANGSMITH_API_KEY": KEY},
        {"LANGSMITH_TRACING": "true"},
        {"LANGSMITH_API_KEY": KEY, "LANGSMITH_TRACING": "false"},
    ],
    ids=["nothing set", "a key alone", "tracing without a key", "tracing off"],
)
def test_off_is_off(workspace: Workspace, langsmith: LangSmith, variables: dict[str, str]):
    """Nothing is sent and the SDK is not even loaded, unless tracing and a key are both set."""
    program = (
        "import sys, anyio\n"
        "from agent_orchestrator.settings import load_settings\n"
        "from agent_orchestrator.wiring.embedded import compose\n"
        "from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller\n"
        "from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES\n"
        "request = USE_CASES['list_agent_models'].request(agent='code_review')\n"
        "run = compose(load_settings()).coordinator.run\n"
        "anyio.run(run, 'list_agent_models', request, Caller('ada', 'cli', 'admin'))\n"
        "print('langsmith' in sys.modules)\n"
    )
    environment = {**workspace.variables, "LANGSMITH_ENDPOINT": langsmith.url, **variables}
    done = subprocess.run(
        [own_python(), "-c", program], env=environment, capture_output=True, check=True, text=True
    )
    assert done.stdout.split()[-1] == "False"
    assert langsmith.requests == []


@asynccontextmanager
async def gateway(workspace: Workspace, **variables: str) -> AsyncIterator[str]:
    """Serve code_review; yield the gateway's URL."""
    workspace.variables.update(variables, CHEF_GATEWAY_PORT="0")
    settings = workspace.settings()
    stop = asyncio.Event()
    serving = asyncio.create_task(gateway_process.serve(settings, None, stop))
    [address] = await eventually(lambda: running_gateways(settings.gateways_dir))
    try:
        yield address.url
    finally:
        stop.set()
        await serving


async def ask(url: str, content: str = "hi") -> tuple[int, str]:
    """Ask the agent; return the status and the request's id."""
    body = {"model": "agent/code_review", "messages": [{"role": "user", "content": content}]}
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{url}/v1/chat/completions", json=body, headers={"X-Task-Id": "task-7"}
        ) as response,
    ):
        await response.read()
        return response.status, response.headers["X-Request-Id"]


async def rate(url: str, request_id: str, score: float) -> None:
    """Give feedback; the outcome is on record a moment after the answer."""
    given = {"request_id": request_id, "score": score, "source": "user"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1/feedback", json=given) as response,
    ):
        assert response.status == 200, await response.text()


async def test_a_gateways_requests_are_traced(workspace: Workspace, langsmith: LangSmith):
    """A served request is a trace of its own id, with agent, arm and task, without secrets."""
    async with OpenAIServer(Reply("hello")) as models:
        workspace.serve_elsewhere(code_review=models.url)
        secret = "correct-horse-battery-staple"
        variables = traced(langsmith, OPENROUTER_API_KEY=secret)
        async with gateway(workspace, **variables) as url:
            status, request_id = await ask(url, f"My key is {secret}")
            root = await named(langsmith, "agent/code_review")
            await rate(url, request_id, 0.5)
            given = await eventually(lambda: next(iter(langsmith.feedback.values()), None))
    assert status == 200
    assert root["id"] == request_id == given["run_id"]
    assert given["score"] == 0.5
    metadata = root["extra"]["metadata"]
    assert (metadata["agent"], metadata["arm"]) == ("code_review", "stable")
    assert metadata["thread_id"] == "task-7"
    assert root["outputs"]["choices"][0]["message"]["content"] == "hello"
    assert root["inputs"]["messages"][0]["content"] == "My key is <removed>"
    [call] = langsmith.runs_named("acme/code_review")
    assert call["parent_run_id"] == root["id"]
    assert secret not in json.dumps(list(langsmith.runs.values()))


@pytest.mark.parametrize("fault", ["away", "slow", "refusing"])
async def test_langsmith_is_no_condition_of_serving(
    workspace: Workspace, langsmith: LangSmith, fault: str
):
    """Requests are answered whether LangSmith is away, slow or refuses."""
    langsmith.slow_by = 30.0 if fault == "slow" else 0.0
    langsmith.failing = 500 if fault == "refusing" else None
    away = {"LANGSMITH_ENDPOINT": "http://127.0.0.1:9"} if fault == "away" else {}
    async with OpenAIServer(Reply("hello")) as models:
        workspace.serve_elsewhere(code_review=models.url)
        async with gateway(workspace, **traced(langsmith, **away)) as url:
            answers = [await ask(url) for _ in range(20)]
    assert [status for status, _ in answers] == [200] * 20
