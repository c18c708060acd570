"""The API in a process of its own, over a workspace that outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
from tests.doubles.ports import free_port
from tests.doubles.workspace import Workspace

from agent_orchestrator.domain.roles import Role
from agent_orchestrator.settings import own_python
from agent_orchestrator.stores.access_tokens import AccessTokens

_COMMAND = (own_python(), "-m", "agent_orchestrator.api.process")
#: How long it may take to serve, and to end: much longer than it takes on a busy machine.
_SECONDS = 120


class ApiProcess:
    """It can be run again and again: its address and its tokens stay."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._variables = workspace.variables | {"CHEF_API_PORT": str(port)}
        self._log = workspace.folder / "api.log"

    @property
    def log(self) -> str:
        """What it logged."""
        return self._log.read_text(encoding="utf-8")

    def token(self, name: str, role: Role) -> str:
        """Return a new token for somebody."""
        return AccessTokens(self.workspace.settings().api_tokens_file).add(name, role, 0.0)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run it until the block ends; then let it end what it does."""
        process = self._start()
        try:
            yield process
        finally:
            process.terminate()
            process.wait(_SECONDS)

    @asynccontextmanager
    async def until_killed(self) -> AsyncIterator[None]:
        """Run it until the block ends; then kill it as SIGKILL does."""
        process = await asyncio.to_thread(self._start)
        try:
            yield
        finally:
            os.kill(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.wait, _SECONDS)

    def _start(self) -> subprocess.Popen[bytes]:
        """Start it; return it once it serves. Raises AssertionError, with its log."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                _COMMAND, env=self._variables, stderr=log, cwd=self.workspace.folder
            )
        deadline = time.monotonic() + _SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/health", timeout=_SECONDS).is_success:
                    return process
            except httpx.TransportError:
                time.sleep(0.05)
        process.kill()
        process.wait(_SECONDS)
        raise AssertionError(f"The API does not serve:\n{self.log}")
