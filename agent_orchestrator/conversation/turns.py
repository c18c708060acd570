"""Turns of a conversation: a message or an approval goes in, events come out as they happen.

A turn runs in a task of its own. Who stops listening ends nothing but the following of a job: what
was begun is finished, and every event is kept, to be read again.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import anyio.to_thread
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.conversation.event_log import EventLog
from agent_orchestrator.conversation.events import EVENT, End, Event, Problem, Said, Token
from agent_orchestrator.errors import ChefError, ConflictError, StorageError
from agent_orchestrator.graph import Graph
from agent_orchestrator.stores.thread_events import ThreadEventStore

#: How long a job is still followed when nobody listens: a client may come back.
PATIENCE_SECONDS = 10.0


class _Turn:
    """One turn: its events so far, and whether it goes on."""

    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        self.events: list[Event] = []
        self.news = asyncio.Condition()
        self.over = False
        self.wanted = True
        self.listeners = 0
        self.left_at = time.monotonic()
        self.task: asyncio.Task[None] | None = None

    def following(self) -> bool:
        """Return whether somebody wants to know how a job goes on."""
        alone = not self.listeners and time.monotonic() - self.left_at > PATIENCE_SECONDS
        return self.wanted and not alone

    async def heard(self) -> AsyncGenerator[Event, None]:
        """Yield the turn's events from its beginning; raise what the turn died of."""
        self.listeners += 1
        told = 0
        try:
            while True:
                async with self.news:
                    while told == len(self.events) and not self.over:
                        await self.news.wait()
                for event in self.events[told:]:
                    told += 1
                    yield event
                if self.over and told == len(self.events):
                    break
        finally:
            self.listeners -= 1
            self.left_at = time.monotonic()
        if self.task is not None:
            await self.task


class Conversation:
    """All threads. One turn of a thread runs at a time; the next waits for it."""

    def __init__(self, graph: Graph, log: ThreadEventStore) -> None:
        self._graph = graph
        self._kept = log
        self._log = EventLog(log)
        self._turns: dict[str, _Turn] = {}

    async def send(self, thread_id: str, text: str, caller: Caller) -> AsyncGenerator[Event, None]:
        """Say something in a thread and yield what happens, ``end`` last.

        A job that the thread follows is followed until it ends or nobody listens. Errors of the
        request are events; raises StorageError and its kin when the thread cannot be kept.
        """
        given = {"messages": [HumanMessage(text)]}
        said = Said(text=text, by=caller.name)
        async with aclosing(self._heard(thread_id, given, caller, said)) as events:
            async for event in events:
                yield event

    async def resume(
        self, thread_id: str, approval_id: str, caller: Caller
    ) -> AsyncGenerator[Event, None]:
        """Go on with a thread that waits for an approval, after that was answered.

        The answer is looked up; without one the thread waits on. Raises ConflictError when the
        thread does not wait for this approval.
        """
        given: Command[Any] = Command(resume={"approval_id": approval_id})
        async with aclosing(self._heard(thread_id, given, caller, None)) as events:
            async for event in events:
                yield event

    async def listen(self, thread_id: str, after: int = 0) -> AsyncGenerator[Event, None]:
        """Yield a thread's events after ``after``, then those of the turn that is running."""
        turn = self._turns.get(thread_id)
        seen = after
        while kept := await anyio.to_thread.run_sync(self._kept.after, thread_id, seen):
            for values in kept:
                event = EVENT.validate_python(values)
                seen = event.seq
                yield event
        if turn is None:
            return
        async with aclosing(turn.heard()) as events:
            async for event in events:
                if event.seq > seen or isinstance(event, Token):
                    seen = event.seq
                    yield event

    def is_busy(self, thread_id: str) -> bool:
        """Return whether a turn of the thread runs."""
        return thread_id in self._turns

    def let_go(self, thread_id: str) -> None:
        """Stop following the thread's job, which goes on; the turn ends soon."""
        if (turn := self._turns.get(thread_id)) is not None:
            turn.wanted = False

    async def aclose(self) -> None:
        """End all following, and wait for the turns to finish."""
        for thread_id in list(self._turns):
            await self._finish(thread_id)
        await self._log.aclose()

    async def _finish(self, thread_id: str) -> None:
        """Wait for a running turn of the thread; it stops following its job."""
        while (turn := self._turns.get(thread_id)) is not None:
            self.let_go(thread_id)
            if turn.task is not None:
                await asyncio.wait([turn.task])

    async def _heard(
        self, thread_id: str, given: Any, caller: Caller, said: Said | None
    ) -> AsyncGenerator[Event, None]:
        await self._finish(thread_id)
        turn = self._turns[thread_id] = _Turn(thread_id)
        turn.task = asyncio.create_task(self._run(turn, given, caller, said))
        async with aclosing(turn.heard()) as events:
            async for event in events:
                yield event

    async def _run(self, turn: _Turn, given: Any, caller: Caller, said: Said | None) -> None:
        try:
            if said is not None:
                await self._tell(turn, said)
            else:
                await self._check_waits(turn.thread_id, given.resume["approval_id"])
            config = _config(turn.thread_id, caller=caller, following=turn.following)
            try:
                await self._stream(turn, given, config)
            except ChefError as error:
                await self._tell(turn, _problem(error))
            except sqlite3.Error as error:
                raise StorageError(f"The conversation cannot be kept: {error}.") from error
            await self._tell(turn, End(waiting=await self._waiting(config)))
        finally:
            del self._turns[turn.thread_id]
            turn.over = True
            async with turn.news:
                turn.news.notify_all()

    async def _check_waits(self, thread_id: str, approval_id: str) -> None:
        """Raise ConflictError unless the thread waits for the approval, now that it is its turn."""
        state = await self._graph.aget_state(_config(thread_id))
        waits = {i.value.get("approval_id") for i in state.interrupts if isinstance(i.value, dict)}
        if approval_id not in waits:
            raise ConflictError(
                f"Thread {thread_id!r} does not wait for approval {approval_id!r}.",
                remedy=f"Carry it out with `chef approve {approval_id}`, or ask again.",
            )

    async def _stream(self, turn: _Turn, given: Any, config: RunnableConfig) -> None:
        """Run the graph. What it does and spends is written down before the next step."""
        stream: AsyncIterator[Any] = self._graph.astream(
            given,
            config,
            stream_mode=["custom", "messages", "updates"],
            subgraphs=True,
            durability="sync",
        )
        async for namespace, mode, data in stream:
            if mode == "messages":
                await self._token(turn, data)
            elif mode == "custom":
                await self._tell(turn, EVENT.validate_python(data))
            elif not namespace and "__interrupt__" in data:
                for asked in data["__interrupt__"]:
                    await self._tell(turn, EVENT.validate_python(_approval(asked.value)))

    async def _token(self, turn: _Turn, data: Any) -> None:
        chunk, metadata = data
        if not isinstance(chunk, AIMessageChunk) or not chunk.text:
            return
        agent = metadata.get("langgraph_checkpoint_ns", "").partition(":")[0]
        seq = turn.events[-1].seq if turn.events else 0
        event = Token(agent=agent, text=chunk.text, message_id=chunk.id or "", seq=seq)
        await self._show(turn, event)

    async def _tell(self, turn: _Turn, event: Event) -> None:
        """Keep an event, then show it: what was shown can always be read again."""
        body = event.model_dump(mode="json", exclude={"seq"})
        seq = await self._log.append(turn.thread_id, body)
        await self._show(turn, event.model_copy(update={"seq": seq}))

    async def _show(self, turn: _Turn, event: Event) -> None:
        turn.events.append(event)
        async with turn.news:
            turn.news.notify_all()

    async def _waiting(self, config: RunnableConfig) -> Any:
        state = await self._graph.aget_state(config)
        if state.interrupts:
            return "approval"
        open_ = state.values.get("proposal") or state.values.get("asked")
        return "answer" if open_ else None


def _config(
    thread_id: str,
    *,
    caller: Caller | None = None,
    following: Callable[[], bool] | None = None,
) -> RunnableConfig:
    configurable: dict[str, Any] = {"thread_id": thread_id, "caller": caller}
    return {"configurable": {**configurable, "following": following or (lambda: False)}}


def _approval(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of an interrupt that asks for an approval."""
    return {
        "type": "approval_required",
        **{name: content for name, content in value.items() if name != "kind"},
    }


def _problem(error: ChefError) -> Problem:
    return Problem(error=type(error).__name__, message=error.message, remedy=error.remedy)
