"""Who may speak in which conversation: the one who began it, and administrators.

What is said in a conversation can be agreed to in it later, so that nobody may put words into
another's. Everybody who may look may read; what waits is approved elsewhere.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.conversation.events import Event
from agent_orchestrator.conversation.snapshots import Snapshots
from agent_orchestrator.domain.roles import may
from agent_orchestrator.errors import ConflictError, Forbidden, NotFoundError
from agent_orchestrator.stores.threads import Thread
from agent_orchestrator.wiring.orchestrator import Orchestrator


class Talks:
    """The conversations, as several people share them."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._conversation = orchestrator.conversation
        self._events = orchestrator.thread_events
        self._checkpointer = orchestrator.checkpointer
        self.threads = orchestrator.threads
        self.snapshots = Snapshots(orchestrator.graph)

    async def open(
        self, thread_id: str | None, caller: Caller, notes: Mapping[str, Any] | None = None
    ) -> Thread:
        """Return a conversation in which the caller may speak, begun if need be. Raises Forbidden.

        One that was begun elsewhere, at a terminal, belongs to who spoke first in it.
        """
        wanted = thread_id or str(uuid.uuid4())
        thread = await anyio.to_thread.run_sync(self._begun, wanted)
        if thread is None:
            thread = await anyio.to_thread.run_sync(
                self.threads.open, wanted, caller.name, time.time(), notes
            )
        self.check_owner(thread, caller)
        return thread

    async def find(self, thread_id: str) -> Thread:
        """Return a conversation that was begun at any door. Raises NotFoundError."""
        thread = await anyio.to_thread.run_sync(self._begun, thread_id)
        if thread is None:
            raise NotFoundError(f"No conversation {thread_id!r}.", remedy="Begin one.")
        return thread

    def _begun(self, thread_id: str) -> Thread | None:
        try:
            return self.threads.get(thread_id)
        except NotFoundError:
            first = self._events.after(thread_id, 0, 1)
        if not first:
            return None
        owner = str(first[0].get("by") or "")
        return self.threads.open(thread_id, owner, time.time())

    def check_owner(self, thread: Thread, caller: Caller) -> None:
        """Raise Forbidden unless the caller may speak in a conversation."""
        if caller.name != thread.owner and not may(caller.role, "administer"):
            raise Forbidden(
                f"Conversation {thread.id!r} is {thread.owner!r}'s: {caller.name!r} may read it.",
                remedy="Begin one of your own.",
            )

    def send(
        self, thread_id: str, text: str, caller: Caller, *, wait: bool = True
    ) -> AsyncGenerator[Event, None]:
        """See ``Conversation.send``."""
        return self._conversation.send(thread_id, text, caller, wait=wait)

    def resume(
        self, thread_id: str, approval_id: str, caller: Caller, *, wait: bool = True
    ) -> AsyncGenerator[Event, None]:
        """See ``Conversation.resume``."""
        return self._conversation.resume(thread_id, approval_id, caller, wait=wait)

    def listen(self, thread_id: str, after: int) -> AsyncGenerator[Event, None]:
        """See ``Conversation.listen``."""
        return self._conversation.listen(thread_id, after)

    def kept(self, thread_id: str, after: int) -> AsyncGenerator[Event, None]:
        """See ``Conversation.kept``."""
        return self._conversation.kept(thread_id, after)

    async def is_busy(self, thread_id: str) -> bool:
        """See ``Conversation.is_busy``."""
        return await self._conversation.is_busy(thread_id)

    async def last_event(self, thread_id: str) -> int:
        """Return the number of a conversation's newest event, 0 without any."""
        return await anyio.to_thread.run_sync(self._events.last, thread_id)

    async def stop(self, thread_id: str, caller: Caller) -> bool:
        """See ``Conversation.stop``; return whether a turn runs.

        Raises NotFoundError, Forbidden as ``open`` does, and ConflictError when the turn runs in
        another process.
        """
        self.check_owner(await self.find(thread_id), caller)
        stopped = self._conversation.stop(thread_id, caller.name)
        if not stopped and await self.is_busy(thread_id):
            raise ConflictError(
                f"The turn of conversation {thread_id!r} runs in another process.",
                remedy="Stop it where it was begun: at another server, or at a terminal.",
            )
        return stopped

    async def forget(self, thread: Thread) -> None:
        """Remove a conversation and everything that was said in it."""
        await self._checkpointer.adelete_thread(thread.id)
        await anyio.to_thread.run_sync(self._events.delete, thread.id)
        await anyio.to_thread.run_sync(self.threads.delete, thread.id)
