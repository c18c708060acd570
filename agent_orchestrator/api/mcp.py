"""``/mcp``: the Model Context Protocol at the API's own address, for those who bear its tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from fastapi import FastAPI
from fastapi.security.utils import get_authorization_scheme_param
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.api.services import Services
from agent_orchestrator.mcp_server.http import LOOPBACK, PATH, HttpDoor


class _Door:
    """The door of the application that is running, under the API's own limits."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. Raises HTTPException 429 for too many, or too many at a time."""
        door: HttpDoor = scope["app"].state.mcp
        services: Services = scope["app"].state.services
        scheme, token = get_authorization_scheme_param(Headers(scope=scope).get("authorization"))
        caller = services.access.caller(token) if scheme.lower() == "bearer" and token else None
        if caller is None:  # whom the door itself refuses
            await door(scope, receive, send)
            return
        services.rates.take(caller.name)
        with services.rates.stream(caller.name):  # every answer may be one
            await door(scope, receive, send)


ROUTE = Route(PATH, _Door(), include_in_schema=False)


@asynccontextmanager
async def opened(app: FastAPI) -> AsyncIterator[None]:
    """Keep the door open while the application runs, until it is about to end."""
    services: Services = app.state.services

    def admit(token: str) -> Caller | None:
        caller = services.access.caller(token)
        return replace(caller, door="mcp") if caller else None

    loopback = services.settings.api_host in LOOPBACK
    app.state.mcp = HttpDoor(services.embedded, admit, loopback=loopback)
    async with app.state.mcp.running(services.closing):
        yield
