"""What serves whom, what waits and what runs: the answer of ``chef status``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.domain.routing import Arm
from agent_orchestrator.stores.approvals import ApprovalStore
from agent_orchestrator.stores.jobs import JobStore
from agent_orchestrator.stores.journal import IntentJournal
from agent_orchestrator.stores.models_yaml import ModelsYaml


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One of the serving processes."""

    name: str
    state: str
    """running or stopped; of a running gateway or API: ready, not_ready, or silent (no answer)."""
    address: str | None = None
    """``host:port`` where it has one."""
    pid: int | None = None
    detail: str = ""
    """Why it is not ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentServing:
    """Who answers for one agent."""

    agent: str
    model: str
    version: str | None
    newest: str | None
    """Its newest version, whether or not it serves; None before there is one."""
    arms: tuple[Arm, ...]
    rollout_id: str | None
    phase: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The system at a glance."""

    agents: tuple[AgentServing, ...]
    processes: tuple[ProcessState, ...]
    pending_approvals: int
    running_jobs: int
    unfinished_intents: int
    """Deployments that were cut off and will be finished by the next one or by the timer."""


class OverviewReader:
    """Reads the overview."""

    def __init__(
        self,
        *,
        models_yaml: ModelsYaml,
        catalogue: Catalogue,
        approvals: ApprovalStore,
        jobs: JobStore,
        journal: IntentJournal,
        processes: Callable[[], Sequence[ProcessState]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._yaml = models_yaml
        self._catalogue = catalogue
        self._approvals = approvals
        self._jobs = jobs
        self._journal = journal
        self._processes = processes
        self._clock = clock

    def read(self) -> Overview:
        """Return the present state. Raises ModelsYamlError, RegistryError for a broken file."""
        return Overview(
            agents=self.agents(),
            processes=tuple(self._processes()),
            pending_approvals=len(self._approvals.pending(self._clock())),
            running_jobs=len(self._jobs.newest(status="running")),
            unfinished_intents=len(self._journal.pending()),
        )

    def agents(self) -> tuple[AgentServing, ...]:
        """Return who answers for whom; raises as ``read``."""
        table = self._yaml.read()
        agents = []
        for agent in table.agent_models:
            rollout = table.rollouts.get(agent)
            serving = self._catalogue.serving(agent)
            newest = self._catalogue.newest(agent)
            agents.append(
                AgentServing(
                    agent=agent,
                    model=serving.model,
                    version=serving.version,
                    newest=newest.version if newest else None,
                    arms=table.arms(agent),
                    rollout_id=rollout.id if rollout else None,
                    phase=rollout.phase if rollout else None,
                )
            )
        return tuple(agents)
