"""Building a data set: from a request to examples on disk that have been checked."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.datasets import DatasetStore, load_source
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import (
    BuildDataset,
    DatasetBuilt,
    Finding,
)
from agent_orchestrator.stores.audit import AuditLog


class DatasetBuilding:
    """Plans and builds data sets."""

    def __init__(
        self,
        catalogue: Catalogue,
        datasets: DatasetStore,
        audit: AuditLog,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalogue = catalogue
        self._datasets = datasets
        self._audit = audit
        self._clock = clock

    def plan(self, request: BuildDataset, caller: Caller) -> Plan:
        """Read the source and plan the data set. Raises UnknownAgentError, DatasetError."""
        agent = self._catalogue.check_agent(request.agent)
        source = load_source(request.source, agent, filters=request.filters, seed=request.seed)
        examples = len(source.examples) + len(source.held_out or ())

        def build() -> DatasetBuilt:
            dataset = self._datasets.build(agent, source, name=request.name, seed=request.seed)
            self._audit.append(
                self._clock(), caller.name, "dataset_built", agent, {"dataset": dataset.id}
            )
            return DatasetBuilt(
                dataset=dataset.id,
                agent=agent,
                counts=dataset.counts,
                dataset_hash=dataset.hash,
                findings=[
                    Finding(
                        kind=finding.kind,
                        count=finding.count,
                        message=finding.message,
                        suggestion=finding.suggestion,
                        examples=list(finding.examples),
                    )
                    for finding in dataset.findings
                ],
                path=str(dataset.folder),
            )

        async def act(_approval_id: str | None) -> DatasetBuilt:
            return await anyio.to_thread.run_sync(build)

        return Plan(
            summary=f"Build a data set for {agent} from {examples} examples of {source.origin}.",
            act=act,
            details={"examples": examples},
        )
