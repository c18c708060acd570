"""``chef serve``: gateways, API, model server and timer, each a process of its own.

A process that ends by itself is started again, after a pause that doubles while it keeps failing.
One that says at its first start that its configuration is wrong ends the whole. When this process
ends, by whatever signal, the others do too: each reads from a pipe that is held open here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal

from agent_orchestrator.errors import ConfigurationError
from agent_orchestrator.settings import Settings, own_python
from agent_orchestrator.wiring import model_server
from agent_orchestrator.wiring.process import WITH_PARENT

Say = Callable[[str], None]
ApiAccess = Literal["tokens", "anybody"]
"""Whether the API asks for access tokens."""

_LAST_PORT: Final = 65535
_TOKEN: Final = "CHEF_GATEWAY_TOKEN"  # noqa: S105 - the variable that holds it


@dataclass(frozen=True, slots=True)
class Service:
    """One process to keep running. It must end when its standard input does."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    group: str = ""
    """Neighbours of one group end at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait, seconds."""

    first_pause: float = 0.5
    """Before a service is started again; doubles while it keeps ending."""
    longest_pause: float = 30.0
    healthy_after: float = 30.0
    """A service that has run for this long begins anew with the first pause."""
    stop: float = 35.0
    """Until one that was told to end is killed; the gateway lets requests end for 30 s."""


_PATIENCE: Final = Patience()


def services(
    settings: Settings,
    *,
    token: str | None,
    open_to_all: bool = False,
    local_models: bool = True,
    api: ApiAccess | None = "tokens",
) -> list[Service]:
    """Return the processes, those first on which others rely.

    ``token`` None leaves the gateway its clients' keys, ``open_to_all`` asks for neither. ``api``
    says whom the API lets in; None does without it. Raises
    ConfigurationError when the trainer's interpreter is missing, which serves the local models.
    """
    environment = settings.child_environment()
    environment.pop(_TOKEN, None)
    running = [
        *_gateways(settings, environment, token, open_to_all=open_to_all),
        *_api(settings, environment, api),
        Service("timer", _command("wiring.timer_process"), environment),
    ]
    return [_local_models(settings), *running] if local_models else running


def _command(module: str, *options: str) -> tuple[str, ...]:
    name = f"agent_orchestrator.{module}"
    return (own_python(), "-m", name, WITH_PARENT, *options)


def _gateways(
    settings: Settings, environment: Mapping[str, str], token: str | None, *, open_to_all: bool
) -> list[Service]:
    """Return the gateways: on the port and the ones after it, each on a free one for port 0.

    The API's port is left out.
    """
    first, count = settings.gateway_port, settings.gateways
    wanted = range(first, first + count + 1)
    ports = [port if first else 0 for port in wanted if port != settings.api_port][:count]
    if ports[-1] > _LAST_PORT:
        raise ConfigurationError(
            f"{count} gateways from port {first} on would need ports above {_LAST_PORT}.",
            remedy="Set CHEF_GATEWAY_PORT or CHEF_GATEWAYS lower.",
        )
    secret = {_TOKEN: token} if token else {}
    command = _command("wiring.gateway_process", *(("--no-token",) if open_to_all else ()))
    found = []
    for number, port in enumerate(ports):
        address = {
            "CHEF_GATEWAY_HOST": settings.gateway_host,
            "CHEF_GATEWAY_PORT": str(port),
        }
        name = "gateway" if count == 1 else f"gateway {number + 1}"
        found.append(Service(name, command, {**environment, **address, **secret}, "gateways"))
    return found


def _api(
    settings: Settings, environment: Mapping[str, str], access: ApiAccess | None
) -> list[Service]:
    if access is None:
        return []
    address = {"CHEF_API_HOST": settings.api_host, "CHEF_API_PORT": str(settings.api_port)}
    command = _command("api.process", *(("--no-token",) if access == "anybody" else ()))
    return [Service("api", command, {**environment, **address})]


def _local_models(settings: Settings) -> Service:
    try:
        command = tuple(model_server.command(settings, settings.model_socket))
    except ConfigurationError as error:
        instead = "Or serve without local models: --no-local-models."
        raise ConfigurationError(error.message, remedy=f"{error.remedy} {instead}") from None
    return Service("model server", command, model_server.environment(settings))


def new_token() -> str:
    """Return a token for one run."""
    return secrets.token_urlsafe(24)


async def supervise(
    running: Sequence[Service], say: Say, *, patience: Patience = _PATIENCE
) -> None:
    """Keep the services running until SIGTERM or SIGINT, then end them, the last group first.

    Raises ConfigurationError when one cannot run as it is configured.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    keepers = [_Keeper(service, say, patience) for service in running]
    tasks = [asyncio.create_task(keeper.keep()) for keeper in keepers]
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    in_groups = groupby(zip(keepers, tasks, strict=True), lambda pair: pair[0].group)
    for group in reversed([list(group) for _, group in in_groups]):
        for keeper, _ in group:
            keeper.stop.set()
        await asyncio.wait([task for _, task in group])
    for task in tasks:
        task.result()


class _Keeper:
    """Keeps one service running until ``stop`` is set."""

    def __init__(self, service: Service, say: Say, patience: Patience) -> None:
        self.stop = asyncio.Event()
        self.group = service.group or service.name
        self._service = service
        self._say = say
        self._patience = patience

    async def keep(self) -> None:
        """Run the service again and again. Raises ConfigurationError when that is no use."""
        loop, patience = asyncio.get_running_loop(), self._patience
        pause, is_first = patience.first_pause, True
        while True:
            started = loop.time()
            how = await self._run()
            if self.stop.is_set():
                return
            if is_first and how == ConfigurationError.exit_code:
                raise ConfigurationError(
                    f"The {self._service.name} cannot run as it is configured.",
                    remedy="Its own message stands above.",
                )
            is_first = False
            if loop.time() - started > patience.healthy_after:
                pause = patience.first_pause
            self._say(f"{self._service.name}: ended with {how}; again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.stop.wait()
                return
            pause = min(2 * pause, patience.longest_pause)

    async def _run(self) -> int | str:
        """Run the service once; return its exit status, or why it could not be started."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._service.command,
                stdin=asyncio.subprocess.PIPE,
                env=dict(self._service.environment),
                start_new_session=True,  # Ctrl-C is for us alone: we end the others in order
            )
        except OSError as error:
            return error.strerror or str(error)
        self._say(f"{self._service.name}: started (process {process.pid})")
        waits = [asyncio.create_task(process.wait()), asyncio.create_task(self.stop.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
        return await self._end(process)

    async def _end(self, process: asyncio.subprocess.Process) -> int:
        """End a process that may have ended already; return its exit status."""
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(self._patience.stop):
                return await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return await process.wait()
