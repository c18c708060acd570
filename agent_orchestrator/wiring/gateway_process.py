"""The gateway's process. It loads neither LangGraph nor torch."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import time

import anyio.to_thread

from agent_orchestrator.errors import ChefError, SettingsError
from agent_orchestrator.serving import gateway
from agent_orchestrator.serving.outcome_log import OutcomeLog
from agent_orchestrator.serving.router import Router
from agent_orchestrator.serving.upstream import Upstream
from agent_orchestrator.settings import Settings, load_settings
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.health import BreakerReport, HealthBoard
from agent_orchestrator.stores.models_yaml import RoutingTableSource
from agent_orchestrator.stores.outcomes import OutcomeStore

log = logging.getLogger("chef.gateway")

_BOARD_SECONDS = 1.0


async def serve(settings: Settings, token: str | None) -> None:
    """Serve until SIGTERM or SIGINT, then let requests under way end.

    Raises ModelsYamlError when there is no valid models.yaml to begin with.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    database = Database(settings.database)
    tables = RoutingTableSource(settings.models_yaml, on_alert=lambda error: log.error("%s", error))
    outcomes = OutcomeLog(OutcomeStore(database))
    upstream = Upstream(
        secret=settings.secret,
        openrouter_base_url=settings.openrouter_base_url,
        local_socket=settings.model_socket,
    )
    async with upstream:
        router = Router(tables, upstream, outcomes)
        app = gateway.create_app(router, tables, outcomes, token)
        runner = await gateway.start(app, host=settings.gateway_host, port=settings.gateway_port)
        log.info("Serving on %s", runner.addresses)
        board = asyncio.create_task(_follow_board(router, HealthBoard(database)))
        await stop.wait()
        board.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await board
        await runner.cleanup()
    database.close()


async def _follow_board(router: Router, board: HealthBoard) -> None:
    """Tell the board how the breakers stand, and carry out resets that were asked there."""
    process = f"gateway-{os.getpid()}"
    seen = await anyio.to_thread.run_sync(board.last_order)
    while True:
        try:
            for order in await anyio.to_thread.run_sync(board.orders_after, seen):
                seen = order.seq
                with contextlib.suppress(ChefError):  # an arm that this process does not have
                    router.reset_breaker(order.agent, order.arm)
            reports = [
                BreakerReport(agent, arm.arm, arm.state, arm.trip_reason)
                for agent in router.agents()
                for arm in router.health(agent)
            ]
            await anyio.to_thread.run_sync(board.report, process, reports, time.time())
        except ChefError as error:
            log.warning("The health board: %s", error)
        await asyncio.sleep(_BOARD_SECONDS)


def main() -> int:
    """Run the gateway; the token comes from CHEF_GATEWAY_TOKEN."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-token", action="store_true", help="serve clients without a token")
    no_token = parser.parse_args().no_token
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    settings = load_settings()
    try:
        asyncio.run(serve(settings, None if no_token else _token(settings)))
    except ChefError as error:
        log.error("%s", error)
        return error.exit_code
    except OSError as error:
        where = f"{settings.gateway_host}:{settings.gateway_port}"
        log.error("Cannot listen on %s: %s. Set CHEF_GATEWAY_PORT.", where, error.strerror)
        return 1
    return 0


def _token(settings: Settings) -> str:
    if settings.gateway_token is None:
        raise SettingsError(
            "CHEF_GATEWAY_TOKEN is not set.", remedy="Set it, or start with --no-token."
        )
    return settings.gateway_token.get_secret_value()


if __name__ == "__main__":
    sys.exit(main())
