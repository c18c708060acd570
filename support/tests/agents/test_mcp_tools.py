"""Tools of MCP servers, driven over both transports."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import BaseTool
from tests.doubles import mcp_tracker
from tests.doubles.workspace import eventually

from agent_orchestrator.agents._shared.mcp_mapping import McpMapping, load_mapping
from agent_orchestrator.agents._shared.mcp_tools import AgentTools, open_mcp_tools
from agent_orchestrator.errors import FailedError, SettingsError, UpstreamError

ROOT = Path(__file__).parents[3]
STDIO = {
    "transport": "stdio",
    "command": [sys.executable, mcp_tracker.__file__],
    "env": ["TRACKER_TOKEN", "UNSET"],
}
SECRETS = {"TRACKER_TOKEN": "t-1", "OTHER_TOKEN": "t-2"}


def mapping(server: dict[str, Any], **allowed: Any) -> McpMapping:
    """Let cicd use the tracker."""
    return McpMapping.model_validate(
        {"servers": {"tracker": server}, "agents": {"cicd": {"tracker": allowed}}}
    )


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Serve the tracker over HTTP."""
    async with mcp_tracker.served() as url:
        yield url


def named(found: AgentTools) -> dict[str, BaseTool]:
    """Return the tools by name."""
    return {tool.name: tool for tool in found.tools}


async def test_a_program_is_started_once_and_started_again_when_it_dies():
    """Its session is kept; the call that broke it is not repeated, the next one is served."""
    async with open_mcp_tools(mapping(STDIO), SECRETS.get) as servers:
        found = servers.of("cicd")
        assert found.missing == ()
        find = named(found)["tracker_find_issue"]
        said = [await find.ainvoke({"number": number}) for number in (1, 2)]
        assert "Issue 2: t-1" in str(said[1])
        session = servers.sessions["tracker"]
        with pytest.raises(FailedError, match="may have been carried out"):
            await named(found)["tracker_crash"].ainvoke({})
        with pytest.raises(UpstreamError, match="'tracker' cannot be reached: its connection"):
            await find.ainvoke({"number": 3})
        await eventually(lambda: session.connected)
        assert "Issue 3" in str(await find.ainvoke({"number": 3}))


async def test_over_http_tools_are_called_and_their_errors_told(url: str):
    """A tool's own error is an answer for the model, not a failure of the agent."""
    server = {"transport": "http", "url": url, "token_env": "TRACKER_TOKEN"}
    async with open_mcp_tools(mapping(server), SECRETS.get) as servers:
        find = named(servers.of("cicd"))["tracker_find_issue"]
        assert "Issue 7" in str(await find.ainvoke({"number": 7}))
        assert "no such issue" in str(await find.ainvoke({"number": -1}))
        assert servers.of("documentation") == AgentTools()


@pytest.mark.parametrize(
    ("allowed", "given", "asked"),
    [
        ({}, "crash find_issue", "create_issue"),
        ({"tools": ["find_issue"]}, "find_issue", ""),
        ({"tools": ["create_issue", "fly"]}, "", "create_issue"),
        ({"changing": {"create_issue": "allow"}}, "crash create_issue find_issue", ""),
        ({"changing": {"create_issue": "withhold"}}, "crash find_issue", ""),
        ({"changing": {"*": "allow"}}, "crash create_issue find_issue", ""),
        ({"changing": {"*": "allow", "create_issue": "ask"}}, "crash find_issue", "create_issue"),
    ],
)
async def test_what_leaves_the_workspace_is_asked_about_unless_configured_otherwise(
    url: str, allowed: dict[str, Any], given: str, asked: str
):
    """Where nobody can be asked, what would be asked about is withheld."""
    server = {"transport": "http", "url": url}
    async with open_mcp_tools(mapping(server, **allowed), SECRETS.get) as servers:
        found = servers.of("cicd", can_ask=True)
        alone = servers.of("cicd")
    assert [tool.name for tool in found.outward.values()] == asked.split()
    assert sorted(named(found)) == [f"tracker_{n}" for n in sorted((given + " " + asked).split())]
    assert sorted(named(alone)) == [f"tracker_{n}" for n in given.split()]
    assert alone.outward == {}
    wanted = {n for n in allowed.get("tools", []) if n != "*"}
    assert len(alone.missing) == bool(wanted - set(given.split()))


async def test_a_broken_server_takes_nobody_down_and_is_said(url: str):
    """The tools of the others are there; the missing one is named with its reason."""
    both = McpMapping.model_validate(
        {
            "servers": {
                "tracker": {"transport": "http", "url": url},
                "broken": {"transport": "stdio", "command": ["/no/such/program"]},
                "unused": {"transport": "stdio", "command": ["/no/such/program"]},
            },
            "agents": {"cicd": {"tracker": {}, "broken": {}}},
        }
    )
    async with open_mcp_tools(both, SECRETS.get) as servers:
        found = servers.of("cicd")
    assert "tracker_find_issue" in named(found)
    [said] = found.missing
    assert "'broken' cannot be reached: FileNotFoundError" in said
    assert set(servers.sessions) == {"tracker", "broken"}


async def test_a_slow_server_is_not_waited_for_longer_than_patience_allows():
    """Agents start without it."""
    slow = {"transport": "stdio", "command": ["sleep", "60"]}
    async with open_mcp_tools(mapping(slow), SECRETS.get, patience=0.2) as servers:
        [said] = servers.of("cicd").missing
    assert "it has not answered yet" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("agents: {cicd: {tracker: {}}}", "the server 'tracker', which is not listed"),
        ("servers: {tracker: {transport: telepathy}}", "telepathy"),
        ("servers: {tracker: {transport: stdio, command: []}}", "command"),
        ("servers: {'a b': {transport: http, url: x}}", "a b"),
    ],
)
def test_a_broken_mapping_names_its_key(tmp_path: Path, text: str, said: str):
    """A wrong entry is an error of the configuration, not a tool that is not there."""
    (tmp_path / "mcp-agent-tool-mapping.yaml").write_text(text)
    with pytest.raises(SettingsError, match=said):
        load_mapping(tmp_path)


def test_the_mapping_in_the_repository_connects_to_nobody():
    """A fresh clone talks to no server."""
    assert load_mapping(ROOT / "config") == McpMapping()
