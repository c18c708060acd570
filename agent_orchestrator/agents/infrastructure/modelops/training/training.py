"""Training: from a request to a priced plan, from a finished job to a registered version."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.backends import (
    KeepsArtifacts,
    TrainerBackend,
)
from agent_orchestrator.agents.infrastructure.modelops.jobs.costs import priced
from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan, in_thread
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.agents.infrastructure.modelops.training.preparation import (
    Preparation,
    Prepared,
    divided,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import (
    TrainingStarted,
    TrainSubagentModel,
)
from agent_orchestrator.domain.cost import Estimate
from agent_orchestrator.domain.jobs import Job
from agent_orchestrator.domain.models import TrainingConfig
from agent_orchestrator.domain.training import TrainingSpec
from agent_orchestrator.domain.wording import counted


@dataclass(frozen=True, slots=True)
class TrialOf:
    """A training that is one trial of a search."""

    job_id: str
    search_id: str


class Training:
    """Plans training jobs and registers what they made."""

    def __init__(
        self,
        *,
        preparation: Preparation,
        jobs: Jobs,
        backends: Mapping[str, TrainerBackend],
        registry: ModelRegistry,
        owner: str,
        pushing: Container[str] = (),
        trackio: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``pushing``: the backends whose models go to the Hub; ``trackio``: as in the spec."""
        self._preparation = preparation
        self._jobs = jobs
        self._backends = backends
        self._registry = registry
        self._owner = owner
        self._pushing = pushing
        self._trackio = trackio
        self._clock = clock

    def plan(self, request: TrainSubagentModel, caller: Caller) -> Plan:
        """Return what a training would do and cost; raises as ``Preparation.prepare``."""
        prepared = self._preparation.prepare(request)
        estimate = prepared.estimate
        summary = (
            f"Train {prepared.base_model} for {request.agent} by {request.method} on "
            f"{counted(len(prepared.rows), 'example[s]')} of {prepared.dataset.id} "
            f"({request.mode} run, {estimate.hardware}): {_price(estimate)}."
        )
        if request.mode == "production" and request.override_reason:
            summary = f"{summary} Without a demo run: {request.override_reason}"
        licence = prepared.licence
        notes = licence.notes if licence else ()
        if notes:
            summary = f"{summary} Licence of the base: {' '.join(notes)}"

        return Plan(
            summary=summary,
            act=in_thread(self.start, request, prepared, caller),
            cost_usd=estimate.cost_usd,
            minutes=round(estimate.minutes, 2),
            resolved={
                "dataset_hash": prepared.dataset.hash,
                "base_model": prepared.base_model,
                "backend": prepared.backend,
                "engine": prepared.engine,
                "hyperparameters": prepared.hyperparameters.model_dump(mode="json"),
            },
            details={
                "dataset": prepared.dataset.id,
                "base_model": prepared.base_model,
                "backend": prepared.backend,
                "engine": prepared.engine,
                "estimated_minutes": round(estimate.minutes, 2),
                "minutes_range": [round(m, 2) for m in estimate.minutes_range],
                "cost_range_usd": [round(c, 2) for c in estimate.cost_range_usd],
                "rests_on": " ".join(estimate.notes),
                "past_runs": estimate.jobs,
                "left_this_month_usd": round(prepared.room.usd, 2) if prepared.room else None,
                "hyperparameters": prepared.hyperparameters.model_dump(mode="json"),
                "licence": licence.id if licence else None,
                "licence_notes": list(notes),
            },
            afterwards=self._afterwards(request, prepared),
            objection=prepared.objection,
        )

    def _afterwards(self, request: TrainSubagentModel, prepared: Prepared) -> str | None:
        """Say what a production run would cost to who weighs a demo run."""
        if request.mode != "demo" or not request.dry_run:
            return None
        examples, estimate = self._preparation.in_production(prepared, request)
        return f"A production run, on {counted(examples, 'example[s]')}: {_price(estimate)}."

    def register(self, job: Job, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Register the model that a completed job made; once, however often it is called.

        One that stayed with its backend is fetched first. Raises as ``KeepsArtifacts.fetch``.
        """
        request = job.request
        backend: object = self._backends.get(job.backend)
        if isinstance(backend, KeepsArtifacts) and not manifest.get("hub_url"):
            backend.fetch(job.ref or {"job_id": job.id}, request["hub_repo"])
        version = self._registry.add_model_version(
            job.agent,
            model_id=request["hub_repo"],
            training_config=TrainingConfig(**request["training_config"]),
            parent_version=request["parent_version"],
            trained_at=datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds"),
            trained_by=job.requester,
            job_id=job.id,
            hub_repo=request["hub_repo"],
            dataset_hash=request["dataset_hash"],
            weights_sha256=manifest.get("weights_sha256"),
            changelog=f"{request['training_config']['training_method']} on {request['dataset']}.",
        )
        return {"version": version.version, "manifest": dict(manifest)}

    def start(
        self,
        request: TrainSubagentModel,
        prepared: Prepared,
        caller: Caller,
        approval_id: str | None,
        *,
        trial: TrialOf | None = None,
    ) -> TrainingStarted:
        """Start what was prepared; as a ``trial``, with some rows kept back to compare by.

        Raises what the backend raises, InputError when the month has no room for it, ConflictError
        when the trial has been started.
        """
        job_id = trial.job_id if trial else self._jobs.new_id()
        hub_repo = f"{self._owner}/code-chef-{prepared.agent.replace('_', '-')}-{job_id[4:]}"
        now = self._clock()
        job = Job(
            id=job_id,
            kind="trial" if trial else "training",
            agent=prepared.agent,
            status="pending",
            backend=prepared.backend,
            request=priced(
                {
                    "request": request.model_dump(mode="json"),
                    "hub_repo": hub_repo,
                    "dataset": prepared.dataset.id,
                    "dataset_hash": prepared.dataset.hash,
                    "parent_version": prepared.parent_version,
                    "training_config": asdict(_config(request, prepared)),
                    **({"search": trial.search_id} if trial else {}),
                },
                prepared.estimate,
                prepared.root_model,
            ),
            requester=caller.name,
            created_at=now,
            updated_at=now,
            estimated_cost_usd=prepared.estimate.cost_usd,
            estimated_minutes=prepared.estimate.minutes,
            approval_id=approval_id,
        )
        spec = self._spec(request, prepared, hub_repo, compared=trial is not None)
        backend = self._backends[prepared.backend]
        self._jobs.start(job, lambda: backend.submit(job_id, spec))
        return TrainingStarted(
            job_id=job_id,
            hub_repo=hub_repo,
            dataset=prepared.dataset.id,
            base_model=prepared.base_model,
            estimated_cost_usd=prepared.estimate.cost_usd,
            estimated_minutes=prepared.estimate.minutes,
            status_url=f"job:{job_id}",
            approval=approval_id or "none needed",
        )

    def _spec(
        self,
        request: TrainSubagentModel,
        prepared: Prepared,
        output_model: str,
        *,
        compared: bool = False,
    ) -> TrainingSpec:
        """Return what the backend is asked to do."""
        rows, held_out = divided(prepared, compared=compared)
        return TrainingSpec(
            agent=prepared.agent,
            method=request.method,
            engine=prepared.engine,
            base_model=prepared.base_model,
            output_model=output_model,
            rows=rows,
            validation_rows=held_out,
            dataset=prepared.dataset.id,
            hyperparameters=prepared.hyperparameters.model_dump(mode="json"),
            push_to_hub=prepared.backend in self._pushing,
            trackio=self._trackio,
            hardware=prepared.estimate.hardware,
            card=_card(prepared),
            max_seconds=prepared.max_seconds,
        )


def _price(estimate: Estimate) -> str:
    return f"about {estimate.minutes:.1f} min, ${estimate.cost_usd:.2f}"


def _card(prepared: Prepared) -> dict[str, Any]:
    """Return what the model card says beside the facts: a fine-tune inherits its base's licence."""
    licence = prepared.licence.id if prepared.licence else None
    return {"license": licence} if licence else {}


def _config(request: TrainSubagentModel, prepared: Prepared) -> TrainingConfig:
    """Return what the registry keeps about how a version was trained."""
    chosen = prepared.hyperparameters
    return TrainingConfig(
        base_model=prepared.base_model,
        training_method=request.method,
        training_dataset=prepared.dataset.id,
        eval_dataset=prepared.dataset.id,
        learning_rate=chosen.learning_rate,
        num_epochs=chosen.num_epochs,
        batch_size=chosen.batch_size,
        gradient_accumulation=chosen.gradient_accumulation,
        lora_rank=chosen.lora.rank if chosen.lora else None,
        lora_alpha=chosen.lora.alpha if chosen.lora else None,
        max_length=chosen.max_length,
        seed=chosen.seed,
        mode=request.mode,
        extra={"engine": prepared.engine, "examples": len(prepared.rows)},
    )
