"""The agents of this process, each with its model, its tools and its workspace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import BaseModel

from agent_orchestrator.agents._shared.asked_calls import Approvals, AskedCalls
from agent_orchestrator.agents._shared.base_agent import BaseAgent, Turn
from agent_orchestrator.agents._shared.commands import Commands, WorkspaceRules, load_rules
from agent_orchestrator.agents._shared.mcp_mapping import load_mapping
from agent_orchestrator.agents._shared.mcp_tools import McpTools, open_mcp_tools
from agent_orchestrator.agents._shared.profile import AgentProfile, load_profile
from agent_orchestrator.agents._shared.review_loop import Review, ReviewLoop
from agent_orchestrator.agents._shared.workspace import Workspace
from agent_orchestrator.agents._shared.workspace_tools import BUILT_IN, workspace_tools
from agent_orchestrator.errors import SettingsError
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.database import Database
from agent_orchestrator.wiring.agent_models import AgentModels, open_agent_models

_NO_WORKSPACE = (
    "You have no workspace: you cannot read, change or run files. Say so when a task needs it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """Makes agents; cheap, so that each piece of work can have agents of its own."""

    settings: Settings
    models: AgentModels
    rules: WorkspaceRules
    mcp: McpTools
    root: Path | None
    """The workspace, None when there is none."""
    turn: Turn = field(default_factory=asyncio.Lock)
    """Held by whoever works in it: the diff of one piece of work must be that of one."""

    def agent(
        self,
        name: str,
        root: Path | None = None,
        *,
        answer: type[BaseModel] | None = None,
        approvals: Approvals | None = None,
    ) -> BaseAgent:
        """Return an agent that works in ``root``, by default in the configured workspace.

        Without ``approvals`` it has no tool whose calls a person would have to approve. Those of
        the configured workspace take turns; who names ``root`` sees to that. Raises SettingsError
        for a broken tools.yaml, ConfigurationError for a workspace that is none or overlaps with
        what governs agents.
        """
        profile = load_profile(name)
        place = root or self.root
        outside = self.mcp.of(name, can_ask=approvals is not None)
        tools = list(outside.tools)
        if place is None:
            profile = replace(profile, prompt=f"{profile.prompt}\n\n{_NO_WORKSPACE}")
        else:
            workspace = self._workspace(place)
            commands = Commands(workspace, self.rules)
            tools = [*workspace_tools(workspace, commands, self._built_in(profile)), *tools]
        model = self.models.model(name)
        turn = self.turn if root is None and place else None
        asking = AskedCalls(name, outside.outward, approvals) if approvals else None
        return BaseAgent(
            profile,
            model,
            tools,
            answer=answer,
            asking=asking if outside.outward else None,
            notes=outside.missing,
            turn=turn,
        )

    def _built_in(self, profile: AgentProfile) -> list[str]:
        """Return the built-in tools that an agent names; the others are its MCP servers'."""
        named = [*profile.tools.core, *profile.tools.profile]
        servers = tuple(f"{server}_" for server in self.mcp.mapping.servers)
        unknown = [n for n in named if n not in BUILT_IN and not n.startswith(servers)]
        if unknown:
            raise SettingsError(
                f"tools.yaml of {profile.name!r} names an unknown tool: {unknown[0]!r}.",
                remedy=f"Built in are {', '.join(BUILT_IN)}; those of MCP servers begin with the "
                "server's name.",
            )
        return [name for name in named if name in BUILT_IN]

    def review_loop(
        self,
        root: Path,
        *,
        developer: str = "feature_dev",
        approvals: Approvals | None = None,
        tell: Callable[[str, str], None] = lambda _agent, _task: None,
    ) -> ReviewLoop:
        """Return the loop in which ``developer`` works and code_review decides."""
        return ReviewLoop(
            self.agent(developer, root, approvals=approvals),
            self.agent("code_review", root, answer=Review, approvals=approvals),
            Commands(self._workspace(root), self.rules),
            send_backs=self.rules.send_backs,
            judge=self.models.judge,
            tell=tell,
            turn=self.turn if root == self.root else None,
        )

    def _workspace(self, root: Path) -> Workspace:
        return Workspace(root, apart_from=[self.settings.state_dir, self.settings.config_dir])


@asynccontextmanager
async def open_team(settings: Settings, database: Database) -> AsyncIterator[Team]:
    """Open the team: its models, and the MCP servers of its tools.

    Raises ModelsYamlError, and SettingsError for a broken workspace.yaml or tool mapping.
    """
    rules = load_rules(settings.config_dir)
    mapping = load_mapping(settings.config_dir)
    async with (
        open_agent_models(settings, database) as models,
        open_mcp_tools(mapping, settings.secret) as mcp,
    ):
        yield Team(settings=settings, models=models, rules=rules, mcp=mcp, root=settings.workspace)
