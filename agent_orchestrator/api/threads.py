"""Conversations in the shape of LangGraph's Agent Server, for ``langgraph-sdk``.

States can be read, not written: what is agreed to is what a person has said.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import anyio.to_thread
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from agent_orchestrator.api.auth import Reader
from agent_orchestrator.api.ids import WORD, ThreadId
from agent_orchestrator.api.services import Services, Wired
from agent_orchestrator.conversation.snapshots import Interrupt, Snapshot
from agent_orchestrator.errors import ConflictError, NotFoundError
from agent_orchestrator.stores import threads as store

router = APIRouter(prefix="/threads", tags=["threads"])

ThreadStatus = Literal["idle", "busy", "interrupted", "error"]
CheckpointId = Annotated[str, Field(pattern=WORD)]


class ThreadCreate(BaseModel):
    """A thread that is to be."""

    thread_id: str | None = Field(default=None, pattern=WORD)
    metadata: dict[str, Any] = {}
    if_exists: Literal["raise", "do_nothing"] = "raise"


class ThreadPatch(BaseModel):
    """What is to be noted about a thread."""

    metadata: dict[str, Any]


class ThreadSearch(BaseModel):
    """Which threads."""

    metadata: dict[str, Any] = {}
    status: ThreadStatus | None = None
    ids: Annotated[list[Annotated[str, Field(pattern=WORD)]], Field(max_length=1000)] | None = None
    limit: int = Field(default=10, ge=1, le=100)
    offset: int = Field(default=0, ge=0, le=100_000)


class NamedCheckpoint(BaseModel):
    """Where a state is kept."""

    checkpoint_id: CheckpointId


class StateAt(BaseModel):
    """Which state."""

    checkpoint: NamedCheckpoint


class HistoryWanted(BaseModel):
    """Which states."""

    limit: int = Field(default=10, ge=1, le=1000)
    before: CheckpointId | NamedCheckpoint | None = None


class ThreadShown(BaseModel):
    """A thread."""

    thread_id: str
    created_at: datetime
    updated_at: datetime
    metadata: dict[str, Any]
    status: ThreadStatus
    values: dict[str, Any] | None
    interrupts: dict[str, list[Interrupt]]
    owner: str
    """Who may speak in it."""


async def _shown(services: Services, thread: store.Thread) -> ThreadShown:
    state = await services.talks.snapshots.now(thread.id)
    busy = await services.talks.is_busy(thread.id)
    return ThreadShown(
        thread_id=thread.id,
        created_at=datetime.fromtimestamp(thread.created_at, UTC),
        updated_at=datetime.fromtimestamp(thread.updated_at, UTC),
        metadata=dict(thread.notes),
        status="busy" if busy else "interrupted" if state.interrupts else "idle",
        values=state.values or None,
        interrupts={task.id: task.interrupts for task in state.tasks if task.interrupts},
        owner=thread.owner,
    )


@router.post("", operation_id="create_thread")
async def create(given: ThreadCreate, caller: Reader, services: Wired) -> ThreadShown:
    """Begin a thread; it is the caller's."""
    talks = services.talks
    if given.thread_id is not None and given.if_exists == "raise":
        try:
            await talks.find(given.thread_id)
        except NotFoundError:
            pass
        else:
            raise ConflictError(f"There is a thread {given.thread_id!r}.", remedy="Use another id.")
    return await _shown(services, await talks.open(given.thread_id, caller, given.metadata))


@router.post("/search", operation_id="search_threads")
async def search(given: ThreadSearch, _caller: Reader, services: Wired) -> list[ThreadShown]:
    """Return threads, the last changed first."""
    asked = given.status is not None  # which ones have it shows when each is looked at
    limit, offset = (None, 0) if asked else (given.limit, given.offset)
    threads = await anyio.to_thread.run_sync(
        lambda: services.talks.threads.newest(
            notes=given.metadata, ids=given.ids, limit=limit, offset=offset
        )
    )
    if not asked:
        return [await _shown(services, thread) for thread in threads]
    found: list[ThreadShown] = []
    for thread in threads:
        if len(found) == given.offset + given.limit:
            break
        shown = await _shown(services, thread)
        found += [shown] if shown.status == given.status else []
    return found[given.offset :]


@router.get("/{thread_id}", operation_id="get_thread")
async def get(thread_id: ThreadId, _caller: Reader, services: Wired) -> ThreadShown:
    """Return a thread."""
    return await _shown(services, await services.talks.find(thread_id))


@router.patch("/{thread_id}", operation_id="update_thread")
async def update(
    thread_id: ThreadId, given: ThreadPatch, caller: Reader, services: Wired
) -> ThreadShown:
    """Note something about a thread."""
    talks = services.talks
    talks.check_owner(await talks.find(thread_id), caller)
    noted = await anyio.to_thread.run_sync(
        talks.threads.note, thread_id, given.metadata, time.time()
    )
    return await _shown(services, noted)


@router.delete("/{thread_id}", operation_id="delete_thread", status_code=204)
async def delete(thread_id: ThreadId, caller: Reader, services: Wired) -> Response:
    """Forget a thread and all that was said in it."""
    talks = services.talks
    thread = await talks.find(thread_id)
    talks.check_owner(thread, caller)
    if await talks.is_busy(thread_id):
        raise ConflictError(f"A turn of {thread_id!r} runs.", remedy="Wait for its end.")
    await talks.forget(thread)
    return Response(status_code=204)


@router.get("/{thread_id}/state", operation_id="get_thread_state")
async def state(thread_id: ThreadId, _caller: Reader, services: Wired) -> Snapshot:
    """Return a thread's present state."""
    await services.talks.find(thread_id)
    return await services.talks.snapshots.now(thread_id)


@router.get("/{thread_id}/state/{checkpoint_id}", operation_id="get_thread_state_at")
async def state_at(
    thread_id: ThreadId, checkpoint_id: ThreadId, _caller: Reader, services: Wired
) -> Snapshot:
    """Return a thread's state at a checkpoint."""
    await services.talks.find(thread_id)
    return await services.talks.snapshots.at(thread_id, checkpoint_id)


@router.post("/{thread_id}/state/checkpoint", operation_id="find_thread_state")
async def state_found(
    thread_id: ThreadId, given: StateAt, caller: Reader, services: Wired
) -> Snapshot:
    """Return a thread's state at a checkpoint."""
    return await state_at(thread_id, given.checkpoint.checkpoint_id, caller, services)


@router.post("/{thread_id}/history", operation_id="get_thread_history")
async def history(
    thread_id: ThreadId, given: HistoryWanted, _caller: Reader, services: Wired
) -> list[Snapshot]:
    """Return a thread's states, newest first."""
    await services.talks.find(thread_id)
    before = given.before
    named = before.checkpoint_id if isinstance(before, NamedCheckpoint) else before
    return await services.talks.snapshots.history(thread_id, given.limit, named)
