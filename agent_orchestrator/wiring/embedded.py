"""The embedded system: every use case in this process, on this machine, without account or key."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Authorisation
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.coordinator import Coordinator
from agent_orchestrator.agents.infrastructure.modelops.datasets.building import DatasetBuilding
from agent_orchestrator.agents.infrastructure.modelops.datasets.exports import DatasetExports
from agent_orchestrator.agents.infrastructure.modelops.datasets.reports import DatasetReports
from agent_orchestrator.agents.infrastructure.modelops.inventory import Inventory
from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs
from agent_orchestrator.agents.infrastructure.modelops.overview import OverviewReader
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.agents.infrastructure.modelops.rollouts.breakers import BreakerResets
from agent_orchestrator.agents.infrastructure.modelops.rollouts.monitoring import (
    RolloutReports,
)
from agent_orchestrator.agents.infrastructure.modelops.rollouts.retention import Retention
from agent_orchestrator.agents.infrastructure.modelops.rollouts.timer import RolloutTimer
from agent_orchestrator.agents.infrastructure.modelops.rollouts.trajectory import Trajectories
from agent_orchestrator.agents.infrastructure.modelops.targets.endpoint_care import EndpointCare
from agent_orchestrator.agents.infrastructure.modelops.targets.endpoint_control import (
    EndpointControl,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.simulation import (
    CanarySimulated,
    SimulateCanary,
)
from agent_orchestrator.domain.rollout import RolloutPolicy
from agent_orchestrator.serving.tracing import Tracer
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores import defaults
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.job_events import JobEventStore
from agent_orchestrator.stores.jobs import JobStore
from agent_orchestrator.stores.outcomes import OutcomeStore
from agent_orchestrator.stores.rollouts import RolloutStore
from agent_orchestrator.wiring import processes
from agent_orchestrator.wiring.datasets import compose_reading
from agent_orchestrator.wiring.jobs import JobParts, compose_jobs
from agent_orchestrator.wiring.rollouts import RolloutParts, compose_rollouts
from agent_orchestrator.wiring.sources import score_runs
from agent_orchestrator.wiring.spaces import compose_space
from agent_orchestrator.wiring.stores import Stores, open_stores
from agent_orchestrator.wiring.targets import (
    inference_endpoints,
)
from agent_orchestrator.wiring.tracing import compose_tracer


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """What the doors of this process need."""

    coordinator: Coordinator
    overview: OverviewReader
    registry: ModelRegistry
    jobs: JobStore
    job_desk: Jobs
    job_events: JobEventStore
    audit: AuditLog
    rollouts: RolloutStore
    rollout_reports: RolloutReports
    trajectories: Trajectories
    outcomes: OutcomeStore
    timer: RolloutTimer
    endpoint_care: EndpointCare
    retention: Retention


def compose(settings: Settings) -> Embedded:
    """Compose the embedded system. Raises SettingsError for broken defaults files."""
    stores = open_stores(settings)
    catalogue = Catalogue(stores.models_yaml, stores.registry, settings.artifacts_dir)
    tracer = compose_tracer(settings)
    jobs = compose_jobs(settings, stores, catalogue, tracer)
    rollouts = compose_rollouts(settings, stores, catalogue, tracer)
    return Embedded(
        coordinator=_compose_coordinator(settings, stores, catalogue, jobs, rollouts, tracer),
        overview=OverviewReader(
            models_yaml=stores.models_yaml,
            catalogue=catalogue,
            approvals=stores.approvals,
            jobs=stores.jobs,
            journal=stores.journal,
            processes=lambda: processes.look(settings, stores.database),
        ),
        registry=stores.registry,
        jobs=stores.jobs,
        job_desk=jobs.desk,
        job_events=JobEventStore(stores.database),
        audit=stores.audit,
        rollouts=stores.rollouts,
        rollout_reports=rollouts.reports,
        trajectories=Trajectories(stores.outcomes, stores.rollouts),
        outcomes=stores.outcomes,
        timer=rollouts.timer,
        endpoint_care=_compose_endpoint_care(settings, stores),
        retention=Retention(stores.outcomes, stores.audit, settings.outcome_retention_days),
    )


def _compose_endpoint_care(settings: Settings, stores: Stores) -> EndpointCare:
    wanted = defaults.load_endpoint_defaults(settings.config_dir).sleep_when_retired
    return EndpointCare(
        lambda: inference_endpoints(settings) if wanted else None,
        stores.models_yaml,
        stores.rollouts,
    )


def _simulate(request: SimulateCanary, policy: RolloutPolicy) -> CanarySimulated:
    """Simulate a canary; numpy, and matplotlib for a picture, are loaded only now."""
    from agent_orchestrator.agents.infrastructure.modelops.simulation.canaries import simulate
    from agent_orchestrator.agents.infrastructure.modelops.simulation.curves import curves

    trace = curves if request.curves else None
    if not request.plot:
        return simulate(request, policy, trace=trace)
    from agent_orchestrator.agents.infrastructure.modelops.simulation.plots import draw

    return simulate(request, policy, draw, trace)


def _compose_coordinator(
    settings: Settings,
    stores: Stores,
    catalogue: Catalogue,
    jobs: JobParts,
    rollouts: RolloutParts,
    tracer: Tracer | None,
) -> Coordinator:
    inventory = Inventory(catalogue, stores.registry)
    reading = compose_reading(settings, catalogue, jobs.base_models)
    reports = DatasetReports(reading, stores.datasets, settings.reports_dir / "datasets")
    policy = defaults.load_rollout_policy(settings.config_dir, {})
    limits = defaults.load_training_defaults(settings.config_dir).limits
    endpoints = EndpointControl(
        partial(inference_endpoints, settings), stores.models_yaml, stores.audit
    )
    space = compose_space(settings, stores.audit, limits.max_hours)
    return Coordinator(
        readers={
            "monitor_training_job": jobs.desk.report,
            "rollout_status": lambda request: rollouts.reports.report(request.agent),
            "simulate_canary": lambda request: _simulate(request, policy),
            "list_agent_models": inventory.list_models,
            "list_costs": jobs.budget.report,
            "list_endpoints": endpoints.list,
            "endpoint_status": endpoints.status,
            "space_status": space.status,
            "check_dataset": reports.check,
            "show_dataset": reports.show,
            "list_datasets": reports.list,
            "score_runs": partial(score_runs, settings, catalogue),
        },
        planners={
            "build_dataset": DatasetBuilding(reading, stores.datasets, stores.audit).plan,
            "export_dataset": DatasetExports(stores.datasets).plan,
            "train_subagent_model": jobs.training.plan,
            "search_hyperparameters": jobs.searches.plan,
            "cancel_training_job": jobs.desk.plan_cancel,
            "resume_training_job": jobs.desk.plan_resume,
            "evaluate_model_vs_baseline": jobs.evaluations.plan,
            "deploy_model_to_agent": rollouts.deployment.plan_deploy,
            "promote_canary": rollouts.promotions.plan,
            "rollback_deployment": rollouts.rollbacks.plan,
            "reset_breaker": BreakerResets(catalogue, stores.health, stores.audit).plan,
            "convert_model_to_gguf": jobs.conversions.plan,
            "wake_endpoint": endpoints.plan_wake,
            "sleep_endpoint": endpoints.plan_sleep,
            "deploy_space": space.plan_deploy,
            "pause_space": space.plan_pause,
            "restart_space": space.plan_restart,
            "run_experiment": jobs.experiments.plan,
        },
        authorisation=Authorisation(
            stores.approvals,
            stores.audit,
            approval_above_usd=limits.approval_above_usd,
            requester_may_approve=settings.requester_may_approve,
        ),
        tracer=tracer,
    )
