"""Who serves whom: deployments, promotions, rollbacks, and what watches them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial

from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.gate.candidate_server import CandidateServer
from agent_orchestrator.agents.infrastructure.modelops.gate.smoke_test import BATCH
from agent_orchestrator.agents.infrastructure.modelops.rollouts.deployment import Deployment
from agent_orchestrator.agents.infrastructure.modelops.rollouts.drills import Drills
from agent_orchestrator.agents.infrastructure.modelops.rollouts.hand_edits import HandEdits
from agent_orchestrator.agents.infrastructure.modelops.rollouts.monitoring import (
    RolloutMonitor,
    RolloutReports,
)
from agent_orchestrator.agents.infrastructure.modelops.rollouts.promotion import Promotions
from agent_orchestrator.agents.infrastructure.modelops.rollouts.rollback import Rollbacks
from agent_orchestrator.agents.infrastructure.modelops.rollouts.timer import RolloutTimer
from agent_orchestrator.agents.infrastructure.modelops.rollouts.transitions import Transitions
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.serving.tracing import Tracer
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores import defaults
from agent_orchestrator.wiring import processes
from agent_orchestrator.wiring.stores import Stores
from agent_orchestrator.wiring.targets import (
    compose_targets,
)

log = logging.getLogger("chef")

DEFAULT_PROMPTS = ("Write a Python function that adds two numbers.", "Say what a mutex is.")


@dataclass(frozen=True, slots=True)
class RolloutParts:
    """What changes who serves, and what watches it."""

    deployment: Deployment
    promotions: Promotions
    rollbacks: Rollbacks
    reports: RolloutReports
    timer: RolloutTimer


def compose_rollouts(
    settings: Settings, stores: Stores, catalogue: Catalogue, tracer: Tracer | None
) -> RolloutParts:
    """Compose what changes who serves. Raises SettingsError for broken defaults."""
    transitions = Transitions(
        models_yaml=stores.models_yaml,
        registry=stores.registry,
        rollouts=stores.rollouts,
        journal=stores.journal,
        audit=stores.audit,
        position=stores.outcomes.position,
        lock=lambda timeout: stores.database.exclusive("deployment", timeout),
    )
    drills = Drills(
        models_yaml=stores.models_yaml,
        transitions=transitions,
        rollouts=stores.rollouts,
        board=stores.serving,
        audit=stores.audit,
        processes=partial(processes.serving_now, settings),
    )
    hand_edits = HandEdits(stores.models_yaml, transitions, _alert)
    monitor = RolloutMonitor(stores.outcomes, stores.rollouts)
    reports = RolloutReports(monitor, stores.rollouts, stores.outcomes, stores.health, catalogue)
    evaluation = defaults.load_evaluation_defaults(settings.config_dir)
    return RolloutParts(
        deployment=Deployment(
            catalogue=catalogue,
            rollouts=stores.rollouts,
            transitions=transitions,
            targets=compose_targets(settings),
            open_gate=partial(_open_gate, settings, tracer),
            drills=drills,
            load_policy=lambda changes: defaults.load_rollout_policy(settings.config_dir, changes),
            sample_prompts=lambda agent: _sample_prompts(stores.datasets, agent),
            evaluation_max_age_hours=evaluation.max_age_hours,
            gateway_url=f"http://{settings.gateway_host}:{settings.gateway_port}/v1",
        ),
        promotions=Promotions(
            catalogue=catalogue,
            rollouts=stores.rollouts,
            transitions=transitions,
            hand_edits=hand_edits,
            report=reports.report,
        ),
        rollbacks=Rollbacks(
            catalogue=catalogue,
            registry=stores.registry,
            rollouts=stores.rollouts,
            transitions=transitions,
            drills=drills,
        ),
        reports=reports,
        timer=RolloutTimer(
            monitor=monitor,
            rollouts=stores.rollouts,
            transitions=transitions,
            hand_edits=hand_edits,
            models_yaml=stores.models_yaml,
            alert=_alert,
        ),
    )


def _alert(line: str) -> None:
    log.error("%s", line)


def _open_gate(
    settings: Settings, tracer: Tracer | None, endpoint: Endpoint, context_tokens: int | None
) -> AbstractAsyncContextManager[CandidateServer]:
    from agent_orchestrator.wiring.gate_access import open_gate  # a rollback needs no HTTP client

    return open_gate(settings, endpoint, context_tokens, tracer)


def _sample_prompts(datasets: DatasetStore, agent: str) -> Sequence[str]:
    """Return held-out tasks of the agent's newest data set, else two general ones."""
    newest = next(iter(datasets.list(agent)), None)
    tasks = [e.task for e in newest.examples("eval")[:BATCH]] if newest else []
    return tasks or DEFAULT_PROMPTS
