"""The server over streamable HTTP, for clients that bear an access token."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from mcp.server.auth.middleware.bearer_auth import (
    AuthenticatedUser,
    BearerAuthBackend,
    RequireAuthMiddleware,
)
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.errors import Forbidden
from agent_orchestrator.mcp_server.calls import Context
from agent_orchestrator.mcp_server.server import build_server
from agent_orchestrator.wiring.embedded import Embedded

PATH: Final = "/mcp"
Admit = Callable[[str], Caller | None]
"""Returns who bears an access token; None for nobody. Asked anew with every request."""

_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
#: Refuses what a web page in a browser on this machine sends, whatever name it gave the machine.
_OWN_NAMES: Final = TransportSecuritySettings(
    enable_dns_rebinding_protection=True,
    allowed_hosts=[f"{host}:*" for host in _LOOPBACK],
    allowed_origins=[f"http://{host}:*" for host in _LOOPBACK],
)
#: Under other names only the token counts, which no page has.
_ANY_NAME: Final = TransportSecuritySettings(enable_dns_rebinding_protection=False)


class HttpDoor:
    """The route at which MCP is spoken, and what has to run while it is.

    A session belongs to the very token that began it. Every request is made, and every approval
    answered, with the role that the token has at that moment.
    """

    def __init__(self, embedded: Embedded, admit: Admit, *, loopback: bool = True) -> None:
        """``loopback`` says that it is reached under this machine's own names only."""
        self._admit = admit
        server: Server[Any, Any] = build_server(embedded, self._identify)
        security = _OWN_NAMES if loopback else _ANY_NAME
        self._sessions = StreamableHTTPSessionManager(server, security_settings=security)
        guarded = RequireAuthMiddleware(self._sessions.handle_request, [])
        self._app = AuthenticationMiddleware(guarded, BearerAuthBackend(_Verifier(admit)))

    def route(self) -> Route:
        """Return the route, for an application that keeps ``running`` open in its lifespan."""
        return Route(PATH, self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as an ASGI application."""
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the sessions; once only."""
        async with self._sessions.run():
            yield

    async def _identify(self, context: Context) -> Caller:
        user = context.request.scope.get("user") if context.request is not None else None
        token = user.access_token.token if isinstance(user, AuthenticatedUser) else None
        caller = self._admit(token) if token is not None else None
        if caller is None:
            raise Forbidden("The access token is not known, or not any more.", remedy="Get one.")
        return caller


def create_app(door: HttpDoor) -> Starlette:
    """Return an application of this door alone."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with door.running():
            yield

    return Starlette(routes=[door.route()], lifespan=lifespan)


class _Verifier(TokenVerifier):
    """Tells the SDK's middleware whose token it is."""

    def __init__(self, admit: Admit) -> None:
        self._admit = admit

    async def verify_token(self, token: str) -> AccessToken | None:
        caller = self._admit(token)
        if caller is None:
            return None
        return AccessToken(
            token=token,
            client_id=caller.name,
            subject=hashlib.sha256(token.encode()).hexdigest(),  # sessions are compared by it
            scopes=[caller.role],
        )
