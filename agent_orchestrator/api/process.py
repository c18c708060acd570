"""The API's process: what ``chef serve`` starts beside the gateways."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator

import uvicorn
from fastapi import FastAPI

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.api.access import DOOR, Access
from agent_orchestrator.api.app import create_app
from agent_orchestrator.api.limits import Rates
from agent_orchestrator.api.services import Services, compose_services
from agent_orchestrator.errors import ChefError, ConfigurationError
from agent_orchestrator.settings import Settings, load_settings
from agent_orchestrator.stores.access_tokens import AccessTokens
from agent_orchestrator.stores.gateways import announced
from agent_orchestrator.stores.key_files import KeySource
from agent_orchestrator.wiring.orchestrator import open_orchestrator
from agent_orchestrator.wiring.process import argument_parser, start_logging, when_parent_ends

log = logging.getLogger("chef.api")

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_DRAIN_SECONDS = 30
_BURST_SECONDS = 5


class Server(uvicorn.Server):
    """uvicorn, which leaves signals to whoever runs it and says when it serves."""

    def __init__(self, app: FastAPI) -> None:
        config = uvicorn.Config(
            app,
            lifespan="on",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
        super().__init__(config)
        self.serves = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        self.serves.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield


async def serve(settings: Settings, stop: asyncio.Event, *, open_to_all: bool = False) -> None:
    """Serve until ``stop`` is set, then end the streams and let requests under way end.

    With ``open_to_all`` who sends no token is taken for who runs this. Raises SettingsError for a
    broken file of tokens, ConfigurationError when the address cannot be had, or may not be open.
    """
    access = _access(settings, open_to_all=open_to_all)
    rates = Rates(settings.api_rate, max(1, int(_BURST_SECONDS * settings.api_rate)))
    hosts = (*_LOOPBACK, settings.api_host) if open_to_all else ()
    with _listen(settings) as listening:
        async with open_orchestrator(settings) as orchestrator:
            services = compose_services(settings, orchestrator, access, rates)
            app = create_app(services, origins=settings.api_origin_list, hosts=hosts)
            await _serve(settings, app, services, listening, stop)


async def _serve(
    settings: Settings,
    app: FastAPI,
    services: Services,
    listening: socket.socket,
    stop: asyncio.Event,
) -> None:
    async with running(app, listening):
        port = listening.getsockname()[1]
        with announced(settings.api_dir, settings.api_host, port) as address:
            log.info("Serving on %s (in a browser: the page that shows it all)", address.url)
            await stop.wait()
        log.info("Draining.")
        services.closing.set()


@contextlib.asynccontextmanager
async def running(app: FastAPI, listening: socket.socket) -> AsyncIterator[None]:
    """Serve the application on a socket for as long as the block takes; let requests end then."""
    server = Server(app)
    serving = asyncio.create_task(server.serve([listening]))
    begun = asyncio.create_task(server.serves.wait())
    await asyncio.wait([serving, begun], return_when=asyncio.FIRST_COMPLETED)
    begun.cancel()
    try:
        if not serving.done():
            yield
    finally:
        server.should_exit = True
        await serving


def _access(settings: Settings, *, open_to_all: bool) -> Access:
    tokens = KeySource(AccessTokens(settings.api_tokens_file))
    if not open_to_all:
        if not tokens.current:
            log.warning("Nobody has an access token yet: chef api tokens add NAME --role ROLE.")
        return Access(tokens)
    if settings.api_host not in _LOOPBACK:
        raise ConfigurationError(
            f"CHEF_API_HOST={settings.api_host!r}: whoever reaches it would be an administrator.",
            remedy="Serve on 127.0.0.1, or without --no-api-token.",
        )
    return Access(tokens, Caller(pwd.getpwuid(os.getuid()).pw_name, DOOR, "admin"))


@contextlib.contextmanager
def _listen(settings: Settings) -> Iterator[socket.socket]:
    host, port = settings.api_host, settings.api_port
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}.",
            remedy="Set CHEF_API_HOST and CHEF_API_PORT to an address that is free, "
            "or serve with --no-api.",
        ) from error
    with listening:
        yield listening


async def _run(settings: Settings, *, open_to_all: bool, with_parent: bool) -> None:
    """Serve until SIGTERM, SIGINT or the parent's end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if with_parent:
        when_parent_ends(lambda: loop.call_soon_threadsafe(stop.set))
    await serve(settings, stop, open_to_all=open_to_all)


def main() -> int:
    """Run the API; return the exit code."""
    parser = argument_parser(__doc__)
    parser.add_argument("--no-token", action="store_true", help="serve this user without a token")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        start_logging(settings.log_level)
        running = _run(settings, open_to_all=arguments.no_token, with_parent=arguments.with_parent)
        asyncio.run(running)
    except ChefError as error:
        log.error("%s", error)  # noqa: TRY400 - an error's text is for people
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
