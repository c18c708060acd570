"""The searches as tools of an MCP server, which ``chef mcp hub`` runs over stdio.

Hugging Face's own server (https://huggingface.co/mcp) needs the network's public Hub and, for most
of its tools, an account; this one works with whatever Hub ``HF_ENDPOINT`` names, without a token
too, and says what one has to know before training: licence, parameters, gate, files. Its tools have
the names by which the public server is known; what only that has (``dynamic_space``) comes from it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Final, ParamSpec, TypeVar

import anyio.to_thread
from mcp.server.fastmcp import FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from mcp.types import ToolAnnotations

from agent_orchestrator.agents.infrastructure.hub_discovery.discovery import HubDiscovery
from agent_orchestrator.errors import ChefError

P = ParamSpec("P")
T = TypeVar("T")

_READS: Final = ToolAnnotations(readOnlyHint=True, openWorldHint=True)


def build_server(discovery: HubDiscovery) -> FastMCP:
    """Return the server of all searches."""
    server = FastMCP("code-chef-hub", instructions="Find models, data sets and more on the Hub.")
    for search in (
        discovery.model_search,
        discovery.dataset_search,
        discovery.space_search,
        discovery.paper_search,
        discovery.hub_repo_details,
        discovery.hf_doc_search,
        discovery.hf_doc_fetch,
    ):
        server.add_tool(_in_a_thread(search), annotations=_READS)
    return server


def _in_a_thread(ask: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Return a tool that asks in a thread, and says an error with its remedy."""

    @wraps(ask)
    async def answer(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return await anyio.to_thread.run_sync(partial(ask, *arguments, **named))
        except ChefError as error:
            raise ToolError(str(error)) from error

    return answer
