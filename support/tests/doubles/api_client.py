"""The HTTP API beside a test: the real application, and a client for each role."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import get_args

import httpx
from fastapi import FastAPI
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.api.access import Access
from agent_orchestrator.api.app import create_app
from agent_orchestrator.api.limits import Rates
from agent_orchestrator.api.process import running
from agent_orchestrator.api.services import Services, compose_services
from agent_orchestrator.domain.roles import Role
from agent_orchestrator.stores.access_tokens import AccessTokens
from agent_orchestrator.stores.key_files import KeySource
from agent_orchestrator.wiring.orchestrator import open_orchestrator

BASE = "http://127.0.0.1"


@dataclass
class Api:
    """An API over a workspace, with a token for each role, borne by who is named after it."""

    workspace: Workspace
    app: FastAPI
    services: Services
    tokens: AccessTokens
    bearers: dict[str, str]
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)

    def __getitem__(self, role: Role) -> httpx.AsyncClient:
        """Return the client of a role."""
        return self.clients[role]

    def headers(self, role: str) -> dict[str, str]:
        """Return what tells the API who asks."""
        return {"Authorization": f"Bearer {self.bearers[role]}"}


@asynccontextmanager
async def opened_api(
    workspace: Workspace,
    *,
    rates: Rates | None = None,
    anybody: Caller | None = None,
    origins: Sequence[str] = (),
    hosts: Sequence[str] = (),
) -> AsyncIterator[Api]:
    """Open an API over a workspace; by default nobody asks it too often.

    Each role has a client that calls the application in this process.
    """
    settings = workspace.settings()
    tokens = AccessTokens(settings.api_tokens_file)
    async with open_orchestrator(settings) as orchestrator, AsyncExitStack() as stack:
        services = compose_services(
            settings,
            orchestrator,
            Access(KeySource(tokens), anybody),
            rates or Rates(1e6, 1_000_000),
        )
        app = (
            create_app(services, origins=origins, hosts=hosts) if origins or hosts else usual_app()
        )
        app.state.services = services
        api = Api(workspace, app, services, tokens, _bearers(workspace, tokens))
        for role in api.bearers:
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(api.app),
                base_url=BASE,
                headers=api.headers(role),
                timeout=120,
            )
            api.clients[role] = await stack.enter_async_context(client)
        source = services.access.tokens
        if isinstance(source, KeySource):
            source.reload(object())
        yield api


def _bearers(workspace: Workspace, tokens: AccessTokens) -> dict[str, str]:
    """Return a token for each role; the same ones for the same workspace."""
    kept = workspace.folder / "bearers.json"
    if not kept.exists():
        made = {role: tokens.add(role, role, 0.0) for role in get_args(Role)}
        kept.write_text(json.dumps(made))
    bearers: dict[str, str] = json.loads(kept.read_text())
    return bearers


@cache
def usual_app() -> FastAPI:
    """Return the application without options: making it takes longer than most tests."""
    return create_app(None)


@asynccontextmanager
async def listening(api: Api) -> AsyncIterator[str]:
    """Serve the application on loopback, as streams need it; return its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with running(api.app, listening):
            yield f"{BASE}:{listening.getsockname()[1]}"
            api.services.closing.set()
