"""Conversions to GGUF as jobs: from a request to a plan, from a finished job to a version."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.catalogue import (
    Catalogue,
    ModelRef,
    is_version,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import Dataset, DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.evaluation.jobs import EvaluationSpec
from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs, StartJob
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan, in_thread
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.agents.infrastructure.modelops.usecases.conversion import (
    ConversionResult,
    ConversionStarted,
    ConvertModelToGguf,
)
from agent_orchestrator.domain.jobs import Job
from agent_orchestrator.domain.models import EvalScores, ModelVersion, check_model_id
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.errors import (
    ConfigurationError,
    ConflictError,
    InputError,
    ModelIdError,
)

#: ``dataset`` of a request that does without an evaluation.
NO_EVALUATION = "none"
_PROTOCOL = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionSpec:
    """What the conversion's process needs to know; ``spec.json`` of its job folder."""

    model: str
    """Id of the result."""
    source: str
    """How people call what is converted."""
    hub_repo: str | None
    """Where to publish it, unless the evaluation rejects it."""
    worker: Mapping[str, Any]
    """``spec.json`` of the worker (``agent_orchestrator.trainer.gguf``)."""
    gate: EvaluationSpec | None
    """The evaluation beside its parent."""
    not_evaluated: str | None
    """Why there is none."""


SPEC: TypeAdapter[ConversionSpec] = TypeAdapter(ConversionSpec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What conversions need of this machine."""

    llama_cpp: Path
    """Folder that ``make setup-gguf`` filled."""
    check_push: Callable[[str], object] | None
    """Asks the Hub for the right to write for an owner, or raises; None without a token."""

    def check(self, output_repo: str | None) -> None:
        """Raise ConfigurationError for what is missing."""
        if not (self.llama_cpp / "ready").is_file():
            raise ConfigurationError(
                f"No llama.cpp at CHEF_LLAMA_CPP={str(self.llama_cpp)!r}.",
                remedy="Run `make setup-gguf`.",
            )
        if output_repo is None:
            return
        if "/" not in check_model_id(output_repo):
            raise ModelIdError(
                f"output_repo {output_repo!r} names no owner.", remedy="Write owner/name."
            )
        if self.check_push is None:
            raise ConfigurationError(
                f"Publishing to {output_repo} needs HUGGINGFACE_TOKEN, which is not set.",
                remedy="Set it, or convert without an output repository.",
            )
        self.check_push(output_repo.split("/")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A request with everything resolved."""

    agent: str | None
    source: ModelRef
    parent: ModelVersion | None
    model: str
    folder: Path
    dataset: Dataset | None
    not_evaluated: str | None


class Conversions:
    """Plans conversions and registers what they made."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        start: StartJob,
        catalogue: Catalogue,
        registry: ModelRegistry,
        datasets: DatasetStore,
        reports_dir: Path,
        owner: str,
        tools: Tools,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._jobs = jobs
        self._start_process = start
        self._catalogue = catalogue
        self._registry = registry
        self._datasets = datasets
        self._reports_dir = reports_dir
        self._owner = owner
        self._tools = tools
        self._clock = clock

    def plan(self, request: ConvertModelToGguf, caller: Caller) -> Plan:
        """Resolve and check a conversion.

        Raises UnknownAgentError, VersionNotFoundError, ModelIdError, InputError, DatasetError,
        ConfigurationError without llama.cpp or a token, ConflictError when it was done before.
        """
        prepared = self._prepare(request)
        self._tools.check(request.output_repo)
        dataset = prepared.dataset
        checked = f"evaluate it on {dataset.id}" if dataset else str(prepared.not_evaluated)
        pushed = f", publish it as {request.output_repo}" if request.output_repo else ""
        summary = (
            f"Convert {prepared.source} to GGUF ({request.quantization}) as {prepared.model}, "
            f"{checked}{pushed}."
        )

        return Plan(
            summary=summary,
            act=in_thread(self._start, request, prepared, caller),
            resolved={
                "source": prepared.source.model,
                "dataset_hash": dataset.hash if dataset else None,
            },
            details={"model": prepared.model, "dataset": dataset.id if dataset else None},
        )

    def register(self, job: Job, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Register what a completed conversion made, with its scores; repeatable."""
        result = ConversionResult.model_validate(manifest["conversion"])
        found = {
            "conversion": result.model_dump(mode="json"),
            "evaluation": manifest["evaluation"],
            "version": None,
        }
        if not job.agent:  # a model of no agent: a file, but no version
            return found
        parent = self._parent(job.agent, job.request["parent_version"])
        version = self._registry.add_model_version(
            job.agent,
            model_id=result.model,
            training_config=parent.training_config if parent else None,
            parent_version=parent.version if parent else None,
            trained_at=datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds"),
            trained_by=job.requester,
            job_id=job.id,
            hub_repo=job.request["hub_repo"],
            dataset_hash=parent.dataset_hash if parent else None,
            weights_sha256=manifest["weights_sha256"],
            quantization=result.quantization,
            tags=("gguf", result.quantization),
            changelog=f"{result.source} in GGUF, {result.quantization}.",
            part="patch",
        )
        if manifest["scores"] is not None:
            scores = EvalScores(**manifest["scores"])
            self._registry.update_evaluation_scores(job.agent, version.version, scores)
        return {**found, "version": version.version}

    def _prepare(self, request: ConvertModelToGguf) -> _Prepared:
        agent, source = self._source(request)
        parent = self._parent(agent, source.version) if agent else None
        if parent is not None and parent.quantization is not None:
            raise InputError(
                f"{source} is a GGUF file already ({parent.quantization}).",
                remedy=f"Convert {parent.parent_version or 'the model it was made from'}.",
            )
        name = source.model.rpartition("/")[2]
        model = check_model_id(f"{self._owner}/{name}-{request.quantization}-GGUF")
        folder = self._catalogue.artifact_folder(model)
        if folder.exists():
            raise ConflictError(
                f"{model} exists already.", remedy=f"Use it, or remove {folder} to make it anew."
            )
        dataset, why = self._dataset(request, agent, source, parent)
        return _Prepared(
            agent=agent,
            source=source,
            parent=parent,
            model=model,
            folder=folder,
            dataset=dataset,
            not_evaluated=why,
        )

    def _source(self, request: ConvertModelToGguf) -> tuple[str | None, ModelRef]:
        """Return what is to be converted, and whose it is."""
        if request.model is not None and request.version is not None:
            raise InputError("Both a model and a version are given.", remedy="Leave one out.")
        if request.agent is None:
            if request.model is None or is_version(request.model):
                raise InputError("Which model?", remedy="Give a model id, or an agent.")
            return self._owner_of(check_model_id(request.model))
        agent = self._catalogue.check_agent(request.agent)
        name = request.version or request.model
        if name is None:
            return agent, self._newest(agent)
        if is_version(name):
            return agent, self._catalogue.resolve(agent, name)
        return agent, self._catalogue.reference(agent, check_model_id(name))

    def _owner_of(self, model: str) -> tuple[str | None, ModelRef]:
        """Return a model with the one agent that has it as a version; no agent else."""
        agents = [
            agent
            for agent, record in self._registry.read().agents.items()
            if any(version.model_id == model for version in record.history)
        ]
        if len(agents) == 1:
            return agents[0], self._catalogue.reference(agents[0], model)
        return None, ModelRef(model)

    def _newest(self, agent: str) -> ModelRef:
        for version in self._registry.list_versions(agent):
            if version.quantization is None:
                return ModelRef(version.model_id, version.version)
        raise InputError(
            f"{agent} has no trained version.",
            remedy=f"Train one (`chef train {agent}`), or name a model id.",
        )

    def _parent(self, agent: str, version: str | None) -> ModelVersion | None:
        return None if version is None else self._registry.get_version(agent, version)

    def _dataset(
        self,
        request: ConvertModelToGguf,
        agent: str | None,
        source: ModelRef,
        parent: ModelVersion | None,
    ) -> tuple[Dataset | None, str | None]:
        """Return what to evaluate on, or why not."""
        if request.dataset == NO_EVALUATION:
            return None, "not evaluated, as asked"
        if agent is None:
            return None, "not evaluated: it is of no agent"
        if self._catalogue.artifact(source.model) is None:
            return None, "not evaluated: its parent is not on this machine"
        config = parent.training_config if parent else None
        name = request.dataset or (config.training_dataset if config else None)
        if not name:
            return None, "not evaluated: no data set is known; name one (dataset)"
        return self._datasets.get_for(agent, name), None

    def _start(
        self,
        request: ConvertModelToGguf,
        prepared: _Prepared,
        caller: Caller,
        approval_id: str | None,
    ) -> ConversionStarted:
        job_id = self._jobs.new_id()
        now = self._clock()
        job = Job(
            id=job_id,
            kind="conversion",
            agent=prepared.agent or "",
            status="pending",
            backend="local",
            request={
                "request": request.model_dump(mode="json"),
                "model": prepared.model,
                "parent_version": prepared.parent.version if prepared.parent else None,
                "hub_repo": request.output_repo,
            },
            requester=caller.name,
            created_at=now,
            updated_at=now,
            approval_id=approval_id,
        )
        body = SPEC.dump_python(self._spec(job_id, request, prepared), mode="json")
        self._jobs.start(job, lambda: self._start_process(job_id, body))
        return ConversionStarted(
            job_id=job_id,
            source=str(prepared.source),
            model=prepared.model,
            quantization=request.quantization,
            output_repo=request.output_repo,
            evaluated_on=prepared.dataset.id if prepared.dataset else None,
            not_evaluated=prepared.not_evaluated,
        )

    def _spec(
        self, job_id: str, request: ConvertModelToGguf, prepared: _Prepared
    ) -> ConversionSpec:
        source = prepared.source
        worker = {
            "protocol": _PROTOCOL,
            "job_id": job_id,
            "model": str(self._catalogue.artifact(source.model) or source.model),
            "name": source.model.rpartition("/")[2],
            "quantization": request.quantization,
            "output_dir": str(prepared.folder),
            "llama_cpp": str(self._tools.llama_cpp),
            "hub_repo": request.output_repo,
            "model_card": {"base_model": source.model},
        }
        return ConversionSpec(
            model=prepared.model,
            source=source.version or source.model,
            hub_repo=request.output_repo,
            worker=worker,
            gate=self._gate(job_id, request, prepared),
            not_evaluated=prepared.not_evaluated,
        )

    def _gate(
        self, job_id: str, request: ConvertModelToGguf, prepared: _Prepared
    ) -> EvaluationSpec | None:
        if prepared.dataset is None or prepared.agent is None:
            return None
        return EvaluationSpec(
            agent=prepared.agent,
            dataset=prepared.dataset.id,
            candidate=ModelRef(prepared.model),
            candidate_endpoint=Endpoint(prepared.model, "local"),
            baseline=prepared.source,
            baseline_endpoint=Endpoint(prepared.source.model, "local"),
            metrics=(),
            max_examples=request.max_examples,
            report_dir=self._reports_dir / job_id,
        )
