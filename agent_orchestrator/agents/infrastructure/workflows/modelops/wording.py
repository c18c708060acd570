"""How the Infrastructure agent puts things: sentences for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from agent_orchestrator.agents.infrastructure.modelops.usecases.approvals import ApprovalView
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import PlannedChange, Result
from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import (
    DatasetBuilt,
    DatasetList,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    Deployed,
    RolledBack,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.evaluation import (
    EvaluationResult,
    EvaluationStarted,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    JobCancelled,
    JobReport,
    JobResumed,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.models import AgentModels
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import RolloutReport
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import TrainingStarted
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
    cost = "" if price in planned.summary else f" It costs {price}."
    needs = " It needs an approval." if planned.approval_needed else ""
    return f"{planned.summary}{cost}{needs} {question}"


def declined(approval: PendingApproval | None) -> str:
    """Answer a no."""
    return still_waits(approval) if approval else "Good, I leave it."


def still_waits(approval: PendingApproval) -> str:
    """Say that words here approve nothing."""
    return (
        f"Approval {approval['id']} still waits. An approver answers it, not this conversation: "
        f"`chef approve {approval['id']}` or `chef reject {approval['id']}`."
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
        return f"{approval.id} was carried out at another door; see `chef jobs` or `chef status`."
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


def _training_started(result: TrainingStarted) -> str:
    return (
        f"Training {result.hub_repo} from {result.base_model} on {result.dataset}: job "
        f"{result.job_id}, about {result.estimated_minutes:.1f} min, "
        f"${result.estimated_cost_usd:.2f}."
    )


def _evaluation_started(result: EvaluationStarted) -> str:
    baseline = f" with {result.baseline}" if result.baseline else ""
    return (
        f"Comparing {result.candidate}{baseline} on {result.n_examples} examples of "
        f"{result.dataset}: job {result.job_id}, at most ${result.estimated_cost_usd:.2f}."
    )


def _job_report(report: JobReport) -> str:
    parts = [f"Job {report.job_id} ({report.kind} for {report.agent}): {report.status}"]
    if report.progress_pct is not None and report.status == "running":
        parts.append(f"{report.progress_pct:.0f} %")
    if report.current_loss is not None:
        parts.append(f"loss {report.current_loss:.4f}")
    if report.version:
        parts.append(f"registered as {report.version}")
    lines = [", ".join(parts) + "."]
    if report.error:
        lines.append(f"{report.error.message} {report.error.remedy}".strip())
    if report.evaluation:
        lines.append(_evaluation(report.evaluation))
    return "\n".join(lines)


def _evaluation(result: EvaluationResult) -> str:
    lines = [
        f"- {c.metric}: {_score(c.candidate)} (baseline {_score(c.baseline)})"
        for c in result.changes
    ]
    change = result.improvement_pct
    overall = "" if change is None else f" ({change:+.1f} %)"
    lines.append(f"Recommendation: {result.recommendation}{overall}. {' '.join(result.reasons)}")
    return "\n".join(lines)


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


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
    return "\n".join(filter(None, (head, *arms, verdict, report.reason)))


def _agent_models(result: AgentModels) -> str:
    lines = [f"- {v.version} {v.model_id}: {v.status}" for v in result.versions]
    return "\n".join([f"{result.agent} is served by {result.serving}.", *lines])


_SAID: Final[Mapping[type[Result], Callable[[Any], str]]] = {
    AgentModels: _agent_models,
    DatasetBuilt: _dataset_built,
    DatasetList: _dataset_list,
    Deployed: _deployed,
    EvaluationStarted: _evaluation_started,
    JobCancelled: lambda result: f"Job {result.job_id} is {result.status}.",
    JobReport: _job_report,
    JobResumed: lambda result: f"Job {result.job_id} goes on.",
    RolledBack: _rolled_back,
    RolloutReport: _rollout_report,
    TrainingStarted: _training_started,
}
