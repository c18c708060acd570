"""The gateway's process. It loads neither LangGraph nor torch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time

from aiohttp import web

from agent_orchestrator.errors import ChefError, ConfigurationError, SettingsError
from agent_orchestrator.serving import gateway
from agent_orchestrator.serving.admission import Limits
from agent_orchestrator.serving.cache import CachePolicy, ResponseCache
from agent_orchestrator.serving.metrics import Measured, Metrics
from agent_orchestrator.serving.outcome_log import OutcomeLog
from agent_orchestrator.serving.router import Router
from agent_orchestrator.serving.upstream import Upstream
from agent_orchestrator.settings import Settings, load_settings
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.gateway_keys import ClientKey, GatewayKeys
from agent_orchestrator.stores.gateways import announced, process_name
from agent_orchestrator.stores.key_files import KeySource
from agent_orchestrator.stores.models_yaml import RoutingTableSource
from agent_orchestrator.stores.outcomes import OutcomeStore
from agent_orchestrator.wiring.process import argument_parser, start_logging, when_parent_ends
from agent_orchestrator.wiring.serving_reports import on_the_boards
from agent_orchestrator.wiring.tracing import compose_tracer

log = logging.getLogger("chef.gateway")


async def serve(
    settings: Settings,
    token: str | None,
    stop: asyncio.Event,
    *,
    keys: KeySource[ClientKey] | None = None,
) -> None:
    """Serve until ``stop`` is set, then let requests under way end.

    With neither token nor keys (None) everybody is served. Raises ModelsYamlError when there is no
    valid models.yaml to begin with, ConfigurationError when the address cannot be had.
    """
    database = Database(settings.database)
    tables = RoutingTableSource(
        settings.models_yaml,
        on_change=lambda _table: router.follow(),
        on_alert=lambda error: log.error("%s", error),
    )
    outcomes = OutcomeLog(OutcomeStore(database))
    upstream = Upstream(
        secret=settings.secret,
        openrouter_base_url=settings.openrouter_base_url,
        local_socket=settings.model_socket,
        # Whoever was let in must not wait for a connection: that would count against the arm.
        connections=settings.gateway_concurrent,
    )
    metrics = Metrics()
    with contextlib.closing(database):
        async with upstream:
            recorder = Measured(outcomes, metrics)
            router = Router(
                tables,
                upstream,
                recorder,
                cache=response_cache(settings),
                tracer=compose_tracer(settings),
            )
            app = gateway.create_app(
                router,
                tables,
                outcomes,
                token,
                keys=keys,
                limits=_limits(settings),
                metrics=metrics,
            )
            runner = await _listen(settings, app)
            port = runner.addresses[0][1]
            process = process_name(os.getpid())
            async with on_the_boards(router, database, process, on_end=stop.set):
                with announced(
                    settings.gateways_dir,
                    settings.gateway_host,
                    port,
                    asks_for_key=token is not None or keys is not None,
                ) as address:
                    log.info("Serving on %s/v1", address.url)
                    await stop.wait()
                log.info("Draining.")
                await gateway.drain(runner)


def response_cache(settings: Settings) -> ResponseCache | None:
    """Return the cache that the settings ask for, None for none."""
    if not settings.cache_mb:
        return None
    policy = CachePolicy(
        most_bytes=settings.cache_mb * 1024 * 1024,
        most_entries=settings.cache_entries,
        seconds=settings.cache_seconds,
        sampled=settings.cache_sampled,
    )
    return ResponseCache(policy, time.monotonic)


def _limits(settings: Settings) -> Limits:
    return Limits(
        concurrent=settings.gateway_concurrent,
        per_agent=settings.gateway_per_agent,
        queue=settings.gateway_queue,
    )


async def _listen(settings: Settings, app: web.Application) -> web.AppRunner:
    """Start serving."""
    host, port = settings.gateway_host, settings.gateway_port
    try:
        return await gateway.start(app, host=host, port=port)
    except OSError as error:
        reason = str(error.strerror or error).rsplit(": ")[-1]  # asyncio repeats the address
        raise ConfigurationError(
            f"Cannot listen on {host}:{port}: {reason}.",
            remedy="Set CHEF_GATEWAY_HOST and CHEF_GATEWAY_PORT to an address that is free.",
        ) from error


async def _run(
    settings: Settings, token: str | None, keys: KeySource[ClientKey] | None, *, with_parent: bool
) -> None:
    """Serve until SIGTERM, SIGINT or the parent's end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if with_parent:
        when_parent_ends(lambda: loop.call_soon_threadsafe(stop.set))
    await serve(settings, token, stop, keys=keys)


def main() -> int:
    """Run the gateway; the token comes from CHEF_GATEWAY_TOKEN. Return the exit code."""
    parser = argument_parser(__doc__)
    parser.add_argument("--no-token", action="store_true", help="serve clients without a token")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        start_logging(settings.log_level)
        token, keys = (None, None) if arguments.no_token else _access(settings)
        asyncio.run(_run(settings, token, keys, with_parent=arguments.with_parent))
    except ChefError as error:
        log.error("%s", error)
        return error.exit_code
    return 0


def _access(settings: Settings) -> tuple[str | None, KeySource[ClientKey]]:
    """Return the token, if there is one, and the clients' keys; one of them must be there."""
    keys = KeySource(GatewayKeys(settings.gateway_keys_file))
    if settings.gateway_token is not None:
        return settings.gateway_token.get_secret_value(), keys
    if keys.current:
        return None, keys
    raise SettingsError(
        "CHEF_GATEWAY_TOKEN is not set, and no client has a key.",
        remedy="Set it, add a key (chef gateway keys add NAME), or start with --no-token.",
    )


if __name__ == "__main__":
    sys.exit(main())
