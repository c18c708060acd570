"""``chef serve``: the gateway, the model server and the timer, each a process of its own.

A process that ends by itself is started again, after a pause that doubles while it keeps failing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent_orchestrator.settings import Settings, own_python
from agent_orchestrator.wiring import model_server

log = logging.getLogger("chef.serve")

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_HEALTHY_AFTER_SECONDS = 30.0
_STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Service:
    """One process to keep running."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


def services(settings: Settings, *, token: str | None) -> list[Service]:
    """Return the processes; ``token`` None lets the gateway serve without one.

    Raises ConfigurationError when the trainer's interpreter is missing.
    """
    python = own_python()
    environment = settings.child_environment(
        CHEF_GATEWAY_HOST=settings.gateway_host,
        CHEF_GATEWAY_PORT=str(settings.gateway_port),
        CHEF_GATEWAY_TOKEN=token or "",
    )
    settings.model_socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    gateway_flags = () if token else ("--no-token",)
    return [
        Service(
            "model server",
            tuple(model_server.command(settings, settings.model_socket)),
            model_server.model_server_environment(settings),
        ),
        Service(
            "gateway",
            (python, "-m", "agent_orchestrator.wiring.gateway_process", *gateway_flags),
            environment,
        ),
        Service("timer", (python, "-m", "agent_orchestrator.wiring.timer_process"), environment),
    ]


def new_token() -> str:
    """Return a token for one run."""
    return secrets.token_urlsafe(24)


async def supervise(running: list[Service], say: Callable[[str], None]) -> None:
    """Keep the services running until SIGTERM or SIGINT, then end them in order."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with asyncio.TaskGroup() as tasks:
        for service in running:
            tasks.create_task(_keep(service, stop, say))


async def _keep(service: Service, stop: asyncio.Event, say: Callable[[str], None]) -> None:
    pause = _FIRST_PAUSE_SECONDS
    while not stop.is_set():
        started = asyncio.get_running_loop().time()
        process = await asyncio.create_subprocess_exec(
            *service.command,
            stdin=asyncio.subprocess.DEVNULL,
            env=dict(service.environment),
            start_new_session=True,
        )
        say(f"{service.name}: started (process {process.pid})")
        await _until(process, stop)
        if stop.is_set():
            await _end(process)
            return
        if asyncio.get_running_loop().time() - started > _HEALTHY_AFTER_SECONDS:
            pause = _FIRST_PAUSE_SECONDS
        say(f"{service.name}: ended with {process.returncode}; again in {pause:g} s")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


async def _until(process: asyncio.subprocess.Process, stop: asyncio.Event) -> None:
    """Return when the process has ended or ``stop`` is set."""
    waits = [asyncio.create_task(process.wait()), asyncio.create_task(stop.wait())]
    _, unfinished = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in unfinished:
        task.cancel()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
