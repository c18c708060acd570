"""How the serving processes stand, as seen from outside of them."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

from agent_orchestrator.agents.infrastructure.modelops.overview import ProcessState
from agent_orchestrator.errors import LockTimeout
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.gateways import GatewayAddress, running_gateways
from agent_orchestrator.stores.living import all_alive

#: The lock of the one timer that may act.
TIMER_LEASE = "timer"

_ANSWER_SECONDS = 2.0


def look(settings: Settings, database: Database) -> list[ProcessState]:
    """Look at every serving process; one line for each gateway that lives."""
    gateways = [_server("gateway", one) for one in running_gateways(settings.gateways_dir)]
    apis = [_server("api", one) for one in running_gateways(settings.api_dir)]
    return [
        *(gateways or [ProcessState("gateway", "stopped")]),
        *(apis or [ProcessState("api", "stopped")]),
        ProcessState("model server", _state(_listens(settings.model_socket))),
        ProcessState("timer", _state(_is_held(database, TIMER_LEASE))),
    ]


def serving_now(settings: Settings) -> list[str]:
    """Return the names of all processes that serve: gateways, and those that run agents."""
    gateways = [address.process for address in running_gateways(settings.gateways_dir)]
    return [*gateways, *sorted(name.decode() for name in all_alive(settings.routers_dir))]


def _state(up: bool) -> str:
    return "running" if up else "stopped"


def _server(name: str, address: GatewayAddress) -> ProcessState:
    """Ask a gateway, or the API, whether it is ready."""
    state, detail = _ask(address)
    where = address.url.removeprefix("http://")
    return ProcessState(name, state, address=where, pid=address.pid, detail=detail)


def _ask(address: GatewayAddress) -> tuple[str, str]:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/ready")
        said = json.load(connection.getresponse())
        return said["status"], "; ".join(said["reasons"])
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
        return "silent", f"/ready: {str(error) or type(error).__name__}"
    finally:
        connection.close()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(0.5)
        return client.connect_ex(str(path)) == 0


def _is_held(database: Database, lock: str) -> bool:
    try:
        with database.exclusive(lock, 0):
            return False
    except LockTimeout:
        return True
