"""The conversation as a door: in this process, and as LangGraph's own client sees it.

A scripted model calls the use case as its tool; a person agrees, and approves.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from tests.doubles.api_client import Api, listening, opened_api
from tests.doubles.doors import ADA, Document, Door, Refused
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.coordinator import Coordinator
from agent_orchestrator.conversation.events import (
    EVENT,
    ApprovalNeeded,
    End,
    Event,
    Problem,
    UseCaseResult,
)
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.domain.jobs import TERMINAL
from agent_orchestrator.domain.roles import Role
from agent_orchestrator.wiring.orchestrator import Orchestrator, open_orchestrator


class _Talk(ABC):
    """The graph, whichever way it is spoken to."""

    user = ADA.name

    def __init__(self, coordinator: Coordinator, models: OpenAIServer) -> None:
        self._coordinator = coordinator
        self._models = models
        self._jobs: dict[str, str] = {}

    @abstractmethod
    async def _thread(self) -> str:
        """Begin a thread."""

    @abstractmethod
    def _say(self, thread: str, text: str) -> AsyncIterator[Event]:
        """Say something; yield what happens."""

    @abstractmethod
    def _resume(self, thread: str, approval_id: str) -> AsyncIterator[Event]:
        """Go on after an approval; yield what happens."""

    async def ask(self, use_case: UseCaseName, values: Mapping[str, Any]) -> Document:
        thread = await self._thread()
        self._script(use_case, values)
        turn = self._say(thread, "Do what I have in mind, please.")
        for _ in range(3):
            async for event in turn:
                _check(event)
                if isinstance(event, UseCaseResult) and event.use_case == use_case:
                    self._jobs[event.result.get("job_id", "")] = thread
                    return event.result
                if isinstance(event, ApprovalNeeded):
                    needed = event.approval_id
                    await self._coordinator.answer(needed, ADA, approve=True)
                    turn = self._resume(thread, needed)
                    break
                if isinstance(event, End) and event.waiting == "answer":
                    turn = self._say(thread, "yes")
        raise Refused(self._told_to_the_model())

    def _told_to_the_model(self) -> str:
        """Return what its tool call was answered: bad input is for the model to mend."""
        last: Mapping[str, Any] = self._models.requests[-1].body["messages"][-1]
        assert last["role"] == "tool", last
        text: str = last["content"]
        return text

    async def follow(self, job_id: str) -> Document:
        async for event in self._say(self._jobs[job_id], f"How is job {job_id}?"):
            _check(event)
            if isinstance(event, UseCaseResult) and event.result["status"] in TERMINAL:
                return event.result
        raise AssertionError(f"{job_id} was not followed to its end.")

    def _script(self, use_case: UseCaseName, values: Mapping[str, Any]) -> None:
        """Let the graph's models want this; whatever else is asked is clean."""
        route = {"pieces": [{"agent": "infrastructure", "task": "as said"}], "answer": ""}
        answers = iter([_calling("Route", route), _calling(use_case, values)])
        talking = {"acme/supervisor", "acme/infrastructure"}
        self._models.answer_with(
            lambda body: (
                next(answers, Reply("clean")) if body["model"] in talking else Reply("clean")
            )
        )


class _Chat(_Talk):
    """A conversation in this process."""

    def __init__(self, orchestrator: Orchestrator, models: OpenAIServer, caller: Caller) -> None:
        super().__init__(orchestrator.embedded.coordinator, models)
        self._chat = orchestrator.conversation
        self._caller = caller
        self._threads = 0

    async def _thread(self) -> str:
        self._threads += 1
        return f"t{self._threads}"

    def _say(self, thread: str, text: str) -> AsyncIterator[Event]:
        return self._chat.send(thread, text, self._caller)

    def _resume(self, thread: str, approval_id: str) -> AsyncIterator[Event]:
        return self._chat.resume(thread, approval_id, self._caller)


class _AgentServer(_Talk):
    """The API as LangGraph's own client sees it."""

    user = "admin"

    def __init__(self, api: Api, client: LangGraphClient, models: OpenAIServer) -> None:
        super().__init__(api.services.embedded.coordinator, models)
        self._client = client

    async def _thread(self) -> str:
        return str((await self._client.threads.create())["thread_id"])

    def _say(self, thread: str, text: str) -> AsyncIterator[Event]:
        return self._run(thread, input={"messages": [{"role": "user", "content": text}]})

    def _resume(self, thread: str, approval_id: str) -> AsyncIterator[Event]:
        return self._run(thread, command={"resume": {"approval_id": approval_id}})

    async def _run(self, thread: str, **given: Any) -> AsyncIterator[Event]:
        async for part in self._client.runs.stream(thread, "chef", stream_mode="custom", **given):
            if part.event == "custom":
                yield EVENT.validate_python(part.data)
        yield End(waiting="answer")  # the protocol has no word for it


def _check(event: Event) -> None:
    """Raise what an event says went wrong."""
    if isinstance(event, Problem):
        raise Refused(f"{event.message} {event.remedy}".strip(), event.error)


def _calling(name: str, arguments: Mapping[str, Any]) -> Reply:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return Reply("", tool_calls=[{"id": f"call_{name}", "type": "function", "function": function}])


@asynccontextmanager
async def chat(
    workspace: Workspace, models: OpenAIServer, role: Role = "admin"
) -> AsyncIterator[Door]:
    """Open the conversation."""
    async with open_orchestrator(workspace.settings()) as orchestrator:
        yield _Chat(orchestrator, models, replace(ADA, role=role))


@asynccontextmanager
async def agent_server(
    workspace: Workspace, models: OpenAIServer, role: Role = "admin"
) -> AsyncIterator[Door]:
    """Open the API for langgraph-sdk."""
    async with (
        opened_api(workspace) as api,
        listening(api) as url,
        get_client(url=url, headers=api.headers(role)) as client,
    ):
        yield _AgentServer(api, client, models)
