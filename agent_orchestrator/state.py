"""The state of a conversation, as checkpoints keep it: messages, and plain JSON values.

What a door knows about its caller is no part of it: that comes with every run, in
``config["configurable"]``.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from langchain_core.messages import AnyMessage
from langgraph.graph.message import add_messages


class Wish(TypedDict):
    """The use case that this turn is about."""

    use_case: str
    values: dict[str, Any]
    """Fields of its request."""
    accepted: bool
    """Whether its price was said and agreed to."""
    by_model: bool
    """Whether a model asked for it: then a person agrees before anything changes."""


class Proposal(TypedDict):
    """What was proposed and waits for a yes."""

    use_case: str
    values: dict[str, Any]
    question: str


class Asked(TypedDict):
    """A clarifying question and what is known already."""

    about: str | None
    slots: dict[str, Any]
    question: str


class PendingApproval(TypedDict):
    """An approval that the conversation waits for."""

    id: str
    status: str
    """As the store said last; only the store decides."""


class FollowedJob(TypedDict):
    """The job that the conversation follows."""

    job_id: str
    agent: str
    values: dict[str, Any]
    """Of the request that started it, the data set and the base model named."""
    ended: bool


class Done(TypedDict):
    """The result of the last use case."""

    use_case: str
    result: dict[str, Any]


class ModelOpsState(TypedDict, total=False):
    """What the Infrastructure agent's subgraph works on."""

    messages: Annotated[list[AnyMessage], add_messages]
    agent: str | None
    """Whom it is about, for what a sentence leaves out."""
    wish: Wish | None
    postponed: dict[str, Any] | None
    """Fields of the training that was wished for and waits for its data set."""
    asked: Asked | None
    proposal: Proposal | None
    approval: PendingApproval | None
    job: FollowedJob | None
    done: Done | None
    puzzled: bool
    """Whether the parser could make nothing of what was said, and a model is asked."""


class Assignment(TypedDict):
    """A piece of work for one agent."""

    agent: str
    task: str
    goes_on: NotRequired[str]
    """The key of the paused work that it goes on with."""


class PausedWork(TypedDict):
    """A piece of work that waits for approvals of its agent's calls of tools."""

    agent: str
    task: str
    asked_by: str
    """Who set the agent to work: it goes on in their name, whoever wakes it up."""
    approvals: list[str]
    """Ids of all that it waits for."""
    ready: bool
    """Whether none of them was pending when they were looked up last."""
    kept: dict[str, Any]
    """What the agent goes on with: messages and plain JSON."""


class Work(TypedDict):
    """What an agent made of its piece."""

    agent: str
    task: str
    text: str
    """Its answer."""
    outcome: str
    """``completed``, ``failed`` …, as the agent says."""


def gathered(before: list[Work] | None, more: list[Work] | None) -> list[Work]:
    """Join the work of agents that ran at the same time; None begins anew."""
    return [] if more is None else [*(before or []), *more]


def merged(
    before: dict[str, PausedWork] | None, more: dict[str, PausedWork | None]
) -> dict[str, PausedWork]:
    """Join what agents that ran at the same time wait for; None takes one away."""
    found = {**(before or {}), **more}
    return {key: work for key, work in found.items() if work is not None}


class State(ModelOpsState, total=False):
    """The whole graph's state."""

    assignments: list[Assignment]
    """What the supervisor handed out in this turn."""
    work: Annotated[list[Work], gathered]
    paused: Annotated[dict[str, PausedWork], merged]
    """Work that waits, by the first approval that it waits for."""


#: What of a long conversation a model that routes or looks up is shown, messages.
_RECENT = 40


def recent(state: ModelOpsState) -> list[AnyMessage]:
    """Return the newest messages of a conversation."""
    return list(state["messages"][-_RECENT:])
