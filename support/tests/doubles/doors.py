"""The doors, each asked in its own way for a use case and its values; they answer alike, or not.

Each returns the result as JSON. Where a person has to approve, the person who may does.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import httpx
from click.testing import CliRunner
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from mcp import types
from mcp.shared.memory import create_connected_server_and_client_session
from pydantic_core import to_json
from tests.doubles.api_client import Api, listening, opened_api
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.coordinator import Coordinator
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.agents.infrastructure.modelops.usecases.requests import build_request
from agent_orchestrator.cli import session, usecase
from agent_orchestrator.cli.main import cli
from agent_orchestrator.conversation.events import (
    EVENT,
    ApprovalNeeded,
    End,
    Event,
    Problem,
    UseCaseResult,
)
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.errors import ApprovalRequired
from agent_orchestrator.mcp_server.calls import Context
from agent_orchestrator.mcp_server.server import build_server
from agent_orchestrator.wiring.embedded import Embedded
from agent_orchestrator.wiring.orchestrator import Orchestrator, open_orchestrator

Document = dict[str, Any]
ADA = Caller("ada", "test", "admin")


class Door(Protocol):
    """One way in."""

    user: str
    """Whom what is done there is put down to."""

    async def ask(self, use_case: UseCaseName, values: Mapping[str, Any]) -> Document:
        """Have a use case carried out, approved where that is needed; return its result."""


class Opener(Protocol):
    """Opens a door of an installation, beside a server of its models."""

    def __call__(
        self, workspace: Workspace, models: OpenAIServer
    ) -> AbstractAsyncContextManager[Door]:
        """Open it."""


class _Embedded:
    """The coordinator itself: what all doors are measured against."""

    user = ADA.name

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    async def ask(self, use_case: UseCaseName, values: Mapping[str, Any]) -> Document:
        request = build_request(use_case, values)
        try:
            result = await self._coordinator.run(use_case, request, ADA)
        except ApprovalRequired as needed:
            await self._coordinator.answer(needed.approval_id, ADA, approve=True)
            result = await self._coordinator.resume(needed.approval_id, ADA)
        return result.model_dump(mode="json")


class _CommandLine:
    """``chef``, in this process."""

    user = session.caller().name

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    async def ask(self, use_case: UseCaseName, values: Mapping[str, Any]) -> Document:
        arguments = [*usecase._NAMES[use_case].split(), "--json"]
        arguments += ["--yes"] if USE_CASES[use_case].changes else []
        for name, value in values.items():
            arguments += _typed(name, value, positional=name == usecase._positional(use_case))
        done = await asyncio.to_thread(
            CliRunner().invoke,
            cli,
            arguments,
            env=self._workspace.variables,
            catch_exceptions=False,
        )
        found: Document = json.loads(done.stdout)
        return found


def _typed(name: str, value: Any, *, positional: bool) -> list[str]:
    """Return a field as a person types it."""
    flag = "--" + name.replace("_", "-")
    if positional:
        return [str(value)]
    if value is True:
        return [flag]
    if isinstance(value, Mapping):
        pairs = (f"{key}={to_json(one).decode()}" for key, one in value.items())
        return [word for pair in pairs for word in (flag, pair)]
    return [
        word for one in (value if isinstance(value, list) else [value]) for word in (flag, str(one))
    ]


class _Http:
    """The HTTP API, with an administrator's token."""

    user = "admin"

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ask(self, use_case: UseCaseName, values: Mapping[str, Any]) -> Document:
        answer = await self._client.post(f"/modelops/{use_case}", json=values)
        assert answer.is_success, answer.text
        document: Document = answer.json()
        if answer.status_code != httpx.codes.ACCEPTED:
            return document
        approval = f"/approvals/{document['approval_id']}"
        answered = await self._client.post(f"{approval}/answer", json={"approve": True})
        assert answered.is_success, answered.text
        resumed = await self._client.post(f"{approval}/resume", json={})
        assert resumed.is_success, resumed.text
        result: Document = resumed.json()["result"]
        return result


class _Mcp:
    """The MCP server; its client's user approves."""

    user = ADA.name

    def __init__(self, embedded: Embedded) -> None:
        async def identify(_context: Context) -> Caller:
            return ADA

        self._server = build_server(embedded, identify)

    async def ask(self, use_case: UseCaseName, values: Mapping[str, Any]) -> Document:
        async def approve(
            _context: Any, _question: types.ElicitRequestParams
        ) -> types.ElicitResult:
            return types.ElicitResult(action="accept", content={"approve": True})

        async with create_connected_server_and_client_session(
            self._server, elicitation_callback=approve
        ) as client:
            result = await client.call_tool(use_case, dict(values))
        assert not result.isError, result
        assert result.structuredContent is not None
        return result.structuredContent


class _Talk(ABC):
    """The graph: a scripted model calls the use case as its tool, a person agrees and approves."""

    user = ADA.name

    def __init__(self, coordinator: Coordinator, models: OpenAIServer) -> None:
        self._coordinator = coordinator
        self._models = models

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
        route = {"pieces": [{"agent": "infrastructure", "task": "as said"}], "answer": ""}
        answers = iter([_calling("Route", route), _calling(use_case, values)])
        self._models.answer_with(lambda _body: next(answers, Reply("clean")))
        turn = self._say(thread, "Do what I have in mind, please.")
        for _ in range(3):
            async for event in turn:
                assert not isinstance(event, Problem), event
                if isinstance(event, UseCaseResult) and event.use_case == use_case:
                    return event.result
                if isinstance(event, ApprovalNeeded):
                    needed = event.approval_id
                    await self._coordinator.answer(needed, ADA, approve=True)
                    turn = self._resume(thread, needed)
                    break
                if isinstance(event, End) and event.waiting == "answer":
                    turn = self._say(thread, "yes")
        raise AssertionError(f"{use_case} has no result.")


class _Chat(_Talk):
    """A conversation in this process."""

    def __init__(self, orchestrator: Orchestrator, models: OpenAIServer) -> None:
        super().__init__(orchestrator.embedded.coordinator, models)
        self._chat = orchestrator.conversation
        self._threads = 0

    async def _thread(self) -> str:
        self._threads += 1
        return f"t{self._threads}"

    def _say(self, thread: str, text: str) -> AsyncIterator[Event]:
        return self._chat.send(thread, text, ADA)

    def _resume(self, thread: str, approval_id: str) -> AsyncIterator[Event]:
        return self._chat.resume(thread, approval_id, ADA)


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


def _calling(name: str, arguments: Mapping[str, Any]) -> Reply:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return Reply("", tool_calls=[{"id": f"call_{name}", "type": "function", "function": function}])


# In each of the installations one orchestrator runs: it is what serves.


@asynccontextmanager
async def embedded(workspace: Workspace, models: OpenAIServer) -> AsyncIterator[Door]:
    """Open no door: ask the coordinator."""
    async with open_orchestrator(workspace.settings()) as orchestrator:
        yield _Embedded(orchestrator.embedded.coordinator)


@asynccontextmanager
async def command_line(workspace: Workspace, models: OpenAIServer) -> AsyncIterator[Door]:
    """Open the command line."""
    async with open_orchestrator(workspace.settings()):
        yield _CommandLine(workspace)


@asynccontextmanager
async def http(workspace: Workspace, models: OpenAIServer) -> AsyncIterator[Door]:
    """Open the HTTP API."""
    async with opened_api(workspace) as api:
        yield _Http(api["admin"])


@asynccontextmanager
async def mcp(workspace: Workspace, models: OpenAIServer) -> AsyncIterator[Door]:
    """Open the MCP server."""
    async with open_orchestrator(workspace.settings()) as orchestrator:
        yield _Mcp(orchestrator.embedded)


@asynccontextmanager
async def chat(workspace: Workspace, models: OpenAIServer) -> AsyncIterator[Door]:
    """Open the conversation."""
    async with open_orchestrator(workspace.settings()) as orchestrator:
        yield _Chat(orchestrator, models)


@asynccontextmanager
async def agent_server(workspace: Workspace, models: OpenAIServer) -> AsyncIterator[Door]:
    """Open the API for langgraph-sdk."""
    async with (
        opened_api(workspace) as api,
        listening(api) as url,
        get_client(url=url, headers=api.headers("admin")) as client,
    ):
        yield _AgentServer(api, client, models)
