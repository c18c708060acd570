"""The assistants of an Agent Server. There is one: the whole graph."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, Field

from agent_orchestrator.api.auth import Reader
from agent_orchestrator.api.ids import ThreadId
from agent_orchestrator.api.run_records import ASSISTANT_ID
from agent_orchestrator.api.services import Wired
from agent_orchestrator.errors import NotFoundError

router = APIRouter(prefix="/assistants", tags=["assistants"])

GRAPH_ID: Final = "chef"
_SINCE: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Assistant(BaseModel):
    """An assistant, in the Agent Server's shape."""

    assistant_id: str = ASSISTANT_ID
    graph_id: str = GRAPH_ID
    name: str = GRAPH_ID
    description: str = "The supervisor and its agents."
    config: dict[str, Any] = {}
    context: dict[str, Any] = {}
    metadata: dict[str, Any] = {"created_by": "system"}
    version: int = 1
    created_at: datetime = _SINCE
    updated_at: datetime = _SINCE


class AssistantSearch(BaseModel):
    """Which assistants."""

    graph_id: str | None = None
    metadata: dict[str, Any] = {}
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=100_000)


class GraphDrawn(BaseModel):
    """The graph's nodes and edges."""

    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]


@router.post("/search", operation_id="search_assistants")
async def search(given: AssistantSearch, _caller: Reader) -> list[Assistant]:
    """Return the assistant, if it is asked for."""
    own = Assistant()
    asked = given.graph_id in {None, GRAPH_ID} and given.metadata.items() <= own.metadata.items()
    return [own] if asked and not given.offset else []


@router.get("/{assistant_id}", operation_id="get_assistant")
async def get(assistant_id: ThreadId, _caller: Reader) -> Assistant:
    """Return the assistant."""
    return _found(assistant_id)


@router.get("/{assistant_id}/graph", operation_id="get_assistant_graph")
async def graph(assistant_id: ThreadId, _caller: Reader, services: Wired) -> GraphDrawn:
    """Return the graph, to be drawn."""
    _found(assistant_id)
    drawn = services.orchestrator.graph.get_graph().to_json()
    return GraphDrawn(nodes=drawn["nodes"], edges=drawn["edges"])


def _found(assistant_id: str) -> Assistant:
    if assistant_id not in {ASSISTANT_ID, GRAPH_ID}:
        raise NotFoundError(f"No assistant {assistant_id!r}.", remedy=f"There is {GRAPH_ID!r}.")
    return Assistant()
