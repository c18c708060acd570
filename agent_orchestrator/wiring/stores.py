"""Where everything is kept."""

from __future__ import annotations

from dataclasses import dataclass

from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.approvals import ApprovalStore
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.health import HealthBoard
from agent_orchestrator.stores.jobs import JobStore
from agent_orchestrator.stores.journal import IntentJournal
from agent_orchestrator.stores.models_yaml import ModelsYaml
from agent_orchestrator.stores.outcomes import OutcomeStore
from agent_orchestrator.stores.rollouts import RolloutStore
from agent_orchestrator.stores.serving import ServingBoard


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where everything is kept."""

    database: Database
    models_yaml: ModelsYaml
    registry: ModelRegistry
    datasets: DatasetStore
    approvals: ApprovalStore
    audit: AuditLog
    jobs: JobStore
    journal: IntentJournal
    outcomes: OutcomeStore
    rollouts: RolloutStore
    health: HealthBoard
    serving: ServingBoard


def open_stores(settings: Settings) -> Stores:
    """Open every store; none is read yet."""
    database = Database(settings.database)
    return Stores(
        database=database,
        models_yaml=ModelsYaml(settings.models_yaml),
        registry=ModelRegistry(settings.registry_json),
        datasets=DatasetStore(settings.datasets_dir),
        approvals=ApprovalStore(database),
        audit=AuditLog(database),
        jobs=JobStore(database),
        journal=IntentJournal(database),
        outcomes=OutcomeStore(database),
        rollouts=RolloutStore(database),
        health=HealthBoard(database),
        serving=ServingBoard(database),
    )
