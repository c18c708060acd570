"""The events of a conversation. Every door that streams (HTTP, terminal) shows exactly these.

``seq`` rises within a thread; events can be read again from one (``stores.thread_events``). A
``token`` is passing: it is not kept and has the ``seq`` of the event before it; those that come
together are one. What an agent says last comes again, whole, in a ``message`` of the same
``message_id``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from agent_orchestrator.domain.approvals import Subject, UseCaseName
from agent_orchestrator.domain.jobs import JobKind, JobStatus


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    seq: int = 0
    """Rises within a thread."""


class Said(_Event):
    """What the person said: the beginning of a turn."""

    type: Literal["said"] = "said"
    text: str
    by: str
    """Who, as the door knows them."""


class Token(_Event):
    """A piece of a message that a language model is writing."""

    type: Literal["token"] = "token"
    agent: str
    text: str
    message_id: str


class Message(_Event):
    """A whole message of an agent."""

    type: Literal["message"] = "message"
    agent: str
    text: str
    message_id: str
    request_id: str | None = None
    """Of the model's call that ended the work; feedback on the work goes by it."""


class AgentWorks(_Event):
    """An agent begins to work, or uses a tool."""

    type: Literal["agent"] = "agent"
    agent: str
    task: str = ""
    tool: str | None = None


class Progress(_Event):
    """Where a job stands; what is not known is null."""

    type: Literal["progress"] = "progress"
    job_id: str
    kind: JobKind
    agent: str
    status: JobStatus
    stage: str = ""
    """What it is doing now."""
    progress_pct: float | None = None
    current_step: int | None = None
    total_steps: int | None = None
    current_loss: float | None = None
    eta_minutes: float | None = None


class ApprovalNeeded(_Event):
    """The thread waits for an approval; answer it, then resume the thread with its id."""

    type: Literal["approval_required"] = "approval_required"
    approval_id: str
    use_case: Subject
    summary: str
    price_usd: float
    """Dollars at most."""
    expires_at: float
    """Seconds since the epoch."""
    requester: str


class UseCaseResult(_Event):
    """The typed result of a use case, as every door returns it."""

    type: Literal["result"] = "result"
    use_case: UseCaseName
    result: dict[str, Any]


class Problem(_Event):
    """Something did not work; the conversation goes on."""

    type: Literal["error"] = "error"
    error: str
    """The error's name."""
    message: str
    remedy: str = ""


class End(_Event):
    """The end of a turn."""

    type: Literal["end"] = "end"
    waiting: Literal["approval", "answer"] | None = None
    """What the thread waits for: an approval, or the answer to a question or proposal."""
    replies: list[Literal["yes", "no"]] = []
    """Words that would be an answer by themselves, beside any other that a person may give."""


Event = Annotated[
    Said | Token | Message | AgentWorks | Progress | ApprovalNeeded | UseCaseResult | Problem | End,
    Field(discriminator="type"),
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)


def joined(events: Iterable[Event]) -> Iterator[Event]:
    """Yield events; tokens of the same message that follow each other are one."""
    for message, group in groupby(events, _written_by):
        several = list(group)
        if message is None:
            yield from several
        else:
            text = "".join(one.text for one in several if isinstance(one, Token))
            yield several[0].model_copy(update={"text": text})


def _written_by(event: Event) -> tuple[str, str, int] | None:
    return (event.agent, event.message_id, event.seq) if isinstance(event, Token) else None
