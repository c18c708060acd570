"""Tools of MCP servers, over sessions that are kept open.

Opening a session takes seconds over stdio, a call over an open one milliseconds. Each session lives
in a task of its own, for it must be closed by whom it was opened by. When a connection breaks, the
task opens another one; a call that was under way is not repeated, for nobody knows whether it was
carried out.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal, cast

import anyio
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_mcp_adapters.sessions import Connection, create_session
from langchain_mcp_adapters.tools import load_mcp_tools
from mcp import ClientSession, McpError
from mcp.types import CONNECTION_CLOSED

from agent_orchestrator.agents._shared.mcp_mapping import (
    ALL,
    Allowed,
    McpMapping,
    Server,
    StdioServer,
)
from agent_orchestrator.errors import FailedError, UpstreamError

log = logging.getLogger(__name__)

_CALL: Final = timedelta(seconds=120)
_PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Between attempts to connect, seconds."""
_BROKEN: Final = (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream)


@dataclass(slots=True)
class KeptSession:
    """One server's session, whichever connection it is on. Stands in for a ``ClientSession``."""

    name: str
    connection: Connection
    reason: str = "it has not answered yet"
    """Why there is no connection."""
    tools: list[BaseTool] = field(default_factory=list)
    """Empty until the first connection."""
    _session: ClientSession | None = None
    _broken: asyncio.Event = field(default_factory=asyncio.Event)
    _settled: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def connected(self) -> bool:
        """Whether it can be called now."""
        return self._session is not None

    async def list_tools(self, cursor: str | None = None) -> Any:
        """Return a page of the server's tools."""
        return await self._through(lambda session: session.list_tools(cursor=cursor))

    async def call_tool(
        self, name: str, arguments: dict[str, Any], *, progress_callback: Any = None
    ) -> Any:
        """Call a tool, once. Raises UpstreamError unconnected, FailedError when that broke."""
        return await self._through(
            lambda session: session.call_tool(
                name,
                arguments,
                read_timeout_seconds=_CALL,
                progress_callback=progress_callback,
            )
        )

    async def _through(self, call: Callable[[ClientSession], Any]) -> Any:
        session = self._session
        if session is None:
            raise UpstreamError(
                f"The MCP server {self.name!r} cannot be reached: {self.reason}.",
                remedy="Look at its entry in config/mcp-agent-tool-mapping.yaml.",
            )
        try:
            return await call(session)
        except (*_BROKEN, McpError) as error:
            if isinstance(error, McpError) and error.error.code != CONNECTION_CLOSED:
                raise
            if self._session is session:
                self._session, self.reason = None, "its connection broke"
                self._broken.set()
            raise FailedError(
                f"The connection to the MCP server {self.name!r} broke during the call; it may "
                "have been carried out.",
                remedy="Look whether it was before trying again.",
            ) from error

    async def keep(self) -> None:
        """Stay connected until cancelled."""
        failures = 0
        while True:
            try:
                async with create_session(self.connection) as session:
                    await session.initialize()
                    self._session = session
                    if not self.tools:
                        self.tools = await load_mcp_tools(
                            cast(ClientSession, self), server_name=self.name, tool_name_prefix=True
                        )
                    failures = 0
                    self._settled.set()
                    await self._broken.wait()
            except Exception as error:  # noqa: BLE001 - whatever a foreign server does, we go on
                self.reason = _reason(error)
            finally:
                self._session = None
            self._broken.clear()
            self._settled.set()
            log.warning("The MCP server %r: %s.", self.name, self.reason)
            await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
            failures += 1

    async def settled(self) -> None:
        """Wait until it is connected, or was tried once."""
        await self._settled.wait()


@dataclass(frozen=True, slots=True)
class OutwardTool:
    """A tool every call of which a person approves."""

    server: str
    name: str
    """As the server names it."""
    fingerprint: str
    """SHA-256 of the server's entry in the mapping and the tool as models are shown it."""


@dataclass(frozen=True, slots=True)
class AgentTools:
    """An agent's tools of MCP servers."""

    tools: tuple[BaseTool, ...] = ()
    outward: Mapping[str, OutwardTool] = field(default_factory=dict)
    """Those that are asked about, by the names of ``tools``."""
    missing: tuple[str, ...] = ()
    """What the agent has to do without, in words."""


@dataclass(frozen=True, slots=True)
class McpTools:
    """The servers of a mapping."""

    mapping: McpMapping
    sessions: Mapping[str, KeptSession]

    def of(self, agent: str, *, can_ask: bool = False) -> AgentTools:
        """Return an agent's tools; ``can_ask`` says whether it works where a person can be asked.

        Of tools of the same name, the first is had.
        """
        tools: dict[str, BaseTool] = {}
        outward: dict[str, OutwardTool] = {}
        missing: list[str] = []
        for name, allowed in self.mapping.agents.get(agent, {}).items():
            session = self.sessions[name]
            if not session.tools:
                missing.append(
                    f"The MCP server {name!r} cannot be reached: {session.reason}. Its tools are "
                    "missing."
                )
            found = {tool.name for tool in session.tools if _leave(tool, name, allowed, can_ask)}
            for tool in session.tools:
                if tool.name in found and tool.name not in tools:
                    tools[tool.name] = tool
                    if _leave(tool, name, allowed, can_ask) == "ask":
                        outward[tool.name] = self._outward(name, tool)
            wanted = {f"{name}_{tool}" for tool in allowed.tools if tool != ALL}
            lost = sorted(wanted - found) if session.tools else []
            if lost:
                missing.append(
                    f"Not to be used: {', '.join(lost)} (unknown to its server, or it changes "
                    "something and is withheld)."
                )
        return AgentTools(tuple(tools.values()), outward, tuple(missing))

    def _outward(self, server: str, tool: BaseTool) -> OutwardTool:
        entry = self.mapping.servers[server].model_dump(mode="json")
        seen = json.dumps([entry, convert_to_openai_tool(tool)], sort_keys=True)
        return OutwardTool(
            server, tool.name.removeprefix(f"{server}_"), hashlib.sha256(seen.encode()).hexdigest()
        )


@asynccontextmanager
async def open_mcp_tools(
    mapping: McpMapping, secret: Callable[[str], str | None], *, patience: float = 20.0
) -> AsyncIterator[McpTools]:
    """Connect to the servers that agents use; wait ``patience`` seconds for those that are slow.

    ``secret`` returns the value of an environment variable.
    """
    used = {name for servers in mapping.agents.values() for name in servers}
    sessions = {
        name: KeptSession(name, _connection(server, secret))
        for name, server in mapping.servers.items()
        if name in used
    }
    async with AsyncExitStack() as stack:
        for session in sessions.values():
            await stack.enter_async_context(_kept(session))
        with anyio.move_on_after(patience):
            for session in sessions.values():
                await session.settled()
        yield McpTools(mapping, sessions)


@asynccontextmanager
async def _kept(session: KeptSession) -> AsyncIterator[None]:
    keeping = asyncio.create_task(session.keep(), name=f"MCP server {session.name}")
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


def _connection(server: Server, secret: Callable[[str], str | None]) -> Connection:
    if isinstance(server, StdioServer):
        program, *arguments = server.command
        given = {name: value for name in server.env if (value := secret(name)) is not None}
        return {"transport": "stdio", "command": program, "args": arguments, "env": given}
    token = secret(server.token_env) if server.token_env else None
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return {"transport": "streamable_http", "url": server.url, "headers": headers}


def _leave(
    tool: BaseTool, server: str, allowed: Allowed, can_ask: bool
) -> Literal["ask", "allow"] | None:
    """Return how an agent gets a tool, None when it does not."""
    name = tool.name.removeprefix(f"{server}_")
    if ALL not in allowed.tools and name not in allowed.tools:
        return None
    if (tool.metadata or {}).get("readOnlyHint") is True:
        return "allow"
    leave = allowed.leave(name)
    if leave == "withhold" or (leave == "ask" and not can_ask):
        return None
    return leave


def _reason(error: BaseException) -> str:
    """Return the innermost reason; transports wrap theirs in groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".rstrip(": .").partition("\n")[0]
