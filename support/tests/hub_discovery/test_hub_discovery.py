"""Finding things on the Hub over MCP, against its double."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from mcp import ClientSession, StdioServerParameters, stdio_client, types
from mcp.shared.memory import create_connected_server_and_client_session
from tests.doubles.hub import HubDouble
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.hub_discovery.discovery import HubDiscovery
from agent_orchestrator.agents.infrastructure.hub_discovery.server import build_server
from agent_orchestrator.agents.infrastructure.modelops.hub.client import Hub

NAMES = {
    *("model_search", "dataset_search", "space_search", "paper_search"),
    *("hub_repo_details", "hf_doc_search", "hf_doc_fetch"),
}


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    """Return a Hub with a little of everything."""
    with HubDouble() as hub:
        repos = hub.repos
        big = repos.add_model("acme/coder-7b", parameters=7_000_000_000, gated="manual")
        small = repos.add_model(
            "acme/coder-1b",
            parameters=1_000_000_000,
            license="mit",
            card={"base_model": "acme/coder-7b", "datasets": ["acme/reviews"]},
        )
        for repo, downloads in ((big, 900), (small, 10)):
            repo.info |= {"downloads": downloads, "pipeline_tag": "text-generation"}
        tags = ["license:cc0-1.0", "task_categories:text-generation", "language:en"]
        data = repos.add(
            "dataset", "acme/reviews", {"README.md": "# Reviews\n", "data.jsonl": "{}"}
        )
        data.info |= {"tags": [*tags, "size_categories:1K<n<10K"], "description": "Code\n reviews."}
        hub.search.add_space("acme/reviewer", "Reviews code in the browser.")
        hub.search.add_space("acme/painter", "Paints code as pictures.", tags=["gradio"])
        hub.search.add_paper("2106.09685", "LoRA", "Low-rank adaptation of large models.")
        hub.search.pages["trl/sft_trainer"] = "# SFT Trainer\n" + "How to fine-tune. " * 2000
        yield hub


@dataclass(frozen=True)
class Tools:
    """The server's tools; each call is a session of its own, in this process."""

    hub: HubDouble

    @asynccontextmanager
    async def session(self) -> AsyncIterator[ClientSession]:
        """Open a session."""
        server = build_server(HubDiscovery(Hub(None, self.hub.url)))
        async with create_connected_server_and_client_session(server) as session:
            yield session

    async def ask(self, tool: str, **arguments: Any) -> Any:
        """Return a tool's structured result, which the client has validated."""
        async with self.session() as session:
            result = await session.call_tool(tool, arguments)
        assert not result.isError, result
        return result.structuredContent

    async def refused(self, tool: str, **arguments: Any) -> str:
        """Return what a tool that failed says."""
        async with self.session() as session:
            result = await session.call_tool(tool, arguments)
        assert result.isError, result
        (content,) = result.content
        assert isinstance(content, types.TextContent)
        return content.text


@pytest.fixture
def tools(hub: HubDouble) -> Tools:
    """Return the tools over that Hub."""
    return Tools(hub)


async def test_every_tool_only_reads(tools: Tools):
    """So no client needs to ask before it searches."""
    async with tools.session() as session:
        listed = (await session.list_tools()).tools
    assert {tool.name for tool in listed} == NAMES
    for tool in listed:
        assert tool.annotations.readOnlyHint is True
        assert tool.outputSchema is not None
        assert tool.description


async def test_models_are_found_with_what_decides_a_training(tools: Tools):
    """Licence, parameters, gate; sorted as asked."""
    asked = {"query": "coder", "task": "text-generation", "sort": "downloads"}
    found = (await tools.ask("model_search", **asked))["models"]
    assert [model["id"] for model in found] == ["acme/coder-7b", "acme/coder-1b"]
    assert (found[0]["gated"], found[0]["parameters"]) == (True, 7_000_000_000)
    assert (found[1]["gated"], found[1]["licence"]) == (False, "mit")
    assert (await tools.ask("model_search", query="coder", limit=1))["models"][1:] == []
    assert (await tools.ask("model_search", query="coder", task="fill-mask"))["models"] == []


async def test_data_sets_are_found_by_task_and_language(tools: Tools):
    """With the size class that their page shows."""
    (found,) = (await tools.ask("dataset_search", task="text-generation", language="en"))[
        "datasets"
    ]
    assert (found["id"], found["size"], found["licence"]) == ("acme/reviews", "1K<n<10K", "cc0-1.0")
    assert found["description"] == "Code reviews."
    assert (await tools.ask("dataset_search", language="fr"))["datasets"] == []


async def test_spaces_and_papers_are_found_by_what_they_are_about(tools: Tools):
    """Only Spaces that speak MCP where that is asked."""
    both = (await tools.ask("space_search", query="code"))["spaces"]
    assert [space["speaks_mcp"] for space in both] == [True, False]
    (one,) = (await tools.ask("space_search", query="code", mcp_only=True))["spaces"]
    assert (one["id"], one["stage"], one["relevance"]) == ("acme/reviewer", "RUNNING", 0.75)
    (paper,) = (await tools.ask("paper_search", query="adaptation"))["papers"]
    assert (paper["title"], paper["authors"]) == ("LoRA", ["Ada Lovelace"])


async def test_a_repository_tells_where_it_comes_from(tools: Tools):
    """Base model and data of a model, files and card of a data set."""
    model = await tools.ask("hub_repo_details", repo_id="acme/coder-1b")
    assert (model["base_models"], model["trained_on"]) == (["acme/coder-7b"], ["acme/reviews"])
    assert model["card"] is None
    asked = {"repo_id": "acme/reviews", "repo_type": "dataset", "include_readme": True}
    data = await tools.ask("hub_repo_details", **asked)
    assert data["card"] == "# Reviews\n"
    assert {"path": "data.jsonl", "bytes": 2} in data["files"]
    told = await tools.refused("hub_repo_details", repo_id="acme/nothing")
    assert "The Hub has no model 'acme/nothing' that you may see. Search for it." in told


async def test_the_documentation_is_searched_and_read_in_parts(tools: Tools, hub: HubDouble):
    """Page by page, and nothing else is fetched by an address."""
    (found,) = (await tools.ask("hf_doc_search", query="fine-tune", product="trl"))["excerpts"]
    assert (found["title"], found["product"]) == ("SFT Trainer", "trl")
    first = await tools.ask("hf_doc_fetch", doc_url=found["url"])
    rest = await tools.ask("hf_doc_fetch", doc_url=found["url"], offset=first["next_offset"])
    assert first["text"] + rest["text"] == hub.search.pages["trl/sft_trainer"]
    assert rest["next_offset"] is None
    asked = len(hub.requests)
    for url in (
        "http://169.254.169.254/docs/latest",
        "https://huggingface.co/acme/private",
        "https://huggingface.co/docs/../acme/private",
        "file:///etc/passwd",
    ):
        assert "is no page" in await tools.refused("hf_doc_fetch", doc_url=url)
    assert len(hub.requests) == asked
    assert "no page" in await tools.refused("hf_doc_fetch", doc_url="/docs/trl/nothing")


async def test_a_hub_that_does_not_answer_is_said_to(tools: Tools, hub: HubDouble):
    """As an error of the tool, with what to do."""
    hub.fail(None, path="/api/papers", times=9)
    told = await tools.refused("paper_search", query="adaptation")
    assert "The Hub, asked for papers, does not answer" in told
    hub.fail(429, path="/api/docs", times=9, message="Too many requests")
    assert "Try again later." in await tools.refused("hf_doc_search", query="hub")


async def test_chef_mcp_hub_serves_it_over_stdio(hub: HubDouble, workspace: Workspace):
    """A process that needs no account, and uses the token where there is one."""
    hub.repos.add_model("acme/secret", private=True)
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "agent_orchestrator", "mcp", "hub"],
        env={**workspace.variables, **hub.environment(), "HF_HOME": str(workspace.folder / "hf")},
    )
    with (workspace.folder / "hub.log").open("w") as log:
        async with (
            stdio_client(command, errlog=log) as (read, write),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            asked = {"query": "secret", "author": "acme"}
            found = (await session.call_tool("model_search", asked)).structuredContent
    assert [model["id"] for model in found["models"]] == ["acme/secret"]
