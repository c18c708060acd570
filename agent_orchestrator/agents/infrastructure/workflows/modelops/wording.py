"""How the Infrastructure agent puts things: sentences for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from agent_orchestrator.agents.infrastructure.modelops.usecases import sentences
from agent_orchestrator.agents.infrastructure.modelops.usecases.approvals import ApprovalView
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import PlannedChange, Result
from agent_orchestrator.agents.infrastructure.modelops.usecases.conversion import ConversionStarted
from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import (
    DatasetBuilt,
    DatasetList,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    Deployed,
    RolledBack,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.evaluation import EvaluationStarted
from agent_orchestrator.agents.infrastructure.modelops.usecases.experiments import ExperimentStarted
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    JobCancelled,
    JobReport,
    JobResumed,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.models import AgentModels
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import RolloutReport
from agent_orchestrator.agents.infrastructure.modelops.usecases.run_scores import RunScores
from agent_orchestrator.agents.infrastructure.modelops.usecases.search import SearchStarted
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import TrainingStarted
from agent_orchestrator.domain.wording import lines_of
from agent_orchestrator.state import PendingApproval

_ALL: Final = 100
EXAMPLES: Final = (
    "'train feature_dev', 'deploy v1.2.0 to docs', 'how is the canary of cicd?' or "
    "'list the models of code_review'"
)


def said(result: Result) -> str:
    """Return a result in a sentence or a few; its fields travel beside it."""
    say = _SAID.get(type(result))
    return say(result) if say else _fields(result)


def proposed(question: str, planned: PlannedChange | None) -> str:
    """Return a proposal with what it is and what it costs."""
    if planned is None:
        return question
    price = f"${planned.estimated_cost_usd:.2f}"
    cost = "" if price in planned.summary else f"It costs {price}."
    needs = "It needs an approval." if planned.approval_needed else ""
    said = (planned.summary, cost, needs, planned.afterwards, question)
    return " ".join(filter(None, said))


def objected(planned: PlannedChange) -> str:
    """Say what a change would be and cost, and what stands against it."""
    return f"{proposed('', planned)} {planned.objection}"


def declined(approval: PendingApproval | None) -> str:
    """Answer a no."""
    return still_waits(approval["id"]) if approval else "Good, I leave it."


def still_waits(approval_id: str) -> str:
    """Say that words here approve nothing."""
    return (
        f"Approval {approval_id} still waits. An approver answers it, not this conversation: "
        f"at any other door (`chef approve {approval_id}`, `chef reject {approval_id}`)."
    )


def not_understood(question: str) -> str:
    """Say the open question again."""
    return f"I take that for neither yes nor no. {question}"


def still_open(question: str) -> str:
    """Say that a proposal still stands."""
    return f"Still open: {question}"


def what_can_be_said() -> str:
    """Say what is understood without a language model."""
    return f"I look after the agents' models. Say, for example, {EXAMPLES}."


def nothing_open() -> str:
    """Answer a yes to nothing."""
    return f"Nothing is proposed that you could agree to. Say, for example, {EXAMPLES}."


def not_approved(approval: ApprovalView) -> str:
    """Say why nothing was done."""
    if approval.status == "rejected":
        why = f": {approval.reason}" if approval.reason else "."
        return f"{approval.approver} rejected {approval.id}{why} Nothing was changed."
    if approval.status == "cancelled":
        return f"{approval.id} was cancelled. Nothing was changed."
    if approval.status == "consumed":
        return f"{approval.id} was carried out at another door; see the overview (`chef status`)."
    return f"{approval.id} has expired. Nothing was changed; ask again if it is still wanted."


def goes_on(report: JobReport) -> str:
    """Say that a job goes on although nobody follows it."""
    return f"Job {report.job_id} goes on. Ask 'how is it going?' at any time."


def progress(report: JobReport) -> dict[str, Any]:
    """Return what a progress event says of a job."""
    shown = report.model_dump(
        mode="json",
        include={
            "job_id",
            "kind",
            "agent",
            "status",
            "message",
            "progress_pct",
            "current_step",
            "total_steps",
            "current_loss",
            "eta_minutes",
        },
    )
    shown["stage"] = shown.pop("message")
    return shown


def _fields(result: Result) -> str:
    """Return the fields that say something, one to a line."""
    lines = (
        f"{name.replace('_', ' ')}: {value}"
        for name, value in result.model_dump(mode="json").items()
        if value not in (None, "", [], {})
    )
    return "\n".join(lines)


def _dataset_built(result: DatasetBuilt) -> str:
    counts = ", ".join(f"{count} {split}" for split, count in result.counts.items())
    return f"Data set {result.dataset} for {result.agent} is built: {counts}."


def _dataset_list(result: DatasetList) -> str:
    lines = [f"- {d.dataset} ({d.agent}): {sum(d.counts.values())}" for d in result.datasets]
    return "\n".join(["Data sets, newest first:", *lines]) if lines else "There is no data set."


def _deployed(result: Deployed) -> str:
    what = result.version or result.model
    if not result.deployed:
        return f"{what} was not deployed to {result.agent}."
    if result.rollout_id is None or result.rollout_pct == _ALL:
        return f"{what} serves all traffic of {result.agent}."
    return (
        f"{what} serves {result.rollout_pct} % of the traffic of {result.agent}. It is promoted or "
        f"rolled back on evidence; ask 'how is the canary of {result.agent}?'."
    )


def _rolled_back(result: RolledBack) -> str:
    what = result.version or result.model
    if result.drill is not None:
        return f"Drill for {result.agent}: {result.drill.message}"
    return f"{what} serves {result.agent} again, after {result.seconds:.2f} s."


def _rollout_report(report: RolloutReport) -> str:
    if report.rollout_id is None:
        return f"{report.agent} has had no rollout."
    arms = [
        f"- {arm.arm} ({arm.version or arm.model}): {arm.asked_pct} % asked, "
        f"{arm.requests} requests, {arm.errors} errors"
        for arm in report.arms
    ]
    head = f"Rollout {report.rollout_id} of {report.agent} ({report.strategy}): {report.phase}."
    verdict = f"Verdict: {report.verdict.value}. {report.verdict_reason}" if report.verdict else ""
    return lines_of(filter(None, (head, *arms, verdict, report.reason)))


def _agent_models(result: AgentModels) -> str:
    lines = [f"- {v.version} {v.model_id}: {v.status}" for v in result.versions]
    return "\n".join([f"{result.agent} is served by {result.serving}.", *lines])


_SAID: Final[Mapping[type[Result], Callable[[Any], str]]] = {
    AgentModels: _agent_models,
    DatasetBuilt: _dataset_built,
    DatasetList: _dataset_list,
    Deployed: _deployed,
    ConversionStarted: sentences.conversion_started,
    EvaluationStarted: sentences.evaluation_started,
    ExperimentStarted: sentences.experiment_started,
    JobCancelled: lambda result: f"Job {result.job_id} is {result.status}.",
    JobReport: sentences.found,
    JobResumed: lambda result: f"Job {result.job_id} goes on.",
    RolledBack: _rolled_back,
    RolloutReport: _rollout_report,
    RunScores: sentences.run_scores,
    SearchStarted: sentences.search_started,
    TrainingStarted: sentences.training_started,
}
