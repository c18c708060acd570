"""The processes of a measurement: the upstream, a contestant's server, its driver."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from contest.contestants import Contestant, Place, Server, environment

_START_SECONDS = 180.0
_ANSWER_BYTES = 4 * 1024 * 1024
_MB = 1024 * 1024


class ContestantError(Exception):
    """A contestant that cannot be started or does not answer; says why in one line."""


class DriverProcess:
    """A driver's process and the conversation with it."""

    def __init__(self, process: asyncio.subprocess.Process, errors: Path) -> None:
        self._process = process
        self._errors = errors
        self.process = psutil.Process(process.pid)

    async def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Give a command and return what it answers."""
        assert self._process.stdin is not None
        with suppress(ConnectionError):  # it ended: answer() says why
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            await self._process.stdin.drain()
        return await self.answer()

    async def answer(self) -> dict[str, Any]:
        """Return its next line."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            await self._process.wait()
            raise ContestantError(_last_line(self._errors, "the driver ended"))
        answer: dict[str, Any] = json.loads(line)
        return answer


@asynccontextmanager
async def mock(delay_ms: float = 0.0) -> AsyncIterator[str]:
    """Run the upstream; give its base URL."""
    command = (sys.executable, "-m", "contest.mock", "--delay-ms", str(delay_ms))
    async with _process(command, {}, errors=None) as process:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}/v1"


@asynccontextmanager
async def driving(
    contestant: Contestant, place: Place, server: Server | None
) -> AsyncIterator[DriverProcess]:
    """Run a contestant's driver and wait until it can be asked."""
    command = [str(contestant.driver_python), "-m", f"contest.drivers.{contestant.driver}"]
    command += ["--upstream", place.upstream, "--folder", str(place.folder)]
    if server is not None:
        command += ["--url", server.url, "--model", server.model]
        command += ["--headers", json.dumps(dict(server.headers))]
    errors = place.folder / "driver.log"
    async with _process(command, {}, errors) as process:
        driver = DriverProcess(process, errors)
        async with asyncio.timeout(_START_SECONDS):
            await driver.answer()
        yield driver


@asynccontextmanager
async def serving(server: Server | None, folder: Path) -> AsyncIterator[psutil.Process | None]:
    """Run a contestant's server and wait until it listens."""
    if server is None:
        yield None
        return
    errors = folder / "server.log"
    port = int(server.url.split(":")[2].split("/")[0])
    async with _process(server.command, server.environment, errors) as process:
        end = time.monotonic() + _START_SECONDS
        while not await _listens(port):
            if process.returncode is not None:
                raise ContestantError(_last_line(errors, f"it ended with {process.returncode}"))
            if time.monotonic() > end:
                raise ContestantError(f"it did not listen within {_START_SECONDS:g} s")
            await asyncio.sleep(0.1)
        yield psutil.Process(process.pid)


@asynccontextmanager
async def _process(
    command: Sequence[str], extra: Mapping[str, str], errors: Path | None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a process in a group of its own, which ends with the block."""
    with (errors or Path(os.devnull)).open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env=environment(extra),
            limit=_ANSWER_BYTES,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process and its children."""
    times = [p.cpu_times() for p in _tree(process)]
    return float(sum(t.user + t.system for t in times))


def memory_mb(process: psutil.Process) -> float:
    """Resident MiB of a process and its children."""
    return float(sum(p.memory_info().rss for p in _tree(process)) / _MB)


def _last_line(errors: Path, otherwise: str) -> str:
    lines = errors.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), otherwise)


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
