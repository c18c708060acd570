"""Training: from a request to a priced plan, from a finished job to a registered version."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.backends import (
    ChecksFirst,
    KeepsArtifacts,
    TrainerBackend,
)
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import (
    Dataset,
    DatasetStore,
    training_rows,
)
from agent_orchestrator.agents.infrastructure.modelops.jobs.costs import priced
from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.agents.infrastructure.modelops.training.base_models import BaseModels
from agent_orchestrator.agents.infrastructure.modelops.training.pricing import Pricing
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import (
    TrainingStarted,
    TrainSubagentModel,
)
from agent_orchestrator.domain import cost
from agent_orchestrator.domain.base_facts import BaseFacts
from agent_orchestrator.domain.budget import Spending
from agent_orchestrator.domain.jobs import Job
from agent_orchestrator.domain.licences import Licence
from agent_orchestrator.domain.models import TrainingConfig, TrainingEngine
from agent_orchestrator.domain.training import TrainingSpec, choose_engine
from agent_orchestrator.domain.wording import counted
from agent_orchestrator.errors import DatasetError, NotAvailable
from agent_orchestrator.stores.defaults import Hyperparameters, TrainingDefaults

#: What makes a backend available.
_NEEDS = {
    "hf_space": "Set MODELOPS_SPACE_URL and MODELOPS_SPACE_TOKEN.",
    "hf_jobs": "Set HUGGINGFACE_JOBS_ENABLED=true, HUGGINGFACE_TOKEN and MODELOPS_HUB_ORG.",
}
_FEWEST_ROWS = 10
#: Nothing else of ours lies where these jobs run.
_FROM_HUB = frozenset({"hf_jobs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A request with everything resolved."""

    agent: str
    engine: TrainingEngine
    dataset: Dataset
    rows: list[dict[str, Any]]
    base_model: str
    hyperparameters: Hyperparameters
    backend: str
    estimate: cost.Estimate
    root_model: str
    """The model that the base's line of versions began with."""
    room: Spending | None
    """What is left of the month's budget; None without one."""
    facts: BaseFacts
    """About the base model."""

    @property
    def licence(self) -> Licence | None:
        """The base model's; None where it was not looked up."""
        return self.facts.licence


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
        jobs: Jobs,
        backends: Mapping[str, TrainerBackend],
        catalogue: Catalogue,
        base_models: BaseModels,
        registry: ModelRegistry,
        datasets: DatasetStore,
        defaults: TrainingDefaults,
        default_backend: str,
        owner: str,
        pushing: Container[str] = (),
        trackio: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``pushing``: the backends whose models go to the Hub; ``trackio``: as in the spec."""
        self._jobs = jobs
        self._backends = backends
        self._catalogue = catalogue
        self._bases = base_models
        self._registry = registry
        self._datasets = datasets
        self._defaults = defaults
        self._pricing = Pricing(defaults, jobs)
        self._default_backend = default_backend
        self._owner = owner
        self._pushing = pushing
        self._trackio = trackio
        self._clock = clock

    def plan(self, request: TrainSubagentModel, caller: Caller) -> Plan:
        """Resolve, check and price a training job.

        Raises UnknownAgentError, DatasetError (none, or not usable), InputError (a bad override, a
        model without a known size, a job above the limits), NotAvailable (backend, method).
        """
        prepared = self.prepare(request)
        estimate = prepared.estimate
        summary = (
            f"Train {prepared.base_model} for {request.agent} by {request.method} on "
            f"{counted(len(prepared.rows), 'example[s]')} of {prepared.dataset.id} "
            f"({request.mode} run, {estimate.hardware}): "
            f"about {estimate.minutes:.1f} min, ${estimate.cost_usd:.2f}."
        )
        if request.mode == "production" and request.override_reason:
            summary = f"{summary} Without a demo run: {request.override_reason}"
        licence = prepared.licence
        notes = licence.notes if licence else ()
        if notes:
            summary = f"{summary} Licence of the base: {' '.join(notes)}"

        async def act(approval_id: str | None) -> TrainingStarted:
            return await anyio.to_thread.run_sync(
                self.start, request, prepared, caller, approval_id
            )

        return Plan(
            summary=summary,
            act=act,
            cost_usd=estimate.cost_usd,
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
        )

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

    def prepare(self, request: TrainSubagentModel) -> Prepared:
        """Resolve, check and price a request; raises as ``plan``."""
        agent = self._catalogue.check_agent(request.agent)
        backend = request.backend or self._default_backend
        if backend not in self._backends:
            raise NotAvailable(
                f"Training backend {backend!r} is not available here.",
                remedy=_NEEDS.get(backend, f"Use {' or '.join(sorted(self._backends))}."),
            )
        engine = choose_engine(request.method, request.engine)
        chosen: object = self._backends[backend]
        if isinstance(chosen, ChecksFirst):
            chosen.check(self._owner, engine)
        dataset = self._dataset(agent, request.dataset)
        base_model = self._bases.resolve(agent, request.base_model)
        root = self._bases.root(agent, base_model)
        mode = self._defaults.mode(request.mode, root)
        hyperparameters = self._hyperparameters(root, request.overrides)
        most = request.max_examples or mode.max_examples
        rows = training_rows(dataset, request.method, most, seed=hyperparameters.seed)
        facts = self._bases.facts(base_model, from_hub=backend in _FROM_HUB)
        estimate = self._pricing.estimate(request, facts, hyperparameters, rows, backend)
        room = self._pricing.check(request, estimate, backend, root)
        return Prepared(
            agent=agent,
            engine=engine,
            dataset=dataset,
            rows=rows,
            base_model=base_model,
            hyperparameters=hyperparameters,
            backend=backend,
            estimate=estimate,
            root_model=root,
            room=room,
            facts=facts,
        )

    def varied(self, prepared: Prepared, request: TrainSubagentModel) -> Prepared:
        """Return what was prepared with the request's ``overrides``, checked and priced anew."""
        chosen = self._hyperparameters(prepared.root_model, request.overrides)
        estimate = self._pricing.estimate(
            request, prepared.facts, chosen, prepared.rows, prepared.backend
        )
        room = self._pricing.check(request, estimate, prepared.backend, prepared.root_model)
        return replace(prepared, hyperparameters=chosen, estimate=estimate, room=room)

    def _dataset(self, agent: str, name: str | None) -> Dataset:
        """Return the named data set, or the agent's newest; one of another agent is refused."""
        if name is not None:
            dataset = self._datasets.get(name)
        else:
            own = [d for d in self._datasets.list() if d.agent == agent]
            if not own:
                raise DatasetError(
                    f"There is no data set for {agent}.",
                    remedy=f"Build one with `chef build-dataset {agent} --source …`.",
                )
            dataset = own[0]
        if dataset.agent != agent:
            raise DatasetError(
                f"Data set {dataset.id} belongs to {dataset.agent}, not to {agent}.",
                remedy=f"Build one with `chef build-dataset {agent} --source …`.",
            )
        return dataset

    def _hyperparameters(self, base_model: str, overrides: Mapping[str, Any]) -> Hyperparameters:
        chosen = self._defaults.training
        preset = self._defaults.preset(base_model)
        if preset is not None:
            chosen = chosen.replaced(preset.training, f"Preset of {base_model}")
        return chosen.replaced(overrides, "overrides")

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
                    "parent_version": self._bases.parent(prepared.agent, prepared.base_model),
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
            max_seconds=self._pricing.most_seconds(prepared.estimate),
        )


def divided(
    prepared: Prepared, *, compared: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows to train on, and those that a search or early stopping looks at: a tenth.

    The data set's own held-out examples are left for the evaluation, which they must not have
    influenced. Raises DatasetError when there are too few to be ``compared`` by.
    """
    if prepared.hyperparameters.early_stopping is None and not compared:
        return prepared.rows, []
    if compared and len(prepared.rows) < _FEWEST_ROWS:
        raise DatasetError(
            f"{counted(len(prepared.rows), '[example is|examples are]')} too few to keep some back "
            "for comparing.",
            remedy=f"Use {_FEWEST_ROWS} or more.",
        )
    numbered = list(enumerate(prepared.rows))
    return [row for n, row in numbered if n % 10], [row for n, row in numbered if not n % 10]


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
