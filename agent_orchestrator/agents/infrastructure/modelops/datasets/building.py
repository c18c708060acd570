"""Building a data set: from a request to examples on disk that have been checked."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.datasets.reports import (
    Reading,
    finding_of,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Source
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import Dataset, DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import (
    BuildDataset,
    DatasetBuilt,
)
from agent_orchestrator.stores.audit import AuditLog


class DatasetBuilding:
    """Plans and builds data sets."""

    def __init__(
        self,
        reading: Reading,
        datasets: DatasetStore,
        audit: AuditLog,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._reading = reading
        self._datasets = datasets
        self._audit = audit
        self._clock = clock

    def plan(self, request: BuildDataset, caller: Caller) -> Plan:
        """Open the source and plan the data set; a dry run reads and checks it.

        Raises UnknownAgentError, and what opening the source raises.
        """
        source = self._reading.open(request)
        agent = request.agent

        def build() -> DatasetBuilt:
            recipe = self._reading.recipe(request)
            dataset = self._datasets.build(agent, source, name=request.name, recipe=recipe)
            self._audit.append(
                self._clock(), caller.name, "dataset_built", agent, {"dataset": dataset.id}
            )
            return _built(dataset)

        async def act(_approval_id: str | None) -> DatasetBuilt:
            return await anyio.to_thread.run_sync(build)

        return Plan(
            summary=f"Build a data set for {agent} from {source.origin}.",
            act=act,
            details=self._checked(source, request) if request.dry_run else {},
        )

    def _checked(self, source: Source, request: BuildDataset) -> dict[str, Any]:
        """Return what building would find and make; raise why it could not."""
        draft = self._datasets.check(source, recipe=self._reading.recipe(request))
        if draft.fault is not None:
            raise draft.fault
        return {
            "examples": draft.profile.examples,
            "counts": {name: split.count for name, split in draft.splits.items()},
            "findings": [finding.message for finding in draft.findings],
        }


def _built(dataset: Dataset) -> DatasetBuilt:
    return DatasetBuilt(
        dataset=dataset.id,
        agent=dataset.agent,
        counts=dataset.counts,
        dataset_hash=dataset.hash,
        findings=[finding_of(found) for found in dataset.findings],
        path=str(dataset.folder),
    )
