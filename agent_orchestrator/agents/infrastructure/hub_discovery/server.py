"""The searches as tools of an MCP server, which ``chef mcp hub`` runs over stdio.

Hugging Face's own server (https://huggingface.co/mcp) needs the network's public Hub and, for most
of its tools, an account; this one works with whatever Hub ``HF_ENDPOINT`` names, without a token
too, and says what one has to know before training: licence, parameters, gate, files. Its tools have
the names by which the public server is known; what only that has (``dynamic_space``) comes from it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Final, TypeVar

import anyio.to_thread
from mcp.server.fastmcp import FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from agent_orchestrator.agents.infrastructure.hub_discovery.discovery import HubDiscovery, Sort
from agent_orchestrator.agents.infrastructure.hub_discovery.findings import (
    DocExcerpts,
    DocPage,
    FoundDatasets,
    FoundModels,
    FoundPapers,
    FoundSpaces,
    RepoDetails,
    RepoType,
)
from agent_orchestrator.errors import ChefError

T = TypeVar("T")
Query = Annotated[str, Field(min_length=1, max_length=200)]
Limit = Annotated[int, Field(ge=1, le=50)]

_READS: Final = ToolAnnotations(readOnlyHint=True, openWorldHint=True)


def build_server(discovery: HubDiscovery) -> FastMCP:
    """Return the server of all searches."""
    server = FastMCP("code-chef-hub", instructions="Find models, data sets and more on the Hub.")
    _add_searches(server, discovery)
    _add_reading(server, discovery)
    return server


def _add_searches(server: FastMCP, discovery: HubDiscovery) -> None:
    @server.tool(annotations=_READS)
    async def model_search(
        *,
        query: Query | None = None,
        author: str | None = None,
        task: Annotated[str | None, Field(description="E.g. text-generation.")] = None,
        library: Annotated[str | None, Field(description="E.g. transformers, peft, gguf.")] = None,
        sort: Sort = "trending_score",
        limit: Limit = 10,
    ) -> FoundModels:
        """Find models on the Hub, with their licence, parameters and whether they are gated."""
        return await _answer(
            partial(
                discovery.models,
                query,
                author=author,
                task=task,
                library=library,
                sort=sort,
                limit=limit,
            )
        )

    @server.tool(annotations=_READS)
    async def dataset_search(
        *,
        query: Query | None = None,
        author: str | None = None,
        task: Annotated[str | None, Field(description="E.g. question-answering.")] = None,
        language: Annotated[str | None, Field(description="ISO 639-1 code, e.g. en.")] = None,
        sort: Sort = "trending_score",
        limit: Limit = 10,
    ) -> FoundDatasets:
        """Find data sets on the Hub, with their licence and size."""
        return await _answer(
            partial(
                discovery.datasets,
                query,
                author=author,
                task=task,
                language=language,
                sort=sort,
                limit=limit,
            )
        )

    @server.tool(annotations=_READS)
    async def space_search(
        query: Query,
        mcp_only: Annotated[bool, Field(description="Only those that speak MCP.")] = False,
        limit: Limit = 10,
    ) -> FoundSpaces:
        """Find Spaces (running demos and tools) by what they do."""
        return await _answer(partial(discovery.spaces, query, mcp_only=mcp_only, limit=limit))

    @server.tool(annotations=_READS)
    async def paper_search(query: Query, limit: Limit = 10) -> FoundPapers:
        """Find papers about machine learning, with their abstracts."""
        return await _answer(partial(discovery.papers, query, limit=limit))


def _add_reading(server: FastMCP, discovery: HubDiscovery) -> None:
    @server.tool(annotations=_READS)
    async def hub_repo_details(
        repo_id: Annotated[str, Field(description="owner/name")],
        repo_type: RepoType = "model",
        include_readme: bool = False,
    ) -> RepoDetails:
        """Say what the Hub knows of a repository: licence, gate, parameters, origin, files."""
        return await _answer(partial(discovery.details, repo_id, repo_type, card=include_readme))

    @server.tool(annotations=_READS)
    async def hf_doc_search(
        query: Query,
        product: Annotated[str | None, Field(description="E.g. hub, transformers, trl.")] = None,
        limit: Limit = 10,
    ) -> DocExcerpts:
        """Search the Hugging Face documentation."""
        return await _answer(partial(discovery.documentation, query, product=product, limit=limit))

    @server.tool(annotations=_READS)
    async def hf_doc_fetch(
        doc_url: Annotated[str, Field(description="https://huggingface.co/docs/…")],
        offset: Annotated[int, Field(ge=0, description="Character to go on from.")] = 0,
    ) -> DocPage:
        """Read a page of the Hugging Face documentation."""
        return await _answer(partial(discovery.page, doc_url, offset=offset))


async def _answer(ask: Callable[[], T]) -> T:
    """Ask in a thread; say an error with its remedy."""
    try:
        return await anyio.to_thread.run_sync(ask)
    except ChefError as error:
        raise ToolError(str(error)) from error
