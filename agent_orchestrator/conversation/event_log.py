"""The events of all conversations on their way to the store, kept batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agent_orchestrator.conversation.gathered import Gathered


class EventSink(Protocol):
    """Keeps events (``stores.thread_events``). Blocking; called in a thread, one call at a time."""

    def append_many(self, events: Sequence[tuple[str, Mapping[str, Any]]]) -> Sequence[int]:
        """Keep events of threads, all or none; return their numbers, which rise."""


class EventLog:
    """Belongs to one event loop. What was begun is finished, whoever stops waiting for it."""

    def __init__(self, sink: EventSink) -> None:
        self._kept = Gathered(sink.append_many, "event log")

    async def append(self, thread_id: str, event: Mapping[str, Any]) -> int:
        """Keep an event and return its number; raises what the sink raises."""
        return await self._kept.do((thread_id, event))

    async def aclose(self) -> None:
        """Wait until everything is kept."""
        await self._kept.aclose()
