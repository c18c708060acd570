"""support/docs/MCP.md says what is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from agent_orchestrator.agents.infrastructure.hub_discovery import server
from agent_orchestrator.agents.infrastructure.hub_discovery.discovery import HubDiscovery
from agent_orchestrator.agents.infrastructure.modelops.hub.client import Hub
from agent_orchestrator.mcp_server import prompts, resources
from agent_orchestrator.mcp_server.tools import CARRY_OUT, FOLLOW

NOBODY = "http://127.0.0.1:9"
PAGE = (Path(__file__).parents[2] / "docs" / "MCP.md").read_text(encoding="utf-8")


def test_every_configuration_is_json_that_starts_or_reaches_the_server():
    """Copied as it stands it works, but for the paths."""
    blocks = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        document = json.loads(block)
        (chef,) = (document.get("servers") or document["mcpServers"]).values()
        if "command" in chef:
            assert chef["args"] == ["mcp"]
            assert chef["command"].endswith("/.venv/bin/chef")
        else:
            assert chef["url"].endswith("/mcp")
            assert chef["headers"]["Authorization"].startswith("Bearer ")


async def test_what_the_server_offers_beside_the_use_cases_is_named():
    """Tools, addresses and prompts."""
    for name in (FOLLOW, CARRY_OUT, *(prompt.name for prompt in prompts.list_prompts())):
        assert f"`{name}`" in PAGE
    for template in resources.Resources.templates():
        assert f"`{template.uriTemplate}`" in PAGE
    for tool in await server.build_server(HubDiscovery(Hub(None, NOBODY))).list_tools():
        assert f"`{tool.name}`" in PAGE
