"""``@chef`` over HTTP: a message in, the events of the turn out, as server-sent events.

=================  =======================================================================
thread             first: ``{"thread_id": …}``, also in the header ``X-Thread-Id``
said, message …    those of ``conversation.events``, each with its number as ``id``
token              a piece of a message that is being written; comes again, whole
approval_required  answer it at ``/approvals``, then ``POST /chat/{thread_id}/resume``
end                the turn is over
=================  =======================================================================

A turn goes on when its listener leaves; ``POST /chat/{thread_id}/stop`` ends it.
``GET /chat/{thread_id}/events`` tells everything after ``Last-Event-ID``, also after a restart, and
then what a running turn still does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.api.auth import Reader
from agent_orchestrator.api.idempotency import Once
from agent_orchestrator.api.ids import ThreadId
from agent_orchestrator.api.services import Services, Wired
from agent_orchestrator.api.streams import EventStream, LastEventId, Sent, streamed
from agent_orchestrator.conversation.events import Event

router = APIRouter(prefix="/chat", tags=["chat"])

_LONGEST_MESSAGE = 100_000


class ChatMessage(BaseModel):
    """What a person says."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    message: str = Field(min_length=1, max_length=_LONGEST_MESSAGE, pattern=r"\S")
    thread_id: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$", max_length=128
    )
    """The conversation to go on with; a new one when left out."""


class ChatResume(BaseModel):
    """Which approval was answered."""

    model_config = ConfigDict(extra="forbid")

    approval_id: str = Field(min_length=1, max_length=128)


class ChatStopped(BaseModel):
    """What became of the wish to stop."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    stopped: bool
    """Whether a turn runs that ends now; its events tell how."""


class ThreadNamed(BaseModel):
    """The conversation that the events are of."""

    type: Literal["thread"] = "thread"
    thread_id: str


_Stream: Any = Event | ThreadNamed


class _Begun(BaseModel):
    """Where the events of a turn begin, by which it is told again."""

    thread_id: str
    after: int


@router.post("", operation_id="chat", response_class=EventStream, responses=streamed(_Stream))
async def chat(given: ChatMessage, caller: Reader, services: Wired, once: Once) -> Response:
    """Say something; hear what happens until the turn ends.

    With an idempotency key that came before: hear that turn again, from its beginning.
    """
    services.rates.check_streams(caller.name)

    async def said() -> tuple[Response, str]:
        thread = await services.talks.open(given.thread_id, caller)
        events = services.talks.send(thread.id, given.message, caller)
        first = await anext(events)  # what was said, kept
        begun = _Begun(thread_id=thread.id, after=first.seq - 1)
        return _told(services, caller, begun, first, events)

    return await once.streamed(said, partial(_again, services, caller))


@router.post(
    "/{thread_id}/resume",
    operation_id="resume_chat",
    response_class=EventStream,
    responses=streamed(_Stream),
)
async def resume(
    thread_id: ThreadId, given: ChatResume, caller: Reader, services: Wired, once: Once
) -> Response:
    """Go on with a conversation that waits for an approval, after that was answered."""
    services.rates.check_streams(caller.name)

    async def resumed() -> tuple[Response, str]:
        await services.talks.find(thread_id)
        begun = _Begun(thread_id=thread_id, after=await services.talks.last_event(thread_id))
        events = services.talks.resume(thread_id, given.approval_id, caller)
        return _told(services, caller, begun, await anext(events), events)

    return await once.streamed(resumed, partial(_again, services, caller))


@router.post("/{thread_id}/stop", operation_id="stop_chat")
async def stop(thread_id: ThreadId, caller: Reader, services: Wired) -> ChatStopped:
    """Stop the turn of a conversation: agents' models are cut off, tools that run are finished.

    Nothing is begun after them. A job goes on without being followed.
    """
    return ChatStopped(stopped=await services.talks.stop(thread_id, caller))


def _told(
    services: Services,
    caller: Caller,
    begun: _Begun,
    first: Event,
    others: AsyncGenerator[Event, None],
) -> tuple[Response, str]:
    """Return a turn that has begun as a stream, and by what it is told again."""

    async def whole() -> AsyncGenerator[Event, None]:
        async with aclosing(others):
            yield first
            async for event in others:
                yield event

    return _stream(services, caller, begun.thread_id, _sent(whole())), begun.model_dump_json()


async def _again(services: Services, caller: Caller, mark: str) -> Response:
    """Return a turn that was begun before, from its beginning to its end."""
    begun = _Begun.model_validate_json(mark)

    async def heard() -> AsyncGenerator[Event, None]:
        async with aclosing(services.talks.listen(begun.thread_id, begun.after)) as events:
            async for event in events:
                yield event
                if event.type == "end":
                    return

    return _stream(services, caller, begun.thread_id, _sent(heard()))


@router.get(
    "/{thread_id}/events",
    operation_id="follow_chat",
    response_class=EventStream,
    responses=streamed(_Stream),
)
async def events(
    thread_id: ThreadId, caller: Reader, services: Wired, last_event_id: LastEventId = None
) -> EventStream:
    """Hear a conversation from its beginning, or from ``Last-Event-ID`` on."""
    await services.talks.find(thread_id)
    heard = services.talks.listen(thread_id, last_event_id or 0)
    return _stream(services, caller, thread_id, _sent(heard))


def _stream(
    services: Services, caller: Caller, thread_id: str, sent: AsyncGenerator[Sent, None]
) -> EventStream:
    async def named() -> AsyncGenerator[Sent, None]:
        async with aclosing(sent):
            yield Sent("thread", ThreadNamed(thread_id=thread_id))
            async for one in sent:
                yield one

    return services.stream(caller, named(), headers={"X-Thread-Id": thread_id})


async def _sent(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Sent, None]:
    async with aclosing(events):
        async for event in events:
            # A token is not kept, so nobody can come back to it.
            yield Sent(event.type, event, None if event.type == "token" else event.seq)
