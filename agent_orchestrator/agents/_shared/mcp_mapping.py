"""config/mcp-agent-tool-mapping.yaml: MCP servers, and which of their tools which agent may use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent_orchestrator.stores.defaults import load_document

ALL = "*"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StdioServer(_Strict):
    """A server that is a program: it is started, and spoken to by its standard streams."""

    transport: Literal["stdio"]
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    env: tuple[str, ...] = ()
    """Names of the environment variables that it gets, beside PATH and the like."""


class HttpServer(_Strict):
    """A server at a URL (streamable HTTP)."""

    transport: Literal["http"]
    url: str
    token_env: str | None = None
    """Name of the environment variable that holds its bearer token."""


ServerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,24}$")]
"""It begins the names of its tools, which models limit to 64 characters."""
Server = Annotated[StdioServer | HttpServer, Field(discriminator="transport")]


Leave = Literal["withhold", "ask", "allow"]
"""Whether an agent gets a tool that changes something outside its workspace: not at all, with a
person's approval of every call, or as it likes."""


class Allowed(_Strict):
    """What an agent may use of a server."""

    tools: tuple[str, ...] = (ALL,)
    """Names; ``*`` stands for all."""
    changing: Mapping[str, Leave] = {}
    """For tools that the server does not mark as reading only, by name; ``*`` stands for all others
    (``ask`` when left out). Where nobody can be asked, ``ask`` withholds."""

    def leave(self, tool: str) -> Leave:
        """Return how a tool is given that changes something."""
        return self.changing.get(tool, self.changing.get(ALL, "ask"))


class McpMapping(_Strict):
    """The whole file."""

    servers: Mapping[ServerName, Server] = {}
    agents: Mapping[str, Mapping[str, Allowed]] = {}
    """Agent → server → what it may use."""

    @model_validator(mode="after")
    def _names_its_servers(self) -> Self:
        for agent, servers in self.agents.items():
            for name in servers:
                if name not in self.servers:
                    raise ValueError(
                        f"agents.{agent} names the server {name!r}, which is not listed"
                    )
        return self


def load_mapping(config_dir: Path) -> McpMapping:
    """Read the file; SettingsError names it and the key."""
    return load_document(config_dir / "mcp-agent-tool-mapping.yaml", McpMapping)
