"""All use cases by name. Every door (command line, chat, HTTP, MCP) is checked against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Request, Result
from agent_orchestrator.agents.infrastructure.modelops.usecases.conversion import (
    ConversionStarted,
    ConvertModelToGguf,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.costs import CostReport, ListCosts
from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import (
    BuildDataset,
    CheckDataset,
    DatasetBuilt,
    DatasetExported,
    DatasetList,
    DatasetReport,
    ExportDataset,
    ListDatasets,
    ShowDataset,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    Deployed,
    DeployModelToAgent,
    PromoteCanary,
    RollbackDeployment,
    RolledBack,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.endpoints import (
    EndpointList,
    EndpointReport,
    EndpointStatus,
    ListEndpoints,
    SleepEndpoint,
    WakeEndpoint,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.evaluation import (
    EvaluateModelVsBaseline,
    EvaluationStarted,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.experiments import (
    ExperimentStarted,
    RunExperiment,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    CancelTrainingJob,
    JobCancelled,
    JobReport,
    JobResumed,
    MonitorTrainingJob,
    ResumeTrainingJob,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.models import (
    AgentModels,
    ListAgentModels,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import (
    BreakerReset,
    ResetBreaker,
    RolloutReport,
    RolloutStatusRequest,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.run_scores import (
    RunScores,
    ScoreRuns,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.search import (
    SearchHyperparameters,
    SearchStarted,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.simulation import (
    CanarySimulated,
    SimulateCanary,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.spaces import (
    DeploySpace,
    PauseSpace,
    RestartSpace,
    SpaceReport,
    SpaceStatus,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import (
    TrainingStarted,
    TrainSubagentModel,
)
from agent_orchestrator.domain.approvals import UseCaseName


@dataclass(frozen=True, slots=True)
class UseCaseSpec:
    """One use case as the doors see it."""

    request: type[Request]
    result: type[Result]
    changes: bool
    """Whether it can change anything."""
    adds_only: bool = False
    """Whether it only adds: nothing that was there ends, moves or is replaced."""
    repeatable: bool = False
    """Whether doing it twice leaves what doing it once leaves."""


USE_CASES: Mapping[UseCaseName, UseCaseSpec] = {
    "build_dataset": UseCaseSpec(BuildDataset, DatasetBuilt, changes=True, adds_only=True),
    "train_subagent_model": UseCaseSpec(
        TrainSubagentModel, TrainingStarted, changes=True, adds_only=True
    ),
    "monitor_training_job": UseCaseSpec(MonitorTrainingJob, JobReport, changes=False),
    "cancel_training_job": UseCaseSpec(
        CancelTrainingJob, JobCancelled, changes=True, repeatable=True
    ),
    "resume_training_job": UseCaseSpec(ResumeTrainingJob, JobResumed, changes=True, adds_only=True),
    "evaluate_model_vs_baseline": UseCaseSpec(
        EvaluateModelVsBaseline, EvaluationStarted, changes=True, adds_only=True
    ),
    "deploy_model_to_agent": UseCaseSpec(DeployModelToAgent, Deployed, changes=True),
    "promote_canary": UseCaseSpec(PromoteCanary, RolloutReport, changes=True),
    "rollback_deployment": UseCaseSpec(RollbackDeployment, RolledBack, changes=True),
    "rollout_status": UseCaseSpec(RolloutStatusRequest, RolloutReport, changes=False),
    "reset_breaker": UseCaseSpec(ResetBreaker, BreakerReset, changes=True, repeatable=True),
    "simulate_canary": UseCaseSpec(SimulateCanary, CanarySimulated, changes=False),
    "list_agent_models": UseCaseSpec(ListAgentModels, AgentModels, changes=False),
    "convert_model_to_gguf": UseCaseSpec(
        ConvertModelToGguf, ConversionStarted, changes=True, adds_only=True
    ),
    "search_hyperparameters": UseCaseSpec(
        SearchHyperparameters, SearchStarted, changes=True, adds_only=True
    ),
    "list_costs": UseCaseSpec(ListCosts, CostReport, changes=False),
    "check_dataset": UseCaseSpec(CheckDataset, DatasetReport, changes=False),
    "show_dataset": UseCaseSpec(ShowDataset, DatasetReport, changes=False),
    "list_datasets": UseCaseSpec(ListDatasets, DatasetList, changes=False),
    "export_dataset": UseCaseSpec(ExportDataset, DatasetExported, changes=True, repeatable=True),
    "list_endpoints": UseCaseSpec(ListEndpoints, EndpointList, changes=False),
    "endpoint_status": UseCaseSpec(EndpointStatus, EndpointReport, changes=False),
    "wake_endpoint": UseCaseSpec(WakeEndpoint, EndpointReport, changes=True, repeatable=True),
    "sleep_endpoint": UseCaseSpec(SleepEndpoint, EndpointReport, changes=True, repeatable=True),
    "deploy_space": UseCaseSpec(DeploySpace, SpaceReport, changes=True, repeatable=True),
    "space_status": UseCaseSpec(SpaceStatus, SpaceReport, changes=False),
    "pause_space": UseCaseSpec(PauseSpace, SpaceReport, changes=True, repeatable=True),
    "restart_space": UseCaseSpec(RestartSpace, SpaceReport, changes=True),
    "score_runs": UseCaseSpec(ScoreRuns, RunScores, changes=False),
    "run_experiment": UseCaseSpec(RunExperiment, ExperimentStarted, changes=True, adds_only=True),
}
