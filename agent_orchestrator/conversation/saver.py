"""LangGraph's checkpoints over a store of ours; it passes LangGraph's conformance tests.

What many conversations write at the same time is one transaction. LangGraph's own saver for SQLite
crosses to its thread several times for each checkpoint, one conversation after the other, which was
most of what a turn took beside a hundred others; its own for PostgreSQL needs psycopg.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from anyio.to_thread import run_sync
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
    writes_sort_key,
)

from agent_orchestrator.conversation.gathered import Gathered
from agent_orchestrator.stores.checkpoints import (
    Change,
    CheckpointKey,
    CheckpointRow,
    Checkpoints,
    WriteRow,
    Writes,
)


class GatheredSaver(BaseCheckpointSaver[str]):
    """Keeps checkpoints by a store; raises what that raises. Used by one event loop."""

    def __init__(self, store: Checkpoints) -> None:
        super().__init__()
        self._store = store
        self._kept = Gathered[Change, None](store.keep, "checkpoints")

    async def aclose(self) -> None:
        """Wait until everything is kept."""
        await self._kept.aclose()

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that ``config`` names, its thread's newest when it names none."""
        thread_id, namespace = _place(config)
        checkpoint_id = get_checkpoint_id(config)
        found = self._store.find(
            thread_id=thread_id, namespace=namespace, checkpoint_id=checkpoint_id, limit=1
        )
        return self._loaded(found[0]) if found else None

    # The name and its parameters are LangGraph's.
    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Yield checkpoints, newest first; ``filter`` is what their metadata must say."""
        configurable = config["configurable"] if config else {}
        rows = self._store.find(
            thread_id=configurable.get("thread_id"),
            namespace=configurable.get("checkpoint_ns"),
            checkpoint_id=get_checkpoint_id(config) if config else None,
            before=get_checkpoint_id(before) if before else None,
            limit=None if filter else limit,
        )
        matching = (row for row in rows if _matches(row.metadata, filter or {}))
        for count, row in enumerate(matching):
            if limit is not None and count >= limit:
                return
            yield self._loaded(row)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint and return the config that names it."""
        row = self._row(config, checkpoint, metadata)
        self._store.keep([row])
        return _named(row.key)

    def _row(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
    ) -> CheckpointRow:
        thread_id, namespace = _place(config)
        kind, body = self.serde.dumps_typed(checkpoint)
        return CheckpointRow(
            key=CheckpointKey(thread_id, namespace, checkpoint["id"]),
            parent_id=get_checkpoint_id(config),
            kind=kind,
            body=body,
            metadata=dict(get_checkpoint_metadata(config, metadata)),
        )

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Keep what a task wrote; what it wrote before stays, but for errors and interrupts."""
        self._store.keep([self._writes(config, writes, task_id, task_path)])

    def _writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str,
    ) -> Writes:
        key = CheckpointKey(*_place(config), str(config["configurable"]["checkpoint_id"]))
        rows = [
            WriteRow(
                task_id,
                WRITES_IDX_MAP.get(channel, position),
                task_path,
                channel,
                *self.serde.dumps_typed(value),
            )
            for position, (channel, value) in enumerate(writes)
        ]
        special = all(channel in WRITES_IDX_MAP for channel, _ in writes)
        return Writes(key, rows, replace=special)

    def delete_thread(self, thread_id: str) -> None:
        """Forget a thread."""
        self._store.delete(thread_id)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As ``get_tuple``."""
        return await run_sync(self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As ``list``."""

        def read() -> Sequence[CheckpointTuple]:
            return tuple(self.list(config, filter=filter, before=before, limit=limit))

        for found in await run_sync(read):
            yield found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As ``put``."""
        row = self._row(config, checkpoint, metadata)
        await self._kept.do(row)
        return _named(row.key)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """As ``put_writes``."""
        await self._kept.do(self._writes(config, writes, task_id, task_path))

    async def adelete_thread(self, thread_id: str) -> None:
        """As ``delete_thread``."""
        await run_sync(self.delete_thread, thread_id)

    def get_next_version(self, current: str | None, channel: None) -> str:
        """Return a version above ``current``; two that are made at once differ."""
        number = int(str(current).partition(".")[0]) if current else 0
        return f"{number + 1:032}.{random.random():016}"  # noqa: S311 - no secret

    def _loaded(self, row: CheckpointRow) -> CheckpointTuple:
        key = row.key
        writes = sorted(
            self._store.writes(key),
            key=lambda write: writes_sort_key(write.task_path, write.task_id, write.position),
        )
        parent = row.parent_id
        return CheckpointTuple(
            config=_named(key),
            checkpoint=self.serde.loads_typed((row.kind, row.body)),
            metadata=row.metadata,  # type: ignore[arg-type]  # LangGraph's TypedDict
            parent_config=_named(key._replace(checkpoint_id=parent)) if parent else None,
            pending_writes=[
                (write.task_id, write.channel, self.serde.loads_typed((write.kind, write.body)))
                for write in writes
            ],
        )


def _place(config: RunnableConfig) -> tuple[str, str]:
    configurable = config["configurable"]
    return str(configurable["thread_id"]), str(configurable.get("checkpoint_ns", ""))


def _named(key: CheckpointKey) -> RunnableConfig:
    return {
        "configurable": {
            "thread_id": key.thread_id,
            "checkpoint_ns": key.namespace,
            "checkpoint_id": key.checkpoint_id,
        }
    }


def _matches(metadata: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(metadata.get(name) == value for name, value in wanted.items())
