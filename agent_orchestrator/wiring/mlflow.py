"""The mirror in MLflow, when one is configured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Self

from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs
from agent_orchestrator.agents.infrastructure.modelops.mlflow_mirror.records import (
    ModelRecord,
    RunRecord,
    job_run,
    model_record,
    rollout_run,
)
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.domain.jobs import TERMINAL, Job
from agent_orchestrator.errors import ConfigurationError
from agent_orchestrator.settings import Settings, forbid_mlflow_telemetry
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.jobs import JobStore
from agent_orchestrator.stores.models_yaml import ModelsYaml
from agent_orchestrator.stores.rollouts import RolloutStore


def compose_mirror(settings: Settings, desk: Jobs) -> Callable[[], None] | None:
    """Return the mirror's tick; None when MLFLOW_TRACKING_URI is not set.

    Raises ConfigurationError when MLflow's client is not installed.
    """
    uri = settings.mlflow_tracking_uri
    if uri is None:
        return None
    if find_spec("mlflow") is None:
        raise ConfigurationError(
            f"MLFLOW_TRACKING_URI={uri!r} is set, but MLflow's client is not installed.",
            remedy="Install it with: pip install 'code-chef[mlflow]'.",
        )
    forbid_mlflow_telemetry()
    from agent_orchestrator.agents.infrastructure.modelops.mlflow_mirror.mirror import MlflowMirror

    return MlflowMirror(uri, _Records.open(settings, desk).read).tick


@dataclass(frozen=True, slots=True)
class _Records:
    """Our records, as MLflow is to hold them."""

    desk: Jobs
    jobs: JobStore
    rollouts: RolloutStore
    registry: ModelRegistry
    models_yaml: ModelsYaml
    curves: dict[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)
    """Job → loss curve, read once."""

    @classmethod
    def open(cls, settings: Settings, desk: Jobs) -> Self:
        """Return the records of an installation."""
        database = Database(settings.database)
        return cls(
            desk=desk,
            jobs=JobStore(database),
            rollouts=RolloutStore(database),
            registry=ModelRegistry(settings.registry_json),
            models_yaml=ModelsYaml(settings.models_yaml),
        )

    def read(self) -> tuple[Iterator[RunRecord], Iterator[ModelRecord]]:
        """Return runs and registered models as they are now."""
        agents = self.registry.read().agents
        return self._runs(), (model_record(record) for record in agents.values())

    def _runs(self) -> Iterator[RunRecord]:
        for job in self.jobs.newest():
            if not job.request.get("offline"):  # what was asked to stay here does
                yield job_run(job, self._losses(job))
        for agent in self.models_yaml.read().agent_models:
            for state in self.rollouts.of(agent):
                yield rollout_run(state, self.rollouts.decisions(state.id))

    def _losses(self, job: Job) -> tuple[tuple[int, float], ...]:
        """Return a training's loss curve, once the job has ended."""
        if job.kind != "training" or job.status not in TERMINAL:
            return ()
        if job.id not in self.curves:
            self.curves[job.id] = self.desk.refresh(job.id)[1].losses
        return self.curves[job.id]
