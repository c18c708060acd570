"""An agent as it is written: ``system.prompt.md`` and ``tools.yaml`` in a folder of its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from agent_orchestrator.agents._shared.progressive import Strategy
from agent_orchestrator.errors import SettingsError
from agent_orchestrator.stores.defaults import load_document

AGENTS = Path(__file__).parents[1]
"""The folder of the agents' folders."""
_OWN_WAYS = frozenset({"supervisor", "infrastructure"})
"""They are no ``BaseAgent``: one routes, the other is a graph of its own."""


class ToolProfile(BaseModel):
    """tools.yaml: which tools an agent may use, and how they are offered to its model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: Annotated[str, Field(min_length=1)]
    """What the agent is good at: the supervisor routes by it."""
    strategy: Strategy = "progressive"
    token_budget: Annotated[int, Field(ge=0)] = 4000
    """What the descriptions of the offered tools may take of a request (``progressive``)."""
    core: tuple[str, ...] = ()
    """Tools that every request offers: built-in ones, and ``<server>_<tool>`` of MCP servers."""
    profile: tuple[str, ...] = ()
    """Further tools of this agent. Which tools of MCP servers it may use at all stands in
    config/mcp-agent-tool-mapping.yaml."""
    model_calls: Annotated[int, Field(ge=1)] = 40
    """Most calls of the model for one task."""
    summarise_above_tokens: Annotated[int, Field(ge=1000)] = 60_000
    """Size of a conversation whose older part is replaced by a summary."""


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """Everything that makes this agent this agent."""

    name: str
    prompt: str
    tools: ToolProfile


def workers(agents: Path = AGENTS) -> list[str]:
    """Return the names of the agents that the supervisor hands work to, by name."""
    written = {folder.parent.name for folder in agents.glob("*/tools.yaml")}
    return sorted(written - _OWN_WAYS)


def load_profile(name: str, agents: Path = AGENTS) -> AgentProfile:
    """Read an agent's folder. Raises SettingsError that names the file and the key."""
    prompt = agents / name / "system.prompt.md"
    tools = load_document(agents / name / "tools.yaml", ToolProfile)
    try:
        return AgentProfile(name, prompt.read_text(encoding="utf-8").strip(), tools)
    except OSError as error:
        raise SettingsError(
            f"Cannot read {prompt}: {error.strerror}.", remedy="Write the agent's prompt there."
        ) from error
