"""How results look: JSON on stdout for machines, tables and sentences for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from agent_orchestrator.agents.infrastructure.modelops.usecases import sentences
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import PlannedChange, Result
from agent_orchestrator.agents.infrastructure.modelops.usecases.conversion import (
    ConversionResult,
    ConversionStarted,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.costs import CostReport
from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import (
    DatasetBuilt,
    DatasetExported,
    DatasetList,
    DatasetReport,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    Deployed,
    RolledBack,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.endpoints import EndpointList
from agent_orchestrator.agents.infrastructure.modelops.usecases.evaluation import (
    EvaluationResult,
    EvaluationStarted,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.experiments import ExperimentStarted
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import JobReport
from agent_orchestrator.agents.infrastructure.modelops.usecases.models import AgentModels
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import RolloutReport
from agent_orchestrator.agents.infrastructure.modelops.usecases.run_scores import RunScores
from agent_orchestrator.agents.infrastructure.modelops.usecases.search import SearchStarted
from agent_orchestrator.agents.infrastructure.modelops.usecases.simulation import CanarySimulated
from agent_orchestrator.agents.infrastructure.modelops.usecases.spaces import SpaceReport
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import TrainingStarted
from agent_orchestrator.cli.showing.datasets import (
    show_dataset_built,
    show_dataset_exported,
    show_dataset_list,
    show_dataset_report,
)
from agent_orchestrator.cli.showing.evaluation import (
    show_evaluation_result,
    show_run_scores,
)
from agent_orchestrator.cli.showing.jobs import (
    show_conversion_result,
    show_cost_report,
    show_job_report,
)
from agent_orchestrator.cli.showing.models import (
    show_agent_models,
    show_endpoint_list,
    show_space_report,
)
from agent_orchestrator.cli.showing.rollouts import (
    show_canary_simulated,
    show_deployed,
    show_rolled_back,
    show_rollout_report,
)


def show(result: Result, *, as_json: bool) -> None:
    """Print one result."""
    if as_json:
        click.echo(result.model_dump_json())
    else:
        _SHOWN.get(type(result), _show_fields)(result)


def _show_fields(result: Result) -> None:
    """Print a result as a list of its fields."""
    for name, value in result.model_dump(mode="json").items():
        if value not in (None, "", [], {}):
            click.echo(f"{name.replace('_', ' ')}: {value}")


def _show_planned(result: PlannedChange) -> None:
    click.echo(f"Would: {result.summary}")
    per_hour = " an hour" if result.cost_is_per_hour else ""
    click.echo(f"Cost: ${result.estimated_cost_usd:.2f}{per_hour}")
    click.echo(f"Approval: {'needed' if result.approval_needed else 'not needed'}")
    if result.afterwards:
        click.echo(f"Afterwards: {result.afterwards}")
    if result.objection:
        click.echo(f"Not yet: {result.objection}")
    for name, value in result.details.items():
        click.echo(f"{name.replace('_', ' ')}: {value}")


_STARTED: Final[Mapping[type[Result], Callable[[Any], str]]] = {
    TrainingStarted: sentences.training_started,
    SearchStarted: sentences.search_started,
    EvaluationStarted: sentences.evaluation_started,
    ExperimentStarted: sentences.experiment_started,
    ConversionStarted: sentences.conversion_started,
}


def _said(sentence: Callable[[Any], str]) -> Callable[[Any], None]:
    return lambda result: click.echo(sentence(result))


_SHOWN: Final[Mapping[type[Result], Callable[[Any], None]]] = {
    PlannedChange: _show_planned,
    DatasetBuilt: show_dataset_built,
    DatasetReport: show_dataset_report,
    DatasetList: show_dataset_list,
    DatasetExported: show_dataset_exported,
    JobReport: show_job_report,
    ConversionResult: show_conversion_result,
    EvaluationResult: show_evaluation_result,
    RunScores: show_run_scores,
    Deployed: show_deployed,
    RolloutReport: show_rollout_report,
    RolledBack: show_rolled_back,
    CanarySimulated: show_canary_simulated,
    AgentModels: show_agent_models,
    SpaceReport: show_space_report,
    EndpointList: show_endpoint_list,
    CostReport: show_cost_report,
    **{kind: _said(sentence) for kind, sentence in _STARTED.items()},
}
