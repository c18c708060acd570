"""The server over streamable HTTP, for clients that bear an access token."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import uvicorn
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
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
from agent_orchestrator.errors import ConfigurationError, Forbidden, SettingsError
from agent_orchestrator.mcp_server.calls import Context
from agent_orchestrator.mcp_server.server import build_server
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.access_tokens import AccessTokens
from agent_orchestrator.stores.key_files import KeySource, fingerprint
from agent_orchestrator.wiring.embedded import Embedded

log = logging.getLogger(__name__)

PATH: Final = "/mcp"
_DRAIN_SECONDS: Final = 5
Admit = Callable[[str], Caller | None]
"""Returns who bears an access token; None for nobody. Asked anew with every request."""

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1", "[::1]")
#: Refuses what a web page in a browser on this machine sends, whatever name it gave the machine.
_OWN_NAMES: Final = TransportSecuritySettings(
    enable_dns_rebinding_protection=True,
    allowed_hosts=[f"{host}:*" for host in LOOPBACK],
    allowed_origins=[f"http://{host}:*" for host in LOOPBACK],
)
#: Under other names only the token counts, which no page has.
_ANY_NAME: Final = TransportSecuritySettings(enable_dns_rebinding_protection=False)


class HttpDoor:
    """An ASGI application that speaks MCP while it is ``running``.

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as an ASGI application."""
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def running(self, closing: asyncio.Event | None = None) -> AsyncIterator[None]:
        """Keep the sessions, once only; they and their streams end when ``closing`` is set, too.

        A server waits for its open streams before it ends its lifespan: it would wait for these.
        """
        end = closing or asyncio.Event()
        async with anyio.create_task_group() as group:
            await group.start(self._keep_sessions, end)
            yield
            group.cancel_scope.cancel()

    async def _keep_sessions(
        self, end: asyncio.Event, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        async with self._sessions.run():
            task_status.started()
            await end.wait()

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

    return Starlette(routes=[Route(PATH, door)], lifespan=lifespan)


async def serve(settings: Settings, embedded: Embedded, host: str, port: int) -> None:
    """Serve this door alone until SIGTERM or SIGINT; access tokens are followed while it runs.

    Raises SettingsError when nobody has a token, ConfigurationError when the address is taken.
    """
    tokens = KeySource(AccessTokens(settings.api_tokens_file))
    if not tokens.current:
        raise SettingsError(
            "Nobody has an access token.", remedy="Make one: chef api tokens add NAME --role ROLE."
        )

    def admit(token: str) -> Caller | None:
        found = tokens.current.get(fingerprint(token))
        return Caller(found.name, "mcp", found.role) if found else None

    app = create_app(HttpDoor(embedded, admit, loopback=host in LOOPBACK))
    try:
        listening = socket.create_server((host, port))
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}.",
            remedy="Name another one with --host and --port.",
        ) from error
    config = uvicorn.Config(
        app, ws="none", log_config=None, timeout_graceful_shutdown=_DRAIN_SECONDS
    )
    log.warning("Serving MCP on http://%s:%d%s", host, listening.getsockname()[1], PATH)
    async with anyio.create_task_group() as running:
        running.start_soon(tokens.watch)
        await uvicorn.Server(config).serve([listening])
        running.cancel_scope.cancel()


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
