"""What MLflow is to hold: our jobs, rollouts and versions as its runs and registered models.

Pure: from our records to theirs. ``mlflow_mirror`` makes it so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from agent_orchestrator.domain.jobs import TERMINAL, Job, JobStatus
from agent_orchestrator.domain.models import ModelVersion
from agent_orchestrator.domain.registry import AgentRecord
from agent_orchestrator.domain.rollout import RolloutState
from agent_orchestrator.stores.rollouts import RecordedDecision

RunStatus = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]

_STATUS: Final[Mapping[JobStatus, RunStatus]] = {
    "pending": "RUNNING",
    "running": "RUNNING",
    "completed": "FINISHED",
    "failed": "FAILED",
    "cancelled": "KILLED",
}
#: MLflow refuses longer values.
_LONGEST_PARAM: Final = 6000
_LONGEST_TAG: Final = 5000
_SIDES: Final = ("candidate", "baseline")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A job or a rollout as a run. Times are seconds since the epoch."""

    key: str
    """Our id; the tag ``chef.id``, by which the run is found again."""
    experiment: str
    name: str
    status: RunStatus
    started_at: float
    ended_at: float | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[tuple[int, float]]]
    """Metric → (step, value) in order."""
    tags: Mapping[str, str]
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRecord:
    """A version as a version of a registered model."""

    version: str
    source: str
    """The model, ``code-chef://<Hub repository or model id>``."""
    job_id: str | None
    tags: Mapping[str, str]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """An agent's versions as a registered model."""

    name: str
    versions: tuple[VersionRecord, ...]
    aliases: Mapping[str, str]
    """``current``, ``canary`` → version."""


def experiment_of(agent: str) -> str:
    """Return the experiment of an agent's runs."""
    return f"code-chef/{agent or 'models'}"


def job_run(job: Job, losses: Sequence[tuple[int, float]] = ()) -> RunRecord:
    """Return a job as a run."""
    result = job.result or {}
    request = {k: v for k, v in job.request.items() if k not in {"request", "training_config"}}
    given = {**job.request.get("request", {}), **(job.request.get("training_config") or {})}
    failure = {"chef.failure": job.failure.kind} if job.failure else {}
    version = result.get("version")
    return RunRecord(
        key=job.id,
        experiment=experiment_of(job.agent),
        name=f"{job.kind} {version or job.id}",
        status=_STATUS[job.status],
        started_at=job.created_at,
        ended_at=job.finished_at if job.status in TERMINAL else None,
        params=dict(_flat({**request, **given}, _LONGEST_PARAM)),
        metrics=_numbers(result) | _costs(job),
        curves={"loss": tuple(losses)} if losses else {},
        tags={
            "chef.kind": job.kind,
            "chef.agent": job.agent,
            "chef.backend": job.backend,
            "chef.requester": job.requester,
            **({"chef.version": version} if version else {}),
            **failure,
        },
        files=tuple(_reports(result)),
    )


def _reports(result: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the files that an evaluation or an experiment wrote."""
    for finding in ("evaluation", "experiment"):
        yield from map(Path, ((result.get(finding) or {}).get("reports") or {}).values())


def rollout_run(state: RolloutState, decisions: Sequence[RecordedDecision]) -> RunRecord:
    """Return a rollout, a deployment with its decisions, as a run."""
    ended = state.ended_at
    arms = {f"arm.{arm.name}": arm.version or arm.model for arm in state.arms}
    finished: RunStatus = "FAILED" if state.phase == "rolled_back" else "FINISHED"
    return RunRecord(
        key=state.id,
        experiment=experiment_of(state.agent),
        name=f"rollout {state.id}",
        status="RUNNING" if ended is None else finished,
        started_at=state.started_at,
        ended_at=ended,
        params={"strategy": state.strategy, **arms},
        metrics={"decisions": float(len(decisions))},
        curves={
            f"weight.{arm.name}": ((state.step, float(arm.weight)),) for arm in state.candidates
        },
        tags={
            "chef.kind": "rollout",
            "chef.agent": state.agent,
            "chef.phase": state.phase,
            "chef.reason": state.reason[:_LONGEST_TAG],
            "chef.decisions": "\n".join(d.message for d in decisions)[:_LONGEST_TAG],
        },
    )


def model_record(record: AgentRecord) -> ModelRecord:
    """Return an agent's registry entry as a registered model."""
    references = {"current": record.current, "canary": record.canary}
    return ModelRecord(
        name=f"code-chef.{record.agent_name}",
        versions=tuple(_version(version) for version in record.history),
        aliases={alias: version for alias, version in references.items() if version is not None},
    )


def _version(version: ModelVersion) -> VersionRecord:
    facts = {
        "chef.version": version.version,
        "chef.content_id": version.content_id,
        "chef.model_id": version.model_id,
        "chef.status": version.deployment_status,
        "chef.parent": version.parent_version,
        "chef.job": version.job_id,
        "chef.quantization": version.quantization,
        "chef.weights_sha256": version.weights_sha256,
    }
    return VersionRecord(
        version=version.version,
        # MLflow takes what has no scheme for a path of its server.
        source=f"code-chef://{version.hub_repo or version.model_id}",
        job_id=version.job_id,
        tags={name: value for name, value in facts.items() if value is not None},
        description=version.changelog,
    )


def _numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """Return what a job measured: a training's metrics, an evaluation's scores, a file's size."""
    measured = dict((result.get("manifest") or {}).get("metrics") or {})
    evaluation = result.get("evaluation") or {}
    for side in _SIDES:
        scores = (evaluation.get("scores") or {}).get(side) or {}
        measured |= {f"{side}.{metric}": score for metric, score in scores.items()}
    measured["improvement_pct"] = evaluation.get("improvement_pct")
    beside = (result.get("conversion") or {}).get("beside_parent") or {}
    measured |= {name: beside.get(name) for name in ("answers_equal", "answers_compared")}
    return {
        name: float(value)
        for name, value in measured.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _costs(job: Job) -> dict[str, float]:
    costs = {"estimated_cost_usd": job.estimated_cost_usd, "actual_cost_usd": job.actual_cost_usd}
    return {name: value for name, value in costs.items() if value is not None}


def _flat(values: Mapping[str, Any], longest: int, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested values under dotted names; what is not given is left out."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, longest, f"{prefix}{name}.")
        elif value not in (None, "", [], ()):
            yield f"{prefix}{name}", str(value)[:longest]
