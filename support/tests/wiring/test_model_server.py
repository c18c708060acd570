"""Reaching local models: through the server that runs, or through one for the while."""

import asyncio
from pathlib import Path

import pytest
from tests.doubles.workspace import Workspace

from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.errors import ConfigurationError, UnavailableError
from agent_orchestrator.settings import Settings
from agent_orchestrator.wiring import model_server
from agent_orchestrator.wiring.model_access import direct_access

BODY = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}


def test_a_missing_interpreter_is_named(workspace: Workspace):
    """With the command that makes it."""
    workspace.variables["CHEF_TRAINER_PYTHON"] = "/no/such/python"
    with pytest.raises(ConfigurationError, match="/no/such/python") as error:
        model_server.command(workspace.settings(), workspace.folder / "s")
    assert "make setup-trainer" in error.value.remedy


async def test_a_local_model_is_called_through_a_server_for_the_while(workspace: Workspace):
    """It answers, keeps no record, and is gone with its folder afterwards."""
    workspace.scenario(answer="mutable-default")
    endpoint = Endpoint("acme/tiny", "local")
    async with direct_access(workspace.settings(), [endpoint]) as complete:
        found = await complete("acme/tiny", BODY)
    assert (found.text, found.usage.prompt_tokens) == ("mutable-default", 10)
    async with model_server.model_server(workspace.settings()) as socket:
        assert await model_server.is_up(socket)
        assert socket != workspace.settings().model_socket
    assert not await model_server.is_up(socket)


async def test_models_elsewhere_need_no_server(workspace: Workspace):
    """Nothing is started for them."""
    workspace.variables["CHEF_TRAINER_PYTHON"] = "/no/such/python"
    endpoint = Endpoint("acme/far", "self_hosted", ("http://127.0.0.1:9/v1",))
    async with direct_access(workspace.settings(), [endpoint]) as complete:
        with pytest.raises(UnavailableError):
            await complete("acme/far", BODY)


async def test_the_server_that_runs_is_taken(workspace: Workspace):
    """``chef serve`` has one already; a second would only cost memory."""
    settings = workspace.settings()
    process = await asyncio.create_subprocess_exec(
        *model_server.command(settings, settings.model_socket),
        stdin=asyncio.subprocess.PIPE,
        env=model_server.environment(settings),
    )
    while not await model_server.is_up(settings.model_socket):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.05)
    async with model_server.model_server(settings) as socket:
        assert socket == settings.model_socket
    assert await model_server.is_up(settings.model_socket)
    process.terminate()
    await process.wait()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("echo 'ImportError: no torch' >&2; exit 1", "did not come up: ImportError: no torch."),
        ("exit 1", "did not come up: no output."),
    ],
)
async def test_a_server_that_does_not_come_up_says_why(
    workspace: Workspace, program: str, said: str
):
    """The last line that it wrote, and what to do."""
    with pytest.raises(UnavailableError) as error:
        async with model_server.model_server(_broken(workspace, program)):
            raise AssertionError("It came up.")
    assert said in error.value.message
    assert "make setup-trainer" in error.value.remedy


def _broken(workspace: Workspace, program: str) -> Settings:
    path = Path(workspace.variables["CHEF_TRAINER_PYTHON"])
    path.write_text(f"#!/bin/sh\n{program}\n")
    return workspace.settings()
