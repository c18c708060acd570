"""``chef mcp --http`` as a process of its own."""

from __future__ import annotations

import asyncio
import re
import sys

from tests.doubles.workspace import Workspace
from tests.mcp_server.conftest import Door
from tests.mcp_server.test_tools import failure, success

from agent_orchestrator.stores.access_tokens import AccessTokens

COMMAND = (sys.executable, "-m", "agent_orchestrator", "mcp", "--http", "--port", "0")


async def test_chef_mcp_serves_those_who_bear_a_token(workspace: Workspace):
    """Each with the role of the token; the audit log has their name."""
    token = AccessTokens(workspace.settings().api_tokens_file).add("ida", "viewer", 0.0)
    process = await asyncio.create_subprocess_exec(
        *COMMAND, env=workspace.variables, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        line = (await process.stderr.readline()).decode()
        found = re.search(r"Serving MCP on (\S+)", line)
        assert found, line
        async with Door(workspace, "http", {}, found[1]).session(token) as session:
            await success(session, "list_datasets")
            refused = await failure(session, "build_dataset", agent="code_review", source="x")
            assert refused["message"].startswith("'ida' is 'viewer' here")
    finally:
        process.terminate()
        await process.communicate()


async def test_without_tokens_it_says_how_to_make_one(workspace: Workspace):
    """Bad configuration, exit code 2, and nothing listens."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, env=workspace.variables, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert "chef api tokens add NAME --role ROLE" in said.decode()
