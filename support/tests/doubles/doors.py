"""The doors, each asked in its own way for a use case and its values; they answer alike, or not.

Each returns the result as JSON. Where a person has to approve, the person who may does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import httpx
from click.testing import CliRunner
from mcp import types
from mcp.shared.memory import create_connected_server_and_client_session
from pydantic_core import to_json
from tests.doubles.api_client import opened_api
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.coordinator import Coordinator
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.agents.infrastructure.modelops.usecases.requests import build_request
from agent_orchestrator.cli import session, usecase
from agent_orchestrator.cli.main import cli
from agent_orchestrator.conversation.events import ApprovalNeeded, End, Problem, UseCaseResult
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


class _Chat:
    """The graph: a scripted model calls the use case as its tool, a person agrees and approves."""

    user = ADA.name

    def __init__(self, orchestrator: Orchestrator, models: OpenAIServer) -> None:
        self._chat = orchestrator
        self._models = models
        self._threads = 0

    async def ask(self, use_case: UseCaseName, values: Mapping[str, Any]) -> Document:
        self._threads += 1
        thread = f"t{self._threads}"
        route = {"pieces": [{"agent": "infrastructure", "task": "as said"}], "answer": ""}
        answers = iter([_calling("Route", route), _calling(use_case, values)])
        self._models.answer_with(lambda _body: next(answers, Reply("clean")))
        turn = self._chat.conversation.send(thread, "Do what I have in mind, please.", ADA)
        for _ in range(3):
            async for event in turn:
                if isinstance(event, UseCaseResult) and event.use_case == use_case:
                    return event.result
                if isinstance(event, ApprovalNeeded):
                    needed = event.approval_id
                    await self._chat.embedded.coordinator.answer(needed, ADA, approve=True)
                    turn = self._chat.conversation.resume(thread, needed, ADA)
                elif isinstance(event, End) and event.waiting == "answer":
                    turn = self._chat.conversation.send(thread, "yes", ADA)
                assert not isinstance(event, Problem), event
        raise AssertionError(f"{use_case} has no result.")


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
