"""Experiments as jobs, and the answers that they and evaluations keep."""

from __future__ import annotations

from functools import partial

from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.evaluation.call_prices import CallPrices
from agent_orchestrator.agents.infrastructure.modelops.experiments.plans import Experiments
from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs, StartJob
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.defaults import load_evaluation_defaults
from agent_orchestrator.stores.response_cache import ResponseCache
from agent_orchestrator.wiring.conversions import start_process
from agent_orchestrator.wiring.targets import openrouter_models

_MEGABYTE = 1024 * 1024


def call_prices(settings: Settings) -> CallPrices:
    """Return what calls cost at most, by OpenRouter's list and the configuration."""
    evaluation = load_evaluation_defaults(settings.config_dir)
    return CallPrices(
        openrouter_models(settings),
        usd_per_call=evaluation.usd_per_call,
        completion_tokens=evaluation.max_completion_tokens,
        max_turns=evaluation.max_turns,
    )


def uploads_to(settings: Settings) -> str | None:
    """Return the address that experiments are uploaded to, None when they are not."""
    wanted = load_evaluation_defaults(settings.config_dir).upload
    return settings.langsmith_endpoint if wanted and settings.langsmith_api_key else None


def compose_experiments(
    settings: Settings,
    jobs: Jobs,
    catalogue: Catalogue,
    datasets: DatasetStore,
    *,
    start: StartJob | None = None,
) -> Experiments:
    """Compose the experiments; ``start`` begins a job, by default as a process of its own.

    Raises SettingsError for broken defaults.
    """
    return Experiments(
        jobs=jobs,
        start=start or partial(start_process, settings, "experiment_process"),
        catalogue=catalogue,
        datasets=datasets,
        prices=call_prices(settings),
        templates_dir=settings.config_dir / "experiments",
        reports_dir=settings.reports_dir,
        max_completion_tokens=load_evaluation_defaults(settings.config_dir).max_completion_tokens,
        langsmith=uploads_to(settings),
    )


def answer_cache(settings: Settings) -> ResponseCache:
    """Return the store of paid answers."""
    most = load_evaluation_defaults(settings.config_dir).cache_mb * _MEGABYTE
    return ResponseCache(settings.state_dir / "cache" / "answers.db", most)
