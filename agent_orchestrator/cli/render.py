"""How results look: JSON on stdout for machines, tables and sentences for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import click

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
from agent_orchestrator.agents.infrastructure.modelops.usecases.evaluation import EvaluationResult
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
    show_experiment_started,
    show_run_scores,
)
from agent_orchestrator.cli.showing.jobs import (
    show_conversion_result,
    show_conversion_started,
    show_cost_report,
    show_job_report,
    show_search_started,
    show_training_started,
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
    click.echo(f"Cost: ${result.estimated_cost_usd:.2f}")
    click.echo(f"Approval: {'needed' if result.approval_needed else 'not needed'}")
    for name, value in result.details.items():
        click.echo(f"{name.replace('_', ' ')}: {value}")


_SHOWN: Final[Mapping[type[Result], Callable[[Any], None]]] = {
    PlannedChange: _show_planned,
    DatasetBuilt: show_dataset_built,
    DatasetReport: show_dataset_report,
    DatasetList: show_dataset_list,
    DatasetExported: show_dataset_exported,
    TrainingStarted: show_training_started,
    JobReport: show_job_report,
    ConversionStarted: show_conversion_started,
    ConversionResult: show_conversion_result,
    EvaluationResult: show_evaluation_result,
    ExperimentStarted: show_experiment_started,
    RunScores: show_run_scores,
    Deployed: show_deployed,
    RolloutReport: show_rollout_report,
    RolledBack: show_rolled_back,
    CanarySimulated: show_canary_simulated,
    AgentModels: show_agent_models,
    SpaceReport: show_space_report,
    EndpointList: show_endpoint_list,
    CostReport: show_cost_report,
    SearchStarted: show_search_started,
}
