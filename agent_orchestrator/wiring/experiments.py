"""Experiments through the serving code, with the answers of earlier runs kept."""

from __future__ import annotations

import logging
from functools import partial

from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.evaluation.call_prices import CallPrices
from agent_orchestrator.agents.infrastructure.modelops.experiments.plans import (
    Experiments,
    PreparedExperiment,
)
from agent_orchestrator.domain.experiments import ExperimentReport
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.defaults import load_evaluation_defaults
from agent_orchestrator.stores.response_cache import ResponseCache
from agent_orchestrator.wiring.targets import openrouter_models

log = logging.getLogger("chef.experiment")

_MEGABYTE = 1024 * 1024
_TOLD = 10
"""How often progress is told, at most."""


def call_prices(settings: Settings) -> CallPrices:
    """Return what calls cost at most, by OpenRouter's list and the configuration."""
    evaluation = load_evaluation_defaults(settings.config_dir)
    return CallPrices(
        openrouter_models(settings),
        usd_per_call=evaluation.usd_per_call,
        completion_tokens=evaluation.max_completion_tokens,
        max_turns=evaluation.max_turns,
    )


def compose_experiments(
    settings: Settings, catalogue: Catalogue, datasets: DatasetStore
) -> Experiments:
    """Compose the experiments. Raises SettingsError for broken defaults."""
    prices = call_prices(settings)
    return Experiments(
        catalogue=catalogue,
        datasets=datasets,
        prices=prices,
        carry_out=partial(_carry_out, settings, prices),
        templates_dir=settings.config_dir / "experiments",
        reports_dir=settings.reports_dir,
        max_completion_tokens=load_evaluation_defaults(settings.config_dir).max_completion_tokens,
    )


def answer_cache(settings: Settings) -> ResponseCache:
    """Return the store of paid answers."""
    most = load_evaluation_defaults(settings.config_dir).cache_mb * _MEGABYTE
    return ResponseCache(settings.state_dir / "cache" / "answers.db", most)


async def _carry_out(
    settings: Settings, prices: CallPrices, prepared: PreparedExperiment
) -> ExperimentReport:
    """Run a prepared experiment; langsmith and the HTTP client are loaded only now.

    Raises as ``ExperimentRunner.run``.
    """
    from agent_orchestrator.agents.infrastructure.modelops.evaluation.answer_cache import (
        CachedCaller,
    )
    from agent_orchestrator.agents.infrastructure.modelops.experiments.judging import AnswerJudge
    from agent_orchestrator.agents.infrastructure.modelops.experiments.runner import (
        ExperimentRunner,
    )
    from agent_orchestrator.wiring.model_access import direct_access
    from agent_orchestrator.wiring.model_answers import keeping_judge, model_caller

    defaults = load_evaluation_defaults(settings.config_dir)
    template, endpoints = prepared.template, prepared.endpoints
    store = None if prepared.fresh else answer_cache(settings)
    async with direct_access(settings, list(endpoints.values())) as complete:
        ask = CachedCaller(model_caller(complete), endpoints, store)
        judge = None
        if template.judge is not None:
            model = keeping_judge(ask, template.judge.model)
            judge = AnswerJudge(model, template.judge, defaults.concurrency)
        runner = ExperimentRunner(
            ask,
            defaults,
            prices={model: prices.price(endpoints[model]) for model in template.models},
            judge=judge,
        )
        return await runner.run(template, prepared.examples, _tell)


def _tell(done: int, total: int) -> None:
    if done * _TOLD // total != (done - 1) * _TOLD // total:
        log.info("%d of %d runs are done.", done, total)
