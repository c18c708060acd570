"""Everything that runs as a job: trainings, searches, evaluations, conversions, experiments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from agent_orchestrator.agents.infrastructure.modelops.backends import FollowsJobs
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.conversion import Conversions
from agent_orchestrator.agents.infrastructure.modelops.evaluation.jobs import Evaluations
from agent_orchestrator.agents.infrastructure.modelops.experiments.plans import Experiments
from agent_orchestrator.agents.infrastructure.modelops.jobs.costs import Budget
from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs, Settler
from agent_orchestrator.agents.infrastructure.modelops.training.base_models import BaseModels
from agent_orchestrator.agents.infrastructure.modelops.training.preparation import Preparation
from agent_orchestrator.agents.infrastructure.modelops.training.pricing import Pricing
from agent_orchestrator.agents.infrastructure.modelops.training.search import BACKEND as SEARCH
from agent_orchestrator.agents.infrastructure.modelops.training.search import Searches, settle_trial
from agent_orchestrator.agents.infrastructure.modelops.training.training import Training
from agent_orchestrator.agents.infrastructure.modelops.training.trial_models import TrialModels
from agent_orchestrator.domain.budget import MonthlyLimits
from agent_orchestrator.domain.jobs import JobKind
from agent_orchestrator.serving.tracing import Tracer
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores import defaults
from agent_orchestrator.wiring.backends import (
    compose_backends,
    pushing_backends,
    trackio_target,
)
from agent_orchestrator.wiring.conversions import compose_conversions, start_process
from agent_orchestrator.wiring.experiments import (
    call_prices,
    compose_experiments,
    uploads_to,
)
from agent_orchestrator.wiring.hub import open_hub, telling_the_hub
from agent_orchestrator.wiring.stores import Stores


@dataclass(frozen=True, slots=True)
class JobParts:
    """What jobs are planned and followed with."""

    base_models: BaseModels
    desk: Jobs
    budget: Budget
    training: Training
    searches: Searches
    evaluations: Evaluations
    conversions: Conversions
    experiments: Experiments


def compose_jobs(
    settings: Settings, stores: Stores, catalogue: Catalogue, tracer: Tracer | None
) -> JobParts:
    """Compose the desk of jobs and what plans them. Raises SettingsError for broken defaults."""
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
    preparation = Preparation(
        pricing=Pricing(training_defaults, desk),
        backends=backends,
        catalogue=catalogue,
        base_models=base_models,
        datasets=stores.datasets,
        defaults=training_defaults,
        default_backend="hf_space" if settings.use_space else settings.default_backend,
        owner=settings.hub_org,
    )
    training = Training(
        preparation=preparation,
        jobs=desk,
        backends=backends,
        registry=stores.registry,
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
        preparation=preparation,
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
    return JobParts(
        base_models, desk, budget, training, searches, evaluations, conversions, experiments
    )
