"""The HTTP API beside a test: the real application, and a client for each role."""

from __future__ import annotations

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
from agent_orchestrator.api.services import Services, news_of
from agent_orchestrator.domain.roles import Role
from agent_orchestrator.stores.access_tokens import AccessTokens
from agent_orchestrator.stores.key_files import KeySource
from agent_orchestrator.wiring.embedded import compose

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


def compose_api(
    workspace: Workspace,
    *,
    rates: Rates | None = None,
    anybody: Caller | None = None,
    origins: Sequence[str] = (),
    hosts: Sequence[str] = (),
) -> Api:
    """Return an API over a workspace; by default nobody asks it too often."""
    settings = workspace.settings()
    tokens = AccessTokens(workspace.folder / "api-tokens.json")
    kept = {token.name for token in tokens.read()}
    bearers = {role: tokens.add(role, role, 0.0) for role in get_args(Role) if role not in kept}
    embedded = compose(settings)
    services = Services(
        settings=settings,
        embedded=embedded,
        news=news_of(embedded),
        access=Access(KeySource(tokens), anybody),
        rates=rates or Rates(1e6, 1_000_000),
    )
    app = create_app(services, origins=origins, hosts=hosts) if origins or hosts else _usual_app()
    app.state.services = services
    return Api(workspace, app, services, tokens, bearers)


@cache
def _usual_app() -> FastAPI:
    """Return the application without options: making it takes longer than most tests."""
    return create_app(None)


@asynccontextmanager
async def connected(api: Api) -> AsyncIterator[Api]:
    """Give each role a client that calls the application in this process."""
    async with AsyncExitStack() as stack:
        for role in api.bearers:
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(api.app),
                base_url=BASE,
                headers=api.headers(role),
                timeout=120,
            )
            api.clients[role] = await stack.enter_async_context(client)
        yield api


@asynccontextmanager
async def listening(api: Api) -> AsyncIterator[str]:
    """Serve the application on loopback, as streams need it; return its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with running(api.app, listening):
            yield f"{BASE}:{listening.getsockname()[1]}"
            api.services.closing.set()
