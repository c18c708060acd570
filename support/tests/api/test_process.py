"""The API's process: what it refuses to serve."""

import asyncio
import socket

import pytest
from tests.doubles.workspace import Workspace

from agent_orchestrator.api import process
from agent_orchestrator.errors import ConfigurationError


async def test_an_address_that_is_taken_is_said(workspace: Workspace):
    """With the variables that change it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        workspace.variables["CHEF_API_PORT"] = str(taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match=r"Cannot listen on 127\.0\.0\.1") as refused:
            await process.serve(workspace.settings(), asyncio.Event())
    assert "CHEF_API_PORT" in refused.value.remedy


async def test_nobody_elsewhere_gets_in_without_a_token(workspace: Workspace):
    """Without tokens it serves this machine only."""
    workspace.variables["CHEF_API_HOST"] = "192.0.2.1"
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.1"):
        await process.serve(workspace.settings(), asyncio.Event(), open_to_all=True)
