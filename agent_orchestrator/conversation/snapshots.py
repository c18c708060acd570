"""The state of a conversation at its checkpoints, as plain JSON in the Agent Server's shape.

The shape is that of ``langgraph_sdk.schema.ThreadState``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from agent_orchestrator.errors import NotFoundError
from agent_orchestrator.graph import Graph


class Interrupt(BaseModel):
    """What a thread waits for."""

    value: Any
    id: str


class Checkpoint(BaseModel):
    """Where a state is kept."""

    thread_id: str
    checkpoint_ns: str = ""
    checkpoint_id: str | None = None
    checkpoint_map: dict[str, Any] | None = None


class SnapshotTask(BaseModel):
    """A node that is to run, or waits."""

    id: str
    name: str
    error: str | None = None
    interrupts: list[Interrupt] = []
    checkpoint: Checkpoint | None = None
    state: dict[str, Any] | None = None
    result: dict[str, Any] | None = None


class Snapshot(BaseModel):
    """A thread's state."""

    values: dict[str, Any]
    next: list[str]
    """Nodes that run next; empty when the thread waits for a person to say something."""
    tasks: list[SnapshotTask]
    metadata: dict[str, Any]
    created_at: str | None
    checkpoint: Checkpoint
    parent_checkpoint: Checkpoint | None
    interrupts: list[Interrupt]


class Snapshots:
    """Reads the states that the graph has written down."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    async def now(self, thread_id: str) -> Snapshot:
        """Return a thread's present state; an empty one for a thread in which nothing was said."""
        return _snapshot(thread_id, await self._graph.aget_state(_config(thread_id)))

    async def at(self, thread_id: str, checkpoint_id: str) -> Snapshot:
        """Return the state at a checkpoint. Raises NotFoundError."""
        state = await self._graph.aget_state(_config(thread_id, checkpoint_id))
        if state.created_at is None:
            raise NotFoundError(
                f"No checkpoint {checkpoint_id!r} of {thread_id!r}.",
                remedy="Read the thread's history.",
            )
        return _snapshot(thread_id, state)

    async def history(self, thread_id: str, limit: int, before: str | None) -> list[Snapshot]:
        """Return a thread's states, newest first, from before a checkpoint where one is named."""
        earlier = _config(thread_id, before) if before else None
        states = self._graph.aget_state_history(_config(thread_id), before=earlier, limit=limit)
        return [_snapshot(thread_id, state) async for state in states]


def _config(thread_id: str, checkpoint_id: str | None = None) -> RunnableConfig:
    given = {"thread_id": thread_id, "checkpoint_ns": ""}
    return {"configurable": given | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}


def _snapshot(thread_id: str, state: StateSnapshot) -> Snapshot:
    parent = state.parent_config
    return Snapshot(
        values=_plain(state.values) or {},
        next=list(state.next),
        tasks=[
            SnapshotTask(
                id=task.id,
                name=task.name,
                error=str(task.error) if task.error else None,
                interrupts=[_interrupt(one) for one in task.interrupts],
            )
            for task in state.tasks
        ],
        metadata=_plain(state.metadata) or {},
        created_at=state.created_at,
        checkpoint=_checkpoint(thread_id, state.config),
        parent_checkpoint=_checkpoint(thread_id, parent) if parent else None,
        interrupts=[_interrupt(one) for one in state.interrupts],
    )


def _interrupt(one: Any) -> Interrupt:
    return Interrupt(value=_plain(one.value), id=one.id)


def _checkpoint(thread_id: str, config: RunnableConfig) -> Checkpoint:
    known = config.get("configurable", {})
    return Checkpoint(thread_id=thread_id, checkpoint_id=known.get("checkpoint_id"))


def _plain(value: Any) -> Any:
    """Return a value as JSON; messages as their fields, with ``type``."""
    if isinstance(value, BaseMessage):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return to_jsonable_python(value, fallback=str)
