"""The turns that clients began as runs, as long as this process lives.

What happened in them is kept with the conversation (``thread_events``), whoever began it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, PrivateAttr

from agent_orchestrator.errors import NotFoundError

RunStatus = Literal["running", "error", "success", "interrupted"]
MultitaskStrategy = Literal["enqueue", "reject"]
"""What comes of a run while another turn of its thread runs, in whatever process."""

ASSISTANT_ID: Final = str(uuid.uuid5(uuid.NAMESPACE_URL, "urn:code-chef:assistant"))
"""Of the only assistant that there is: the whole graph."""
_MOST: Final = 10_000


class Run(BaseModel):
    """One run, in the Agent Server's shape."""

    run_id: str
    thread_id: str
    assistant_id: str = ASSISTANT_ID
    created_at: datetime
    updated_at: datetime
    status: RunStatus = "running"
    metadata: dict[str, Any] = {}
    multitask_strategy: MultitaskStrategy = "enqueue"
    after: int = 0
    """Number of the conversation's last event before this run."""
    _begins: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)

    @property
    def has_begun(self) -> bool:
        """Whether its turn has come: until then ``after`` is only where it was asked for."""
        return self._begins.is_set()

    def begin(self, seq: int) -> None:
        """Note the number of its first event; of several times the first one counts."""
        if not self.has_begun:
            self.after = seq - 1
            self._begins.set()

    async def begun(self) -> None:
        """Wait until its turn has come, or it is over without."""
        await self._begins.wait()


class Runs:
    """The runs of this process; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(
        self,
        thread_id: str,
        after: int,
        metadata: Mapping[str, Any],
        multitask_strategy: MultitaskStrategy = "enqueue",
    ) -> Run:
        """Add a run, which begins when the turns before it are over."""
        now = datetime.now(UTC)
        run = Run(
            run_id=str(uuid.uuid4()),
            thread_id=thread_id,
            created_at=now,
            updated_at=now,
            metadata=dict(metadata),
            multitask_strategy=multitask_strategy,
            after=after,
        )
        self._runs[run.run_id] = run
        while len(self._runs) > _MOST:
            self._runs.popitem(last=False)
        return run

    def end(self, run: Run, status: RunStatus) -> None:
        """Write down how a run ended."""
        run.begin(run.after + 1)  # nobody waits for it any more
        run.status = status
        run.updated_at = datetime.now(UTC)

    def get(self, thread_id: str, run_id: str) -> Run:
        """Return a run of a thread. Raises NotFoundError."""
        run = self._runs.get(run_id)
        if run is None or run.thread_id != thread_id:
            raise NotFoundError(
                f"No run {run_id!r} of {thread_id!r}.", remedy="List the thread's runs."
            )
        return run

    def of(self, thread_id: str) -> list[Run]:
        """Return the runs of a thread, newest first."""
        return [run for run in reversed(self._runs.values()) if run.thread_id == thread_id]

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do a run's work while nobody waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
