"""The server over stdio, for a client that starts it as its child process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

import anyio
from mcp.server.stdio import stdio_server

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.mcp_server.calls import Context
from agent_orchestrator.mcp_server.server import build_server
from agent_orchestrator.wiring.embedded import Embedded


async def serve(embedded: Embedded, caller: Caller) -> None:
    """Serve everything to the process at the other end until it goes; it acts as ``caller``."""

    async def identify(_context: Context) -> Caller:
        return caller

    server = build_server(embedded, identify)
    with _streams() as (stdin, stdout):
        async with stdio_server(anyio.wrap_file(stdin), anyio.wrap_file(stdout)) as (read, write):
            await server.run(read, write, server.create_initialization_options())


@contextmanager
def _streams() -> Iterator[tuple[TextIOWrapper, TextIOWrapper]]:
    """Keep the protocol's streams from everything else in this process, and from its children.

    What is printed, here or by a job's process, goes to stderr; nobody else reads from stdin.
    """
    stdin = TextIOWrapper(os.fdopen(os.dup(0), "rb"), encoding="utf-8", errors="replace")
    stdout = TextIOWrapper(os.fdopen(os.dup(1), "wb"), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdout.flush()
    os.dup2(2, 1)
    try:
        yield stdin, stdout
    finally:
        os.dup2(stdin.fileno(), 0)
        os.dup2(stdout.fileno(), 1)
