"""Turns of a conversation: a message or an approval goes in, events come out as they happen.

A turn runs in a task of its own. Who stops listening ends nothing but the following of a job, and
every event is kept, to be read again. Who stops the turn ends agents' work before its next step.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, cast

import anyio.to_thread
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command

from agent_orchestrator.agents._shared.stopping import StopSign
from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.workflows.modelops.steps import short_answers
from agent_orchestrator.conversation.event_log import EventLog
from agent_orchestrator.conversation.events import EVENT, End, Event, Problem, Said, Token, joined
from agent_orchestrator.conversation.leases import LOOK_SECONDS, TurnLeases, taken
from agent_orchestrator.errors import ChefError, ConflictError, FailedError
from agent_orchestrator.graph import Graph
from agent_orchestrator.state import ModelOpsState
from agent_orchestrator.stores.thread_events import ThreadEventStore

#: How long a job is still followed when nobody listens: a client may come back.
PATIENCE_SECONDS = 10.0
#: How long turns may go on when this process ends, before they are stopped: `chef serve` kills
#: a server 5 s after the 30 s that it gives its requests (``wiring.supervisor``).
GRACE_SECONDS = 3.0
#: How often listeners are told of tokens: what comes in between is joined. Nobody reads faster, and
#: with many conversations each telling costs more than the token.
TOKEN_SECONDS = 0.05


class _Turn:
    """One turn: its events so far, and whether it goes on."""

    def __init__(self, thread_id: str) -> None:
        self.thread_id = thread_id
        self.events: list[Event] = []
        self.over = False
        self.wanted = True
        self.stop_sign = StopSign()
        self.listeners = 0
        self.left_at = time.monotonic()
        self.task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._told_at = -TOKEN_SECONDS
        self._soon: asyncio.TimerHandle | None = None

    def following(self) -> bool:
        """Return whether somebody wants to know how a job goes on."""
        alone = not self.listeners and time.monotonic() - self.left_at > PATIENCE_SECONDS
        return self.wanted and not alone

    def let_go(self) -> None:
        """Stop following the job."""
        self.wanted = False

    def first_seq(self) -> float:
        """Return the number of its first event; infinite as long as there is none."""
        return next((one.seq for one in self.events if not isinstance(one, Token)), math.inf)

    def show(self, event: Event) -> None:
        """Add an event and tell the listeners: of a token not more often than they can read."""
        self.events.append(event)
        if not isinstance(event, Token):
            self._tell()
        elif self._soon is None:
            wait = self._told_at + TOKEN_SECONDS - time.monotonic()
            self._soon = asyncio.get_running_loop().call_later(max(0.0, wait), self._tell)

    def end(self) -> None:
        """Tell the listeners that there is nothing more."""
        self.over = True
        self._tell()

    def _tell(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        self._told_at = time.monotonic()
        self._news.set()
        self._news = asyncio.Event()

    async def heard(self) -> AsyncGenerator[Event, None]:
        """Yield the turn's events from its beginning; raise what the turn died of."""
        self.listeners += 1
        told = 0
        try:
            while not self.over or told < len(self.events):
                if told == len(self.events):
                    await self._news.wait()
                fresh = self.events[told:]
                told += len(fresh)
                for event in joined(fresh):
                    yield event
        finally:
            self.listeners -= 1
            self.left_at = time.monotonic()
        if self.task is not None:
            await self.task


class Conversation:
    """All threads. One turn of a thread runs at a time, in whatever process; the next waits."""

    def __init__(self, graph: Graph, log: ThreadEventStore, leases: TurnLeases) -> None:
        self._graph = graph
        self._kept = log
        self._log = EventLog(log)
        self._leases = leases
        self._turns: dict[str, _Turn] = {}

    async def send(
        self, thread_id: str, text: str, caller: Caller, *, wait: bool = True
    ) -> AsyncGenerator[Event, None]:
        """Say something in a thread and yield what happens, ``end`` last.

        A job that the thread follows is followed until it ends or nobody listens. Errors of the
        request are events; raises StorageError and its kin when the thread cannot be kept,
        ConflictError while another turn of the thread runs: unless it shall ``wait`` at once, else
        when another process's does not end.
        """
        given = {"messages": [HumanMessage(text)]}
        said = Said(text=text, by=caller.name)
        async with aclosing(self._heard(thread_id, given, caller, said, wait=wait)) as events:
            async for event in events:
                yield event

    async def resume(
        self, thread_id: str, approval_id: str, caller: Caller, *, wait: bool = True
    ) -> AsyncGenerator[Event, None]:
        """Go on with a thread that waits for an approval, after that was answered.

        The answer is looked up; without one the thread waits on. Raises ConflictError when the
        thread does not wait for this approval, and as ``send`` does.
        """
        given: Command[Any] = Command(resume={"approval_id": approval_id})
        async with aclosing(self._heard(thread_id, given, caller, None, wait=wait)) as events:
            async for event in events:
                yield event

    async def listen(self, thread_id: str, after: int = 0) -> AsyncGenerator[Event, None]:
        """Yield a thread's events after ``after``, then those of the turn that is running.

        Of one that runs in another process those that are kept: its tokens are not. A turn whose
        process was killed ends with an error that says so.
        """
        turn = self._turns.get(thread_id)
        while True:
            waits = turn is None or not turn.events
            elsewhere = waits and await self._leases.elsewhere(thread_id)
            async with aclosing(self.kept(thread_id, after)) as events:
                async for event in events:
                    if turn is not None and event.seq >= turn.first_seq():
                        break  # the turn tells it, in its place among the tokens
                    after = event.seq
                    yield event
            if not elsewhere:
                break
            await asyncio.sleep(LOOK_SECONDS)
        if turn is None:
            for event in await self._cut_off(thread_id):
                yield event
            return
        async with aclosing(turn.heard()) as events:
            async for event in events:
                # Tokens that came before the event ``after`` were heard before it.
                if event.seq > after or (isinstance(event, Token) and event.seq == after):
                    yield event

    async def kept(self, thread_id: str, after: int = 0) -> AsyncGenerator[Event, None]:
        """Yield a thread's events after ``after`` that are kept by now."""
        while found := await anyio.to_thread.run_sync(self._kept.after, thread_id, after):
            for values in found:
                event = EVENT.validate_python(values)
                after = event.seq
                yield event

    async def _cut_off(self, thread_id: str) -> list[Event]:
        """Return how a thread's last turn ended that did not live to say it itself."""
        last = await anyio.to_thread.run_sync(self._last, thread_id)
        if last is None or isinstance(last, End) or await self.is_busy(thread_id):
            return []
        if await anyio.to_thread.run_sync(self._last, thread_id) != last:
            return []  # it has ended since it was looked for
        problem = _problem(
            FailedError(
                "The turn was cut off before it could say how it ended.",
                remedy="Look at what was done, then say it again.",
            )
        )
        end = await self._end(_config(thread_id))
        return [one.model_copy(update={"seq": last.seq}) for one in (problem, end)]

    def _last(self, thread_id: str) -> Event | None:
        found = self._kept.after(thread_id, self._kept.last(thread_id) - 1, 1)
        return EVENT.validate_python(found[0]) if found else None

    async def is_busy(self, thread_id: str) -> bool:
        """Return whether a turn of the thread runs, in whatever process."""
        return thread_id in self._turns or await self._leases.elsewhere(thread_id)

    def stop(self, thread_id: str, by: str) -> bool:
        """End the thread's turn soon; return whether this process runs one.

        An agent's model is cut off, its tools are finished and nothing is begun after them. What
        ModelOps has begun is finished, and a job goes on without being followed.
        """
        turn = self._turns.get(thread_id)
        if turn is not None:
            turn.let_go()
            turn.stop_sign.give(by)
        return turn is not None

    async def aclose(self, grace: float = GRACE_SECONDS) -> None:
        """End all following, and wait for the turns to finish; stop those that go on longer.

        ``grace`` is in seconds. Whoever ends this process does not wait for ever: a turn that is
        stopped says so, one that is killed says nothing.
        """
        turns = list(self._turns.values())
        for turn in turns:
            turn.let_go()
        if tasks := [turn.task for turn in turns if turn.task is not None]:
            await asyncio.wait(tasks, timeout=grace)
        for thread_id in self._turns:
            self.stop(thread_id, "the end of the server")
        for thread_id in list(self._turns):
            await self._finish(thread_id)
        await self._leases.aclose()
        await self._log.aclose()

    async def _finish(self, thread_id: str) -> None:
        """Wait for a running turn of the thread; it stops following its job."""
        while (turn := self._turns.get(thread_id)) is not None:
            turn.let_go()
            if turn.task is not None:
                await asyncio.wait([turn.task])

    async def _heard(
        self, thread_id: str, given: Any, caller: Caller, said: Said | None, *, wait: bool
    ) -> AsyncGenerator[Event, None]:
        if wait:
            await self._finish(thread_id)
        elif thread_id in self._turns:
            raise taken(thread_id)
        turn = self._turns[thread_id] = _Turn(thread_id)
        turn.task = asyncio.create_task(self._run(turn, given, caller, said, wait=wait))
        async with aclosing(turn.heard()) as events:
            async for event in events:
                yield event

    async def _run(
        self, turn: _Turn, given: Any, caller: Caller, said: Said | None, *, wait: bool
    ) -> None:
        try:
            async with self._leases.held(turn.thread_id, turn.let_go, wait=wait):
                if said is not None:
                    await self._tell(turn, said)
                else:
                    await self._check_waits(turn.thread_id, given.resume["approval_id"])
                end = await self._keep(turn, await self._worked(turn, given, caller))
            turn.show(end)  # whoever hears it may begin the next turn, anywhere
        finally:
            del self._turns[turn.thread_id]
            turn.end()

    async def _worked(self, turn: _Turn, given: Any, caller: Caller) -> End:
        config = _config(
            turn.thread_id, caller=caller, following=turn.following, stop_sign=turn.stop_sign
        )
        try:
            turn.stop_sign.check()  # it may have waited long for its lease
            await self._stream(turn, given, config)
        except ChefError as error:
            self._leases.check(turn.thread_id)  # who lost the thread has nothing to say in it
            await self._tell(turn, _problem(error))
        return await self._end(config)

    async def _check_waits(self, thread_id: str, approval_id: str) -> None:
        """Raise ConflictError unless the thread waits for the approval, now that it is its turn."""
        state = await self._graph.aget_state(_config(thread_id))
        waits = {a.get("approval_id") for i in state.interrupts for a in _approvals(i.value)}
        if approval_id not in waits:
            raise ConflictError(
                f"Thread {thread_id!r} does not wait for approval {approval_id!r}.",
                remedy=f"See what became of it: `chef approvals show {approval_id}`. Or ask again.",
            )

    async def _stream(self, turn: _Turn, given: Any, config: RunnableConfig) -> None:
        """Run the graph. What it does and spends is written down before the next step."""
        stream: Any = self._graph.astream(
            given,
            config,
            stream_mode=["custom", "messages", "updates"],
            subgraphs=True,
            durability="sync",
        )
        async with aclosing(stream):
            async for namespace, mode, data in stream:
                self._leases.check(turn.thread_id)
                if mode == "messages":
                    self._token(turn, data)
                elif mode == "custom":
                    await self._tell(turn, EVENT.validate_python(data))
                elif not namespace and "__interrupt__" in data:
                    for asked in data["__interrupt__"]:
                        for approval in _approvals(asked.value):
                            await self._tell(turn, EVENT.validate_python(approval))

    def _token(self, turn: _Turn, data: Any) -> None:
        chunk, metadata = data
        if not isinstance(chunk, AIMessageChunk) or not chunk.text:
            return
        agent = metadata.get("langgraph_checkpoint_ns", "").partition(":")[0]
        seq = turn.events[-1].seq if turn.events else 0
        event = Token(agent=agent, text=chunk.text, message_id=chunk.id or "", seq=seq)
        turn.show(event)

    async def _tell(self, turn: _Turn, event: Event) -> None:
        """Keep an event, then show it: what was shown can always be read again."""
        turn.show(await self._keep(turn, event))

    async def _keep(self, turn: _Turn, event: Event) -> Event:
        body = event.model_dump(mode="json", exclude={"seq"})
        seq = await self._log.append(turn.thread_id, body)
        return event.model_copy(update={"seq": seq})

    async def _end(self, config: RunnableConfig) -> End:
        state = await self._graph.aget_state(config)
        if state.interrupts:
            return End(waiting="approval")
        values = cast("ModelOpsState", state.values)
        if values.get("proposal") or values.get("asked"):
            return End(waiting="answer", replies=list(short_answers(values)))
        return End()


def _config(
    thread_id: str,
    *,
    caller: Caller | None = None,
    following: Callable[[], bool] = lambda: False,
    stop_sign: StopSign | None = None,
) -> RunnableConfig:
    return {
        "configurable": {
            "thread_id": thread_id,
            "caller": caller,
            "following": following,
            "stop_sign": stop_sign,
        }
    }


def _approvals(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the events of an interrupt that asks for approvals."""
    first = {name: content for name, content in value.items() if name not in {"kind", "also"}}
    return [{"type": "approval_required", **one} for one in (first, *value.get("also", ()))]


def _problem(error: ChefError) -> Problem:
    return Problem(error=type(error).__name__, message=error.message, remedy=error.remedy)
