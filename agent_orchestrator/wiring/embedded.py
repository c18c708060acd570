"""The embedded system: every use case in this process, on this machine, without account or key."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Authorisation
from agent_orchestrator.agents.infrastructure.modelops.backends import FollowsJobs
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.conversion import Conversions
from agent_orchestrator.agents.infrastructure.modelops.coordinator import Coordinator
from agent_orchestrator.agents.infrastructure.modelops.datasets.building import DatasetBuilding
from agent_orchestrator.agents.infrastructure.modelops.datasets.exports import DatasetExports
from agent_orchestrator.agents.infrastructure.modelops.datasets.reports import DatasetReports
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.evaluation.jobs import Evaluations
from agent_orchestrator.agents.infrastructure.modelops.experiments.plans import Experiments
from agent_orchestrator.agents.infrastructure.modelops.gate.candidate_server import CandidateServer
from agent_orchestrator.agents.infrastructure.modelops.gate.smoke_test import BATCH
from agent_orchestrator.agents.infrastructure.modelops.inventory import Inventory
from agent_orchestrator.agents.infrastructure.modelops.jobs.costs import Budget
from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs, Settler
from agent_orchestrator.agents.infrastructure.modelops.overview import OverviewReader
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.agents.infrastructure.modelops.rollouts.breakers import BreakerResets
from agent_orchestrator.agents.infrastructure.modelops.rollouts.deployment import Deployment
from agent_orchestrator.agents.infrastructure.modelops.rollouts.drills import Drills
from agent_orchestrator.agents.infrastructure.modelops.rollouts.hand_edits import HandEdits
from agent_orchestrator.agents.infrastructure.modelops.rollouts.monitoring import (
    RolloutMonitor,
    RolloutReports,
)
from agent_orchestrator.agents.infrastructure.modelops.rollouts.promotion import Promotions
from agent_orchestrator.agents.infrastructure.modelops.rollouts.retention import Retention
from agent_orchestrator.agents.infrastructure.modelops.rollouts.rollback import Rollbacks
from agent_orchestrator.agents.infrastructure.modelops.rollouts.timer import RolloutTimer
from agent_orchestrator.agents.infrastructure.modelops.rollouts.trajectory import Trajectories
from agent_orchestrator.agents.infrastructure.modelops.rollouts.transitions import Transitions
from agent_orchestrator.agents.infrastructure.modelops.targets.endpoint_care import EndpointCare
from agent_orchestrator.agents.infrastructure.modelops.targets.endpoint_control import (
    EndpointControl,
)
from agent_orchestrator.agents.infrastructure.modelops.training.base_models import BaseModels
from agent_orchestrator.agents.infrastructure.modelops.training.search import BACKEND as SEARCH
from agent_orchestrator.agents.infrastructure.modelops.training.search import Searches, settle_trial
from agent_orchestrator.agents.infrastructure.modelops.training.training import Training
from agent_orchestrator.agents.infrastructure.modelops.training.trial_models import TrialModels
from agent_orchestrator.agents.infrastructure.modelops.usecases.simulation import (
    CanarySimulated,
    SimulateCanary,
)
from agent_orchestrator.domain.budget import MonthlyLimits
from agent_orchestrator.domain.jobs import JobKind
from agent_orchestrator.domain.rollout import RolloutPolicy
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.serving.tracing import Tracer
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores import defaults
from agent_orchestrator.stores.approvals import ApprovalStore
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.health import HealthBoard
from agent_orchestrator.stores.job_events import JobEventStore
from agent_orchestrator.stores.jobs import JobStore
from agent_orchestrator.stores.journal import IntentJournal
from agent_orchestrator.stores.models_yaml import ModelsYaml
from agent_orchestrator.stores.outcomes import OutcomeStore
from agent_orchestrator.stores.rollouts import RolloutStore
from agent_orchestrator.stores.serving import ServingBoard
from agent_orchestrator.wiring import processes
from agent_orchestrator.wiring.backends import (
    compose_backends,
    pushing_backends,
    trackio_target,
)
from agent_orchestrator.wiring.conversions import compose_conversions, start_process
from agent_orchestrator.wiring.datasets import compose_reading
from agent_orchestrator.wiring.experiments import (
    call_prices,
    compose_experiments,
    uploads_to,
)
from agent_orchestrator.wiring.hub import open_hub, telling_the_hub
from agent_orchestrator.wiring.sources import score_runs
from agent_orchestrator.wiring.spaces import compose_space
from agent_orchestrator.wiring.targets import (
    compose_targets,
    inference_endpoints,
)
from agent_orchestrator.wiring.tracing import compose_tracer

log = logging.getLogger("chef")


DEFAULT_PROMPTS = ("Write a Python function that adds two numbers.", "Say what a mutex is.")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stores:
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


def compose(settings: Settings) -> Embedded:
    """Compose the embedded system. Raises SettingsError for broken defaults files."""
    stores = _open_stores(settings)
    catalogue = Catalogue(stores.models_yaml, stores.registry, settings.artifacts_dir)
    tracer = compose_tracer(settings)
    jobs = _compose_jobs(settings, stores, catalogue, tracer)
    rollouts = _compose_rollouts(settings, stores, catalogue, tracer)
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


def _compose_endpoint_care(settings: Settings, stores: _Stores) -> EndpointCare:
    wanted = defaults.load_endpoint_defaults(settings.config_dir).sleep_when_retired
    return EndpointCare(
        lambda: inference_endpoints(settings) if wanted else None,
        stores.models_yaml,
        stores.rollouts,
    )


def _open_stores(settings: Settings) -> _Stores:
    database = Database(settings.database)
    return _Stores(
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


@dataclass(frozen=True, slots=True)
class _JobParts:
    base_models: BaseModels
    desk: Jobs
    budget: Budget
    training: Training
    searches: Searches
    evaluations: Evaluations
    conversions: Conversions
    experiments: Experiments


def _compose_jobs(
    settings: Settings, stores: _Stores, catalogue: Catalogue, tracer: Tracer | None
) -> _JobParts:
    backends = compose_backends(settings, stores.jobs, tracer)
    settlers: dict[JobKind, Settler] = {}
    training_defaults = defaults.load_training_defaults(settings.config_dir)
    limits = training_defaults.limits
    budget = Budget(
        stores.jobs,
        MonthlyLimits(max_usd=limits.max_usd_per_month, max_hours=limits.max_hours_per_month),
    )
    followed: dict[str, FollowsJobs] = dict(backends)
    desk = Jobs(stores.jobs, followed, settlers, stores.audit, budget=budget)
    base_models = BaseModels(
        catalogue=catalogue,
        registry=stores.registry,
        defaults=training_defaults,
        default=settings.default_base_model,
        hub_facts=lambda model: open_hub(settings).base_model(model),
    )
    training = Training(
        jobs=desk,
        backends=backends,
        catalogue=catalogue,
        base_models=base_models,
        registry=stores.registry,
        datasets=stores.datasets,
        defaults=training_defaults,
        default_backend="hf_space" if settings.use_space else settings.default_backend,
        owner=settings.hub_org,
        pushing=pushing_backends(settings),
        trackio=trackio_target(settings),
    )
    evaluations = Evaluations(
        jobs=desk,
        start=partial(start_process, settings, "evaluation_process"),
        catalogue=catalogue,
        registry=stores.registry,
        datasets=stores.datasets,
        reports_dir=settings.reports_dir,
        prices=call_prices(settings),
        langsmith=uploads_to(settings),
    )
    # The desk settles what these make, and they start their jobs at the desk.
    settlers["training"] = training.register
    settlers["trial"] = settle_trial
    models = TrialModels(backends, catalogue, lambda model: open_hub(settings).remove(model))
    searches = Searches(
        jobs=desk,
        store=stores.jobs,
        training=training,
        follow=lambda job_id: start_process(settings, "search_process", job_id, {}),
        discard=models.discard,
    )
    settlers["search"] = searches.settle
    followed[SEARCH] = searches
    settlers["evaluation"] = telling_the_hub(settings, stores.registry, evaluations.record)
    conversions = compose_conversions(settings, desk, catalogue, stores.registry, stores.datasets)
    settlers["conversion"] = conversions.register
    experiments = compose_experiments(settings, desk, catalogue, stores.datasets)
    settlers["experiment"] = experiments.record
    return _JobParts(
        base_models, desk, budget, training, searches, evaluations, conversions, experiments
    )


@dataclass(frozen=True, slots=True)
class _RolloutParts:
    deployment: Deployment
    promotions: Promotions
    rollbacks: Rollbacks
    reports: RolloutReports
    timer: RolloutTimer


def _compose_rollouts(
    settings: Settings, stores: _Stores, catalogue: Catalogue, tracer: Tracer | None
) -> _RolloutParts:
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
    return _RolloutParts(
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


def _simulate(request: SimulateCanary, policy: RolloutPolicy) -> CanarySimulated:
    """Simulate a canary; numpy, and matplotlib for a picture, are loaded only now."""
    from agent_orchestrator.agents.infrastructure.modelops.simulation.canaries import simulate

    if not request.plot:
        return simulate(request, policy)
    from agent_orchestrator.agents.infrastructure.modelops.simulation.plots import draw

    return simulate(request, policy, draw)


def _alert(line: str) -> None:
    log.error("%s", line)


def _compose_coordinator(
    settings: Settings,
    stores: _Stores,
    catalogue: Catalogue,
    jobs: _JobParts,
    rollouts: _RolloutParts,
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


def _open_gate(
    settings: Settings, tracer: Tracer | None, endpoint: Endpoint, context_tokens: int | None
) -> AbstractAsyncContextManager[CandidateServer]:
    from agent_orchestrator.wiring.gate_access import open_gate  # a rollback needs no HTTP client

    return open_gate(settings, endpoint, context_tokens, tracer)


def _sample_prompts(datasets: DatasetStore, agent: str) -> Sequence[str]:
    """Return held-out tasks of the agent's newest data set, else two general ones."""
    own = (dataset for dataset in datasets.list() if dataset.agent == agent)
    newest = next(own, None)
    tasks = [e.task for e in newest.examples("eval")[:BATCH]] if newest else []
    return tasks or DEFAULT_PROMPTS
