"""Which sources of examples and runs there are, and what they are reached with."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Source, Wanted
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.evolution import (
    Evolution,
    Plan,
    Stage,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.opening import Sources
from agent_orchestrator.agents.infrastructure.modelops.usecases.run_scores import (
    RunScores,
    ScoreRuns,
)
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.defaults import (
    DatasetDefaults,
    load_dataset_defaults,
    load_evaluation_defaults,
)
from agent_orchestrator.wiring.hub import open_hub

if TYPE_CHECKING:
    from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.langsmith_runs import (
        LangSmithRuns,
    )


def compose_sources(settings: Settings, defaults: DatasetDefaults) -> Sources:
    """Compose the sources; a service's client is loaded when its source is opened."""

    def langsmith_datasets(name: str, wanted: Wanted) -> Source:
        from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import (
            langsmith_client,
            langsmith_datasets,
        )

        kind = langsmith_datasets.LangSmithDatasets(
            lambda: langsmith_client.connect(settings.langsmith_endpoint, _langsmith_key(settings)),
            default_name=defaults.langsmith.dataset,
        )
        return kind.open(name, wanted)

    def langsmith_runs(name: str, wanted: Wanted) -> Source:
        return _langsmith_runs(settings, defaults).open(name, wanted)

    def hub(name: str, wanted: Wanted) -> Source:
        from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.hub import (
            HubDatasets,
        )

        return HubDatasets(open_hub(settings)).open(name, wanted)

    def evolution(public: str, wanted: Wanted) -> Source:
        return Evolution(_evolution_plan(defaults), sources.open).open(public, wanted)

    sources = Sources(
        {
            "langsmith": langsmith_datasets,
            "langsmith-runs": langsmith_runs,
            "hub": hub,
            "evolution": evolution,
        }
    )
    return sources


def score_runs(settings: Settings, catalogue: Catalogue, request: ScoreRuns) -> RunScores:
    """Score finished runs; what reads and scores them is loaded only now.

    Raises as ``RunScoring.report``.
    """
    from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.run_trees import (
        RunTrees,
    )
    from agent_orchestrator.agents.infrastructure.modelops.evaluation.run_scores import RunScoring

    runs = _langsmith_runs(settings, load_dataset_defaults(settings.config_dir))
    scoring = RunScoring(catalogue, RunTrees(runs), load_evaluation_defaults(settings.config_dir))
    return scoring.report(request)


def _langsmith_runs(settings: Settings, defaults: DatasetDefaults) -> LangSmithRuns:
    from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import (
        langsmith_client,
        langsmith_runs,
    )

    return langsmith_runs.LangSmithRuns(
        lambda: langsmith_client.connect(settings.langsmith_endpoint, _langsmith_key(settings)),
        feedback_keys=defaults.langsmith.feedback_keys,
        since=timedelta(days=defaults.langsmith.runs_since_days),
    )


def _evolution_plan(defaults: DatasetDefaults) -> Plan:
    evolution = defaults.evolution
    return Plan(
        own=evolution.own,
        public=evolution.public,
        stages=[
            Stage(name=stage.name, up_to=stage.up_to, own_share=stage.own_share)
            for stage in evolution.stages
        ],
        public_examples=evolution.public_examples,
        public_pool=evolution.public_pool,
    )


def _langsmith_key(settings: Settings) -> str | None:
    key = settings.langsmith_api_key
    return key.get_secret_value() if key else None
