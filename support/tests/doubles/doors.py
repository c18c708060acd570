"""The doors, each asked in its own way for a use case and its values; they answer alike, or not.

Each returns the result as JSON. Where a person has to approve, the person who may does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import click
import httpx
from click.testing import CliRunner
from mcp import types
from mcp.shared.memory import create_connected_server_and_client_session
from pydantic_core import to_json
from tests.doubles.api_client import opened_api
from tests.doubles.openai_server import OpenAIServer
from tests.doubles.sse import following
from tests.doubles.workspace import Workspace

from agent_orchestrator import errors
from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.coordinator import Coordinator
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.agents.infrastructure.modelops.usecases.requests import build_request
from agent_orchestrator.cli import session, usecase
from agent_orchestrator.cli.main import main
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.domain.jobs import TERMINAL
from agent_orchestrator.domain.roles import Role
from agent_orchestrator.errors import ApprovalRequired, ChefError
from agent_orchestrator.mcp_server.calls import Context
from agent_orchestrator.mcp_server.server import build_server
from agent_orchestrator.mcp_server.tools import FOLLOW
from agent_orchestrator.wiring.embedded import Embedded
from agent_orchestrator.wiring.orchestrator import open_orchestrator

Document = dict[str, Any]
ADA = Caller("ada", "test", "admin")


class Refused(Exception):  # noqa: N818 - what a door answers
    """A door refused: what it said, message and remedy, and the error's name where it names it."""

    def __init__(self, said: str, error: str | None = None) -> None:
        super().__init__(said, error)
        self.said = said
        self.error = error


class Door(Protocol):
    """One way in."""

    user: str
    """Whom what is done there is put down to."""

    async def ask(self, use_case: UseCaseName, values: Mapping[str, Any]) -> Document:
        """Have a use case carried out, approved where that is needed; return its result.

        Raises Refused.
        """

    async def follow(self, job_id: str) -> Document:
        """Follow a job, in the way of the door, until it has ended; return its last report."""


class Opener(Protocol):
    """Opens a door of an installation, beside a server of its models."""

    def __call__(
        self, workspace: Workspace, models: OpenAIServer
    ) -> AbstractAsyncContextManager[Door]:
        """Open it."""


class OpenerOfPeople(Protocol):
    """Opens a door that knows people, for one with a role."""

    def __call__(
        self, workspace: Workspace, models: OpenAIServer, role: Role = "admin"
    ) -> AbstractAsyncContextManager[Door]:
        """Open it."""


class _Embedded:
    """The coordinator itself: what all doors are measured against."""

    user = ADA.name

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    async def ask(self, use_case: UseCaseName, values: Mapping[str, Any]) -> Document:
        try:
            request = build_request(use_case, values)
            result = await self._coordinator.run(use_case, request, ADA)
        except ApprovalRequired as needed:
            await self._coordinator.answer(needed.approval_id, ADA, approve=True)
            result = await self._coordinator.resume(needed.approval_id, ADA)
        except ChefError as error:
            raise Refused(str(error), type(error).__name__) from error
        return result.model_dump(mode="json")

    async def follow(self, job_id: str) -> Document:
        while True:
            report = await self.ask("monitor_training_job", {"job_id": job_id})
            if report["status"] in TERMINAL:
                return report
            await asyncio.sleep(0.1)


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
        return await self._chef(arguments)

    async def follow(self, job_id: str) -> Document:
        return await self._chef(["job", job_id, "--follow", "--json"])

    async def _chef(self, arguments: list[str]) -> Document:
        done = await asyncio.to_thread(
            CliRunner().invoke,
            click.Command("chef", callback=partial(main, arguments)),
            env=self._workspace.variables,
            catch_exceptions=False,
        )
        found: Document = json.loads(done.stdout)
        if done.exit_code:
            said = f"{found['message']} {found['remedy']}".strip()
            assert done.stderr == f"Error: {said}\n"
            assert done.exit_code == getattr(errors, found["error"]).exit_code
            raise Refused(said, found["error"])
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
    """The HTTP API, with the token of a role."""

    def __init__(self, client: httpx.AsyncClient, user: str) -> None:
        self._client = client
        self.user = user

    async def ask(self, use_case: UseCaseName, values: Mapping[str, Any]) -> Document:
        answer = await self._client.post(f"/modelops/{use_case}", json=values)
        if answer.is_error:
            raise _refused(answer)
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

    async def follow(self, job_id: str) -> Document:
        async with following(self._client, "GET", f"/jobs/{job_id}/events") as events:
            *_, last = [event.data async for event in events]
        report: Document = last
        return report


def _refused(answer: httpx.Response) -> Refused:
    """Return a problem (RFC 9457) as what it says."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    name = "".join(word.capitalize() for word in problem["title"].split())
    return Refused(f"{problem['detail']} {problem['remedy']}".strip(), name)


class _Mcp:
    """The MCP server; its client's user approves."""

    user = ADA.name

    def __init__(self, embedded: Embedded, caller: Caller) -> None:
        async def identify(_context: Context) -> Caller:
            return caller

        self._server = build_server(embedded, identify)

    async def ask(self, use_case: UseCaseName, values: Mapping[str, Any]) -> Document:
        return await self._call(use_case, values)

    async def follow(self, job_id: str) -> Document:
        return await self._call(FOLLOW, {"job_id": job_id})

    async def _call(self, tool: str, values: Mapping[str, Any]) -> Document:
        async def approve(
            _context: Any, _question: types.ElicitRequestParams
        ) -> types.ElicitResult:
            return types.ElicitResult(action="accept", content={"approve": True})

        async with create_connected_server_and_client_session(
            self._server, elicitation_callback=approve
        ) as client:
            result = await client.call_tool(tool, dict(values))
        return structured(result)


def structured(result: types.CallToolResult) -> Document:
    """Return a tool's result; raises Refused for an error, whose text and structure agree."""
    found = result.structuredContent
    assert found is not None, result
    if result.isError:
        said = f"{found['message']} {found['remedy']}".strip()
        assert [block.text for block in result.content if block.type == "text"] == [said]
        raise Refused(said, found["error"])
    return found


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
async def http(
    workspace: Workspace, models: OpenAIServer, role: Role = "admin"
) -> AsyncIterator[Door]:
    """Open the HTTP API."""
    async with opened_api(workspace) as api:
        yield _Http(api[role], role)


@asynccontextmanager
async def mcp(
    workspace: Workspace, models: OpenAIServer, role: Role = "admin"
) -> AsyncIterator[Door]:
    """Open the MCP server."""
    async with open_orchestrator(workspace.settings()) as orchestrator:
        yield _Mcp(orchestrator.embedded, replace(ADA, role=role))
