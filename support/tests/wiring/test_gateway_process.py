"""The gateway's process: what it listens on, and breakers that others reset."""

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.domain.routing import entry_digest
from agent_orchestrator.errors import ConfigurationError, ModelsYamlError
from agent_orchestrator.settings import own_python
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.gateways import running_gateways
from agent_orchestrator.stores.health import HealthBoard
from agent_orchestrator.stores.models_yaml import ModelsYaml
from agent_orchestrator.stores.serving import ServedPeriod, ServingBoard
from agent_orchestrator.wiring import gateway_process
from agent_orchestrator.wiring.process import WITH_PARENT

MODULE = "agent_orchestrator.wiring.gateway_process"


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    """Return where the models live."""
    async with OpenAIServer(Reply("hello")) as server:
        yield server


@pytest.fixture
async def gateway(workspace: Workspace, upstream: OpenAIServer) -> AsyncIterator[str]:
    """Return the base URL of a gateway that serves without a token."""
    workspace.serve_elsewhere(code_review=upstream.url)
    _without_fallbacks(workspace.models_yaml)
    workspace.variables["CHEF_GATEWAY_PORT"] = "0"
    settings = workspace.settings()
    stop = asyncio.Event()
    serving = asyncio.create_task(gateway_process.serve(settings, None, stop))
    [address] = await eventually(lambda: running_gateways(settings.gateways_dir))
    yield address.url
    stop.set()
    await serving
    assert running_gateways(settings.gateways_dir) == []
    database = Database(settings.database)
    assert ServingBoard(database).of("code_review", time.time()) == []
    database.close()


def _without_fallbacks(models_yaml: Path) -> None:
    text = models_yaml.read_text(encoding="utf-8")
    models_yaml.write_text(text.replace("default: [deepseek/deepseek-chat]", "default: []"))


async def ask(gateway: str) -> int:
    """Ask the agent; return the status."""
    body = {"model": "agent/code_review", "messages": [{"role": "user", "content": "hi"}]}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{gateway}/v1/chat/completions", json=body) as response,
    ):
        return response.status


async def test_a_tripped_breaker_is_seen_on_the_board_and_reset_from_there(
    workspace: Workspace, gateway: str, upstream: OpenAIServer
):
    """The board shows the state and its reason; an order closes the breaker."""
    board = HealthBoard(Database(workspace.settings().database))

    def state() -> str:
        return board.of("code_review", "stable", time.time()).state

    upstream.answer_with(Reply("broken", status=500))
    for _ in range(6):
        await ask(gateway)
    asked = len(upstream.requests)
    assert await ask(gateway) == 503
    assert len(upstream.requests) == asked
    await eventually(lambda: state() == "open")
    assert board.of("code_review", "stable", time.time()).reason
    upstream.answer_with(Reply("hello"))
    board.order_reset("code_review", "stable", time.time())
    board.order_reset("nobody", "stable", time.time())  # an arm of another process: no harm
    await eventually(lambda: state() == "closed")
    assert await ask(gateway) == 200


async def test_a_new_table_is_on_the_board_with_the_time_it_took_effect(
    workspace: Workspace, gateway: str
):
    """The gateway says which entry it serves by; signed off, it says nothing."""
    board = ServingBoard(Database(workspace.settings().database))
    file = ModelsYaml(workspace.models_yaml)

    def periods() -> tuple[ServedPeriod, ...]:
        reports = board.of("code_review", time.time())
        return reports[0].periods if reports else ()

    await eventually(periods)
    assert await ask(gateway) == 200
    begun = time.time()
    table = file.set_model("code_review", "acme/other")
    entry = entry_digest(table, "code_review")
    await eventually(lambda: [p.entry for p in periods()[-1:]] == [entry])
    before, after = periods()
    assert before.entry != entry
    assert [(arm.arm, arm.under_way) for arm in before.arms] == [("stable", 0)]
    assert begun <= after.since <= time.time()


async def test_an_address_that_is_taken_is_said(workspace: Workspace):
    """One line that names the variables; no traceback, exit status 2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        workspace.variables["CHEF_GATEWAY_PORT"] = str(port)
        with pytest.raises(ConfigurationError, match=f"Cannot listen on 127.0.0.1:{port}") as error:
            await gateway_process.serve(workspace.settings(), None, asyncio.Event())
        assert "CHEF_GATEWAY_PORT" in error.value.remedy
        status, text = await _run(workspace, "--no-token")
    assert status == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in text
    assert "Traceback" not in text


async def test_a_gateway_without_a_models_yaml_does_not_start(workspace: Workspace):
    """There would be nothing to serve."""
    workspace.models_yaml.write_text("openrouter:\n\tagent_models: {}\n")
    with pytest.raises(ModelsYamlError, match="line 2"):
        await gateway_process.serve(workspace.settings(), None, asyncio.Event())


async def test_a_gateway_without_a_token_has_to_be_asked_for(workspace: Workspace):
    """The token comes from the environment, or is expressly done without."""
    status, text = await _run(workspace)
    assert status == 2
    assert "CHEF_GATEWAY_TOKEN is not set" in text
    assert "--no-token" in text


async def test_the_gateway_ends_with_its_parent(workspace: Workspace):
    """End of standard input is the parent's end."""
    workspace.variables["CHEF_GATEWAY_PORT"] = "0"
    process = await _start(workspace, WITH_PARENT, "--no-token")
    folder = workspace.settings().gateways_dir
    assert await eventually(lambda: running_gateways(folder))
    assert process.stdin is not None
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 60) == 0
    assert running_gateways(folder) == []


async def _start(workspace: Workspace, *options: str) -> asyncio.subprocess.Process:
    pipes: dict[str, Any] = {
        "stdin": asyncio.subprocess.PIPE,
        "stderr": asyncio.subprocess.PIPE,
    }
    return await asyncio.create_subprocess_exec(
        *(own_python(), "-m", MODULE, *options), env=workspace.variables, **pipes
    )


async def _run(workspace: Workspace, *options: str) -> tuple[int | None, str]:
    process = await _start(workspace, *options)
    _, text = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, text.decode()


def test_the_gateway_loads_neither_langchain_nor_torch():
    """It starts quickly and stays small."""
    program = f"import {MODULE}, sys; print(*sys.modules)"
    done = subprocess.run([own_python(), "-c", program], capture_output=True, check=True, text=True)
    heavy = {"langchain_core", "langgraph", "langsmith", "torch", "matplotlib", "huggingface_hub"}
    assert not heavy & set(done.stdout.split())
