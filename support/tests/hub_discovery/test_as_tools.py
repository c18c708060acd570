"""The Infrastructure agent finds things on the Hub, by our server and by Hugging Face's own."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from tests.doubles.hf_mcp import hf_mcp
from tests.doubles.hub import WRITE, HubDouble
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace
from tests.hub_discovery.test_hub_discovery import NAMES

from agent_orchestrator.agents._shared.mcp_mapping import McpMapping
from agent_orchestrator.agents._shared.mcp_tools import open_mcp_tools
from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.conversation.events import AgentWorks, Message
from agent_orchestrator.wiring.orchestrator import open_orchestrator

SHIPPED = Path(__file__).parents[3] / "config" / "mcp-agent-tool-mapping.yaml"
ADA = Caller("ada", "test", "operator")


def calling(name: str, **arguments: Any) -> Reply:
    """Return a reply that calls a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return Reply("", tool_calls=[{"id": f"call_{name}", "type": "function", "function": function}])


def write_mapping(workspace: Workspace, huggingface: str) -> None:
    """Let the Infrastructure agent use both servers, as the shipped file's comments say."""
    command = [sys.executable, "-m", "agent_orchestrator", "mcp", "hub"]
    hub = {"transport": "stdio", "command": command}
    hub["env"] = ["CHEF_CONFIG", "HF_ENDPOINT", "HF_HUB_DISABLE_XET", "HUGGINGFACE_TOKEN"]
    http = {"transport": "http", "url": huggingface, "token_env": "HUGGINGFACE_TOKEN"}
    space = {"tools": ["dynamic_space"], "changing": {"dynamic_space": "allow"}}
    mapping: Mapping[str, Any] = {
        "servers": {"hub": hub, "huggingface": http},
        "agents": {"infrastructure": {"hub": {}, "huggingface": space}},
    }
    path = workspace.config / "mcp-agent-tool-mapping.yaml"
    path.write_text(json.dumps(mapping), encoding="utf-8")  # JSON is YAML, too


async def test_the_infrastructure_agents_model_searches_the_hub(tmp_path: Path):
    """Both servers' tools are offered to it; what it found is what it is told."""
    with HubDouble() as hub:
        hub.repos.add_model("acme/coder-1b", parameters=1_000_000_000, license="mit")
        workspace = Workspace(tmp_path, hub.environment())
        replies = iter(
            [
                calling("Route", pieces=[{"agent": "infrastructure", "task": "look"}], answer=""),
                calling("hub_model_search", query="coder"),
                calling("huggingface_dynamic_space", operation="find"),
                Reply("acme/coder-1b would do."),
            ]
        )
        async with OpenAIServer(lambda _: next(replies)) as models, hf_mcp(WRITE) as url:
            workspace.serve_elsewhere(supervisor=models.url, infrastructure=models.url)
            write_mapping(workspace, url)
            async with open_orchestrator(workspace.settings()) as chef:
                asked = "Which small model on the Hub could the reviewer begin from?"
                events = [event async for event in chef.conversation.send("t1", asked, ADA)]
    (said,) = (event.text for event in events if isinstance(event, Message))
    assert said == "acme/coder-1b would do."
    used = [event.tool for event in events if isinstance(event, AgentWorks) and event.tool]
    assert used == ["hub_model_search", "huggingface_dynamic_space"]
    offered = {tool["function"]["name"] for tool in models.requests[1].body["tools"]}
    assert offered >= {f"hub_{name}" for name in NAMES} | {"huggingface_dynamic_space"}
    assert "huggingface_hub_repo_search" not in offered
    told = [m["content"] for m in models.requests[3].body["messages"] if m["role"] == "tool"]
    assert "1000000000" in told[0]
    assert told[1] == "find of  with {}"


async def test_without_a_token_hugging_faces_server_is_missing_and_that_is_said():
    """Everything else works on."""
    async with hf_mcp(WRITE) as url:
        server = {"transport": "http", "url": url, "token_env": "HUGGINGFACE_TOKEN"}
        mapping = McpMapping.model_validate(
            {
                "servers": {"huggingface": server},
                "agents": {"infrastructure": {"huggingface": {}}},
            }
        )
        async with open_mcp_tools(mapping, lambda _name: None) as servers:
            found = servers.of("infrastructure")
    assert found.tools == ()
    [said] = found.missing
    assert "'huggingface' cannot be reached" in said


def test_the_shipped_comments_are_a_mapping():
    """Uncommented, they name servers and tools that there are."""
    text = re.sub(r"^(servers|agents): \{\}", r"\1:", SHIPPED.read_text(), flags=re.MULTILINE)
    text = re.sub(r"^#  ", "  ", text, flags=re.MULTILINE)
    mapping = McpMapping.model_validate(YAML(typ="safe").load(text))
    assert mapping.servers.keys() == {"hub", "huggingface", "tracker"}
    assert set(mapping.agents["documentation"]["hub"].tools) <= NAMES
    assert "hub" in mapping.agents["infrastructure"]
