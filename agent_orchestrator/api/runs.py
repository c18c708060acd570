"""Runs in the shape of LangGraph's Agent Server, for ``langgraph-sdk``.

A run is a turn of a conversation, so that every door sees it. It takes one message of a person, or
``command: {resume: {approval_id}}`` after that approval was answered; nothing else of the graph's
state can be given. Of the stream modes there are ``values`` (at the end), ``updates`` (messages by
agent, and interrupts), ``messages``, ``messages-tuple`` and ``custom`` (the events of
``conversation.events``).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, field_validator

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.api.auth import Reader
from agent_orchestrator.api.ids import ThreadId
from agent_orchestrator.api.run_records import MultitaskStrategy, Run, RunStatus
from agent_orchestrator.api.services import Services, Wired
from agent_orchestrator.api.streams import EventStream, LastEventId, Sent, begun, streamed
from agent_orchestrator.conversation.events import Event
from agent_orchestrator.conversation.snapshots import Snapshot
from agent_orchestrator.errors import InputError

router = APIRouter(tags=["runs"])

Mode = Literal["values", "updates", "messages", "messages-tuple", "custom"]
_LONGEST_MESSAGE = 100_000


class GivenMessage(BaseModel):
    """What a person says."""

    role: Literal["user", "human"] | None = None
    type: Literal["human", "user"] | None = None
    content: str | list[dict[str, Any]]

    def text(self) -> str:
        """Return the words; those of several blocks together."""
        if isinstance(self.content, str):
            return self.content
        return "".join(str(block["text"]) for block in self.content if "text" in block)


class GivenInput(BaseModel):
    """One message; nothing else of the state can be given."""

    model_config = ConfigDict(extra="forbid")

    messages: GivenMessage | list[GivenMessage]


class Resumed(BaseModel):
    """Which approval was answered."""

    approval_id: str = Field(min_length=1, max_length=128)


class GivenCommand(BaseModel):
    """How a thread goes on that waits; it cannot be sent elsewhere or changed."""

    model_config = ConfigDict(extra="forbid")

    resume: Resumed


class RunGiven(BaseModel):
    """A run that is to be. What else clients send is about servers with several graphs."""

    input: GivenInput | None = None
    command: GivenCommand | None = None
    stream_mode: list[Mode] = ["values"]
    metadata: dict[str, Any] = {}
    if_not_exists: Literal["create", "reject"] = "reject"
    multitask_strategy: MultitaskStrategy = "enqueue"
    """While another turn of the thread runs, in whatever process: wait for it, or answer 409."""
    checkpoint: None = None
    checkpoint_id: None = None
    interrupt_before: None = None
    interrupt_after: None = None

    @field_validator("stream_mode", mode="before")
    @classmethod
    def _several(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given

    def message(self) -> str:
        """Return what the person says. Raises InputError unless it is one message with words."""
        messages = self.input.messages if self.input else []
        several = messages if isinstance(messages, list) else [messages]
        text = several[0].text() if len(several) == 1 else ""
        if not text.strip() or len(text) > _LONGEST_MESSAGE:
            raise InputError(
                f"input.messages: {len(several)} messages, the first of {len(text)} characters.",
                remedy='Give one message of a person: {"messages": [{"role": "user", "content": '
                '"…"}]}, of at most 100,000 characters.',
            )
        return text


@router.post(
    "/threads/{thread_id}/runs/stream",
    operation_id="stream_run",
    response_class=EventStream,
    responses=streamed(dict[str, Any]),
)
async def stream(
    thread_id: ThreadId, given: RunGiven, caller: Reader, services: Wired
) -> EventStream:
    """Run a turn and stream what happens."""
    services.rates.check_streams(caller.name)
    run, events = await _begin(services, thread_id, given, caller)
    headers = {"Content-Location": f"/threads/{run.thread_id}/runs/{run.run_id}"}
    parts = _Parts(services, run, given.stream_mode)
    return services.stream(caller, await begun(parts.of(events)), headers=headers)


@router.post("/threads/{thread_id}/runs/wait", operation_id="wait_run")
async def wait(
    thread_id: ThreadId, given: RunGiven, caller: Reader, services: Wired
) -> dict[str, Any]:
    """Run a turn; return the state at its end, with ``__interrupt__`` where it waits."""
    run, events = await _begin(services, thread_id, given, caller)
    return await _waited(services, run, events)


@router.post(
    "/runs/stream",
    operation_id="stream_new",
    response_class=EventStream,
    responses=streamed(dict[str, Any]),
)
async def stream_new(given: RunGiven, caller: Reader, services: Wired) -> EventStream:
    """Run the first turn of a new thread, which ``Content-Location`` names."""
    return await stream(await _new(services, caller), given, caller, services)


@router.post("/runs/wait", operation_id="wait_new")
async def wait_new(given: RunGiven, caller: Reader, services: Wired) -> dict[str, Any]:
    """Run the first turn of a new thread; return the state at its end."""
    return await wait(await _new(services, caller), given, caller, services)


@router.post("/threads/{thread_id}/runs", operation_id="create_run")
async def create(thread_id: ThreadId, given: RunGiven, caller: Reader, services: Wired) -> Run:
    """Begin a turn and return at once."""
    run, events = await _begin(services, thread_id, given, caller)

    async def finish() -> None:
        await _waited(services, run, events)

    services.runs.in_background(finish())
    return run


@router.get("/threads/{thread_id}/runs", operation_id="list_runs")
async def listed(thread_id: ThreadId, _caller: Reader, services: Wired) -> list[Run]:
    """List a thread's runs since this server began, newest first."""
    await services.talks.find(thread_id)
    return [await _settled(services, run) for run in services.runs.of(thread_id)]


@router.get("/threads/{thread_id}/runs/{run_id}", operation_id="get_run")
async def get(thread_id: ThreadId, run_id: ThreadId, _caller: Reader, services: Wired) -> Run:
    """Return a run."""
    return await _settled(services, services.runs.get(thread_id, run_id))


@router.get("/threads/{thread_id}/runs/{run_id}/join", operation_id="join_run")
async def join(
    thread_id: ThreadId, run_id: ThreadId, _caller: Reader, services: Wired
) -> dict[str, Any]:
    """Wait for a run; return the thread's state then."""
    run = services.runs.get(thread_id, run_id)
    async with aclosing(_heard(services, run)) as events:
        async for event in events:
            if event.type == "end":
                break
    return _values(await services.talks.snapshots.now(thread_id))


@router.get(
    "/threads/{thread_id}/runs/{run_id}/stream",
    operation_id="join_run_stream",
    response_class=EventStream,
    responses=streamed(dict[str, Any]),
)
async def join_stream(
    thread_id: ThreadId,
    run_id: ThreadId,
    caller: Reader,
    services: Wired,
    last_event_id: LastEventId = None,
) -> EventStream:
    """Stream a run's events, from its beginning or from ``Last-Event-ID`` on."""
    run = services.runs.get(thread_id, run_id)
    modes: list[Mode] = ["values", "updates", "messages-tuple", "custom"]
    parts = _Parts(services, run, modes)
    return services.stream(caller, parts.of(_heard(services, run, last_event_id)))


@router.post("/threads/{thread_id}/runs/{run_id}/cancel", operation_id="cancel_run")
async def cancel(thread_id: ThreadId, run_id: ThreadId, caller: Reader, services: Wired) -> Run:
    """Stop a turn, as ``POST /chat/{thread_id}/stop`` does."""
    run = await _settled(services, services.runs.get(thread_id, run_id))
    services.talks.check_owner(await services.talks.find(thread_id), caller)
    if run.status == "running":
        await services.talks.stop(thread_id, caller)
    return run


async def _new(services: Services, caller: Caller) -> str:
    return (await services.talks.open(None, caller)).id


async def _begin(
    services: Services, thread_id: str, given: RunGiven, caller: Caller
) -> tuple[Run, AsyncGenerator[Event, None]]:
    """Return the run and its events. Raises NotFoundError, Forbidden, InputError."""
    talks = services.talks
    if given.if_not_exists == "create":
        await talks.open(thread_id, caller)
    thread = await talks.find(thread_id)
    wait = given.multitask_strategy == "enqueue"
    if given.command is not None:
        events = talks.resume(thread_id, given.command.resume.approval_id, caller, wait=wait)
    else:
        talks.check_owner(thread, caller)
        events = talks.send(thread_id, given.message(), caller, wait=wait)
    after = await talks.last_event(thread_id)
    if not wait:
        events = await begun(events)  # who is refused is told so by the answer's status
    run = services.runs.begin(thread_id, after, given.metadata, given.multitask_strategy)
    return run, _beginning(services, run, events)


async def _beginning(
    services: Services, run: Run, events: AsyncGenerator[Event, None]
) -> AsyncGenerator[Event, None]:
    """Yield the events of a run that begins with them, and does not when they are not heard."""
    try:
        async with aclosing(events):
            async for event in events:
                if event.type != "token":
                    run.begin(event.seq)
                yield event
    finally:
        if not run.has_begun:
            services.runs.end(run, "error")


async def _heard(
    services: Services, run: Run, last_event_id: int | None = None
) -> AsyncGenerator[Event, None]:
    """Yield a run's events, from its first one or a later one on, once its turn has come."""
    await run.begun()
    async with aclosing(services.talks.listen(run.thread_id, last_event_id or run.after)) as events:
        async for event in events:
            yield event


async def _settled(services: Services, run: Run) -> Run:
    """Return a run with how it ended, also where nobody listened to its end.

    Its turn goes on when its listener leaves.
    """
    if run.status != "running" or not run.has_begun:
        return run
    goes_on = await services.talks.is_busy(run.thread_id)  # looked at before what is kept
    failed = False
    async with aclosing(services.talks.kept(run.thread_id, run.after)) as events:
        async for event in events:
            failed = failed or event.type == "error"
            if event.type == "end":
                waits = event.waiting == "approval"
                ended: RunStatus = "error" if failed else "interrupted" if waits else "success"
                services.runs.end(run, ended)
                return run
    if not goes_on:
        services.runs.end(run, "error")
    return run


async def _waited(
    services: Services, run: Run, events: AsyncGenerator[Event, None]
) -> dict[str, Any]:
    async with aclosing(_Parts(services, run, ["values"]).of(events)) as parts:
        told = {part.event: part.data async for part in parts}
    return {"__error__": told["error"]} if "error" in told else dict(told["values"])


def _values(state: Snapshot) -> dict[str, Any]:
    waits = [interrupt.model_dump() for interrupt in state.interrupts]
    return {**state.values, **({"__interrupt__": waits} if waits else {})}


class _Parts:
    """What a client hears of a run, in the modes that it asked for."""

    def __init__(self, services: Services, run: Run, modes: list[Mode]) -> None:
        self._services = services
        self._run = run
        self._modes = modes
        self._written: dict[str, str] = {}

    async def of(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Sent, None]:
        """Yield the parts of a turn's events, up to its end."""
        yield Sent("metadata", {"run_id": self._run.run_id, "attempt": 1})
        async with aclosing(events):
            async for event in events:
                for part in self._parts(event):
                    yield part
                if event.type == "end":
                    break
        for part in self._last(await self._services.talks.snapshots.now(self._run.thread_id)):
            yield part
        ended = await _settled(self._services, self._run)
        yield Sent("end", {"run_id": ended.run_id, "status": ended.status})

    def _parts(self, event: Event) -> Iterator[Sent]:
        number = None if event.type == "token" else event.seq
        if "custom" in self._modes and event.type not in {"said", "token", "end"}:
            yield Sent("custom", event, number)
        if event.type == "token":
            yield from self._token(event.agent, event.message_id, event.text)
        elif event.type == "message":
            yield from self._message(event.agent, event.message_id, event.text, number)
        elif event.type == "error":
            told = {"error": event.error, "message": event.message, "remedy": event.remedy}
            yield Sent("error", told, number)

    def _token(self, agent: str, message_id: str, text: str) -> Iterator[Sent]:
        self._written[message_id] = whole = self._written.get(message_id, "") + text
        if "messages-tuple" in self._modes:
            chunk = _message("AIMessageChunk", agent, message_id, text)
            yield Sent("messages", [chunk, {"langgraph_node": agent}])
        if "messages" in self._modes:
            yield Sent("messages/partial", [_message("ai", agent, message_id, whole)])

    def _message(
        self, agent: str, message_id: str, text: str, number: int | None
    ) -> Iterator[Sent]:
        message = _message("ai", agent, message_id, text)
        if "messages-tuple" in self._modes and message_id not in self._written:
            yield Sent("messages", [message, {"langgraph_node": agent}], number)
        if "messages" in self._modes:
            yield Sent("messages/complete", [message], number)
        if "updates" in self._modes:
            yield Sent("updates", {agent: {"messages": [message]}}, number)

    def _last(self, state: Snapshot) -> Iterator[Sent]:
        if state.interrupts and "updates" in self._modes:
            yield Sent("updates", {"__interrupt__": state.interrupts})
        if "values" in self._modes:
            yield Sent("values", _values(state))


def _message(kind: str, agent: str, message_id: str, text: str) -> dict[str, Any]:
    return {"type": kind, "name": agent, "id": message_id, "content": text}
