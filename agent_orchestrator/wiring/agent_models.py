"""The models of the agents in this process: the router, and what belongs to it.

As a gateway, only without HTTP: the agents' calls feel a canary, are recorded, and count in
verdicts; drills wait for this process too.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from agent_orchestrator.agents._shared.model_calls import ModelCall
from agent_orchestrator.domain.outcomes import Feedback
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.serving.chat_model import RoutedChatModel
from agent_orchestrator.serving.outcome_log import OutcomeLog
from agent_orchestrator.serving.router import Router
from agent_orchestrator.serving.upstream import Upstream, key_variable
from agent_orchestrator.serving.watching import followed
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.living import kept_alive
from agent_orchestrator.stores.models_yaml import RoutingTableSource
from agent_orchestrator.stores.outcomes import OutcomeStore
from agent_orchestrator.wiring.serving_reports import on_the_boards
from agent_orchestrator.wiring.tracing import compose_tracer

log = logging.getLogger("chef.agents")

_OPENROUTER = Settings.model_fields["openrouter_base_url"].default


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentModels:
    """Gives agents their models, and takes judgements of their work."""

    settings: Settings
    tables: RoutingTableSource
    router: Router
    outcomes: OutcomeLog
    clock: Callable[[], float] = time.time

    def model(self, agent: str) -> RoutedChatModel:
        """Return the agent's model: at every call the arm that is its conversation's."""
        return RoutedChatModel(agent=agent, router=self.router)

    def obstacle(self, agent: str) -> str | None:
        """Return why the agent has no model that could answer, None when it has one."""
        table = self.tables.current
        if agent not in table.agent_models:
            return f"{agent} has no model in {self.settings.models_yaml}."
        stable = table.endpoint(table.arms(agent)[0].model)
        variable = key_variable(stable)
        if variable is None or self.settings.secret(variable) or self._needs_no_key(stable):
            return None
        return f"{agent}'s model {stable.model} needs a key: set {variable}."

    def judge(self, call: ModelCall, *, source: str, score: float) -> None:
        """Record a judgement (0 … 1) of the work that this call ended, for the arm that did it.

        One piece of work, one call, one judgement by a source: its calls share their fate, and
        evidence that counted it several times would look surer than it is. Nobody waits for it;
        what cannot be stored is counted by the outcome log.
        """
        feedback = Feedback(call.request_id, score, source, self.clock())
        self.outcomes.record_feedback(feedback)
        self.router.judged(feedback)

    def _needs_no_key(self, endpoint: Endpoint) -> bool:
        """Return whether OpenRouter is somebody else here: a proxy that has the key itself."""
        return endpoint.api_key_env is None and self.settings.openrouter_base_url != _OPENROUTER


@asynccontextmanager
async def open_agent_models(settings: Settings, database: Database) -> AsyncIterator[AgentModels]:
    """Open the router of this process; enter it on the event loop that the agents run on.

    Raises ModelsYamlError when there is no valid models.yaml to begin with.
    """
    tables = RoutingTableSource(
        settings.models_yaml,
        on_change=lambda _table: router.follow(),
        on_alert=lambda error: log.error("%s", error),
    )
    process = f"agents-{os.getpid()}-{secrets.token_hex(2)}"
    outcomes = OutcomeLog(OutcomeStore(database))
    upstream = Upstream(
        secret=settings.secret,
        openrouter_base_url=settings.openrouter_base_url,
        local_socket=settings.model_socket,
        connections=settings.gateway_concurrent,
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(upstream)
        router = Router(tables, upstream, outcomes, tracer=compose_tracer(settings))
        await stack.enter_async_context(outcomes)
        await stack.enter_async_context(router)
        await stack.enter_async_context(followed(tables, "models.yaml"))
        await stack.enter_async_context(
            on_the_boards(router, database, process, on_end=_boards_ended)
        )
        stack.enter_context(kept_alive(settings.routers_dir, process.encode()))
        yield AgentModels(settings=settings, tables=tables, router=router, outcomes=outcomes)


def _boards_ended() -> None:
    log.error("This process reports no more what it serves; drills will name it.")
