"""What to propose next on the way from a data set to a canary. Pure.

The way: a data set → a demo training → a production training → an evaluation → a canary on 20 % of
the traffic. Each step is only proposed; a person says yes, no, or something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.domain.jobs import FailureKind, JobKind, JobStatus

Recommendation = Literal["deploy", "deploy_canary", "needs_review", "reject"]

#: Use cases that start a job: their price is said before anything starts.
PRICED_FIRST: Final[frozenset[UseCaseName]] = frozenset(
    {
        "train_subagent_model",
        "resume_training_job",
        "evaluate_model_vs_baseline",
        "convert_model_to_gguf",
        "search_hyperparameters",
    }
)

#: Failures that have nothing to do with what was asked: the same job may succeed now.
_PASSING: Final[frozenset[FailureKind]] = frozenset(
    {"cancelled", "killed", "timeout", "unavailable", "disk_full"}
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A use case that waits for a yes."""

    use_case: UseCaseName
    values: Mapping[str, Any]
    """Fields of its request, JSON."""
    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """What matters of a job that has ended."""

    job_id: str
    kind: JobKind
    agent: str
    status: JobStatus
    values: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the request that started it; the data set and the base model are named."""
    version: str | None = None
    """What a completed training registered."""
    failure: FailureKind | None = None
    candidate: str | None = None
    """What a completed evaluation looked at."""
    recommendation: Recommendation | None = None


def after_job(job: EndedJob) -> Proposal | None:
    """Return what to do after a job, None where a person has to think first."""
    if job.status != "completed":
        return _again(job)
    if job.kind == "training":
        return _after_training(job)
    if job.kind == "search" and job.version is not None:
        return _compare(job.agent, job.version)
    if job.kind == "evaluation":
        return _after_evaluation(job)
    return None


def without_dataset(agent: str, *, langsmith: bool) -> Proposal:
    """Return the offer to build the data set that a training lacks.

    ``langsmith`` is whether the agent's own traces can be had; without them examples for
    code_review can be made here, for the others a source has to be named. It is not limited to the
    size that the training shall have: some of it is held out.
    """
    none = f"There is no data set for {agent} yet."
    if langsmith:
        values = {"source": "langsmith"}
        question = f"{none} Shall I build one from its data in LangSmith? {_OTHERS}"
    elif agent == "code_review":
        values = {"source": "stdlib-defects"}
        question = f"{none} Shall I plant defects in Python's standard library for one? {_OTHERS}"
    else:
        values, question = {}, f"{none} Where are examples of its work? {_SOURCES}"
    return Proposal("build_dataset", {"agent": agent, **values}, question)


_SOURCES: Final = "Name a .jsonl, .csv or .parquet file, langsmith:<data set> or hub:<owner/name>."
_OTHERS: Final = f"(Or another source? {_SOURCES})"


def with_dataset(agent: str, dataset: str, wished: Mapping[str, Any]) -> Proposal:
    """Return the offer of a training on a data set that was just built.

    ``wished`` are the fields of the training that lacked it, none when there was none; a demo run
    unless it says else.
    """
    kept = {name: value for name, value in wished.items() if name != "dry_run"}
    values = {"mode": "demo", **kept, "agent": agent, "dataset": dataset}
    what = "try a demo training of" if values["mode"] == "demo" else "train"
    return Proposal("train_subagent_model", values, f"Shall I {what} {agent} on {dataset}?")


def instead(use_case: UseCaseName, values: Mapping[str, Any]) -> Proposal | None:
    """Return what may be done of something that stands against the rules as it is; None: nothing.

    A production training that no demo proved begins with the demo.
    """
    if use_case != "train_subagent_model":
        return None
    return Proposal(use_case, {**values, "mode": "demo"}, "Shall I make the demo run first, then?")


def _again(job: EndedJob) -> Proposal | None:
    """A training that was cut off goes on from its last checkpoint."""
    if job.kind != "training" or job.failure not in _PASSING | {None}:
        return None
    return Proposal(
        "resume_training_job",
        {"job_id": job.job_id},
        f"Shall I go on with {job.job_id} from its last checkpoint?",
    )


def _after_training(job: EndedJob) -> Proposal | None:
    if job.values.get("mode", "demo") == "demo":
        kept = {k: v for k, v in job.values.items() if k not in {"max_examples", "dry_run"}}
        return Proposal(
            "train_subagent_model",
            {**kept, "agent": job.agent, "mode": "production"},
            "The demo run worked. Go on with production?",
        )
    return None if job.version is None else _compare(job.agent, job.version)


def _compare(agent: str, version: str) -> Proposal:
    return Proposal(
        "evaluate_model_vs_baseline",
        {"agent": agent, "candidate": version},
        f"Shall I compare {version} with what serves {agent} now?",
    )


def _after_evaluation(job: EndedJob) -> Proposal | None:
    """Propose the canary, unless it is rejected: that only an approver with a reason overrides."""
    if job.candidate is None or job.recommendation in {None, "reject"}:
        return None
    doubt = job.recommendation == "needs_review"
    question = (
        f"The evaluation does not decide it. Try {job.candidate} on 20 % of the traffic?"
        if doubt
        else f"{job.candidate} would get 20 % of the traffic first. Deploy?"
    )
    of_version = job.candidate.startswith("v") and "/" not in job.candidate
    name = "version" if of_version else "model"
    values = {"agent": job.agent, name: job.candidate, "strategy": "canary_20pct"}
    return Proposal("deploy_model_to_agent", values, question)
