"""``@chef`` over HTTP: a message in, the events of the turn out, as server-sent events.

=================  =======================================================================
thread             first: ``{"thread_id": …}``, also in the header ``X-Thread-Id``
said, message …    those of ``conversation.events``, each with its number as ``id``
token              a piece of a message that is being written; comes again, whole
approval_required  answer it at ``/approvals``, then ``POST /chat/{thread_id}/resume``
end                the turn is over
=================  =======================================================================

A turn goes on when its listener leaves. ``GET /chat/{thread_id}/events`` tells everything after
``Last-Event-ID``, also after a restart, and then what a running turn still does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.api.auth import Reader
from agent_orchestrator.api.ids import ThreadId
from agent_orchestrator.api.services import Services, Wired
from agent_orchestrator.api.streams import EventStream, LastEventId, Sent, begun, streamed
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


class ThreadNamed(BaseModel):
    """The conversation that the events are of."""

    type: Literal["thread"] = "thread"
    thread_id: str


_Stream: Any = Event | ThreadNamed


@router.post("", operation_id="chat", response_class=EventStream, responses=streamed(_Stream))
async def chat(given: ChatMessage, caller: Reader, services: Wired) -> EventStream:
    """Say something; hear what happens until the turn ends."""
    thread = await services.talks.open(given.thread_id, caller)
    events = services.talks.send(thread.id, given.message, caller)
    return _stream(services, caller, thread.id, await begun(_sent(events)))


@router.post(
    "/{thread_id}/resume",
    operation_id="resume_chat",
    response_class=EventStream,
    responses=streamed(_Stream),
)
async def resume(
    thread_id: ThreadId, given: ChatResume, caller: Reader, services: Wired
) -> EventStream:
    """Go on with a conversation that waits for an approval, after that was answered."""
    await services.talks.find(thread_id)
    events = services.talks.resume(thread_id, given.approval_id, caller)
    return _stream(services, caller, thread_id, await begun(_sent(events)))


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
