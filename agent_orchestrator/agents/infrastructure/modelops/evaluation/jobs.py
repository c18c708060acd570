"""Evaluations as jobs: from a request to a plan, from a finished job to the registry's scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue, ModelRef
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import Dataset, DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.evaluation.call_prices import (
    ORDERS,
    CallPrices,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import choose_metrics
from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs, StartJob
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan, in_thread
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.agents.infrastructure.modelops.usecases.evaluation import (
    EvaluateModelVsBaseline,
    EvaluationResult,
    EvaluationStarted,
    ExpenseResult,
    MetricResult,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.sentences import uploads
from agent_orchestrator.domain.evaluation import EvalReport, ModelResult
from agent_orchestrator.domain.expenses import TokenPrice, expenses
from agent_orchestrator.domain.jobs import Job
from agent_orchestrator.domain.models import EvalScores
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.errors import InputError

#: ``baseline`` of a request that wants the candidate alone.
NO_BASELINE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSpec:
    """What the evaluation's process needs to know; ``spec.json`` of its job folder."""

    agent: str
    dataset: str
    candidate: ModelRef
    candidate_endpoint: Endpoint
    baseline: ModelRef | None
    baseline_endpoint: Endpoint | None
    metrics: tuple[str, ...]
    max_examples: int | None
    report_dir: Path
    candidate_price: TokenPrice | None = None
    baseline_price: TokenPrice | None = None
    judge_endpoint: Endpoint | None = None
    """Where the model lives that compares the answers; None without one."""
    judge_price: TokenPrice | None = None
    repetitions: int = 1
    use_cache: bool = False
    """Whether answers that an earlier run paid for are taken, and these kept."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Model → what tells its weights from others of its id."""
    upload: bool = False
    """Whether the experiments go to LangSmith."""


SPEC: TypeAdapter[EvaluationSpec] = TypeAdapter(EvaluationSpec)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A request with everything resolved."""

    dataset: Dataset
    spec: EvaluationSpec
    examples: int
    cost_usd: float
    """At most."""
    assumptions: str
    """What the price assumes."""


class Evaluations:
    """Plans evaluation jobs and writes down what they found."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        start: StartJob,
        catalogue: Catalogue,
        registry: ModelRegistry,
        datasets: DatasetStore,
        reports_dir: Path,
        prices: CallPrices,
        langsmith: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``langsmith`` is the address that experiments are uploaded to, if they are."""
        self._jobs = jobs
        self._start_process = start
        self._catalogue = catalogue
        self._registry = registry
        self._datasets = datasets
        self._reports_dir = reports_dir
        self._prices = prices
        self._langsmith = langsmith
        self._clock = clock

    def plan(self, request: EvaluateModelVsBaseline, caller: Caller) -> Plan:
        """Resolve, check and price an evaluation.

        Raises UnknownAgentError, VersionNotFoundError, DatasetError, InputError.
        """
        prepared = self._prepare(request)
        spec, dataset = prepared.spec, prepared.dataset
        against = f"against {spec.baseline}" if spec.baseline else "without a baseline"
        uploads_to = self._langsmith if spec.upload else None
        times = f", {spec.repetitions} times each" if spec.repetitions > 1 else ""
        summary = (
            f"Evaluate {spec.candidate} {against} on {prepared.examples} held-out examples of "
            f"{dataset.id}{times}: at most ${prepared.cost_usd:.2f}. {prepared.assumptions}"
        ).rstrip()
        summary += uploads(uploads_to)
        return Plan(
            summary=summary,
            act=in_thread(self._start, request, prepared, caller),
            cost_usd=prepared.cost_usd,
            resolved={
                "dataset_hash": dataset.hash,
                "candidate": spec.candidate.model,
                "baseline": spec.baseline.model if spec.baseline else None,
            },
            details={
                "dataset": dataset.id,
                "examples": prepared.examples,
                "uploads_to": uploads_to,
            },
        )

    def record(self, job: Job, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write the scores of a completed evaluation into the registry; repeatable."""
        result = EvaluationResult.model_validate(manifest["evaluation"])
        version = job.request["candidate_version"]
        if version is not None:
            scores = EvalScores(**manifest["scores"])
            self._registry.update_evaluation_scores(job.agent, version, scores)
        return {"evaluation": result.model_dump(mode="json"), "version": version}

    def _prepare(self, request: EvaluateModelVsBaseline) -> _Prepared:
        agent = self._catalogue.check_agent(request.agent)
        candidate = self._catalogue.resolve(agent, request.candidate)
        baseline = self._baseline(agent, request.baseline, candidate)
        dataset = self._dataset(agent, request.dataset, candidate)
        place = self._catalogue.endpoint(candidate.model)
        old_place = self._catalogue.endpoint(baseline.model) if baseline else None
        judge = self._judge(request.judge, baseline)
        spec = EvaluationSpec(
            agent=agent,
            dataset=dataset.id,
            candidate=candidate,
            candidate_endpoint=place,
            candidate_price=self._prices.price(place),
            baseline=baseline,
            baseline_endpoint=old_place,
            baseline_price=self._prices.price(old_place) if old_place else None,
            metrics=choose_metrics(request.metrics) if request.metrics else (),
            max_examples=request.max_examples,
            repetitions=request.repetitions,
            use_cache=not request.no_cache,
            fingerprints={
                place.model: self._catalogue.fingerprint(place.model)
                for place in (place, old_place, judge)
                if place
            },
            report_dir=self._reports_dir,
            judge_endpoint=judge,
            judge_price=self._prices.price(judge) if judge else None,
            upload=self._langsmith is not None and not request.offline,
        )
        held_out = dataset.counts["eval"]
        examples = min(held_out, request.max_examples or held_out)
        endpoints = filter(None, (spec.candidate_endpoint, spec.baseline_endpoint))
        asked = dataset.examples("eval")
        costs = [self._prices.most(endpoint, asked, examples) for endpoint in endpoints]
        if spec.judge_endpoint is not None:
            costs += ORDERS * [self._prices.verdicts(spec.judge_endpoint, asked, examples)]
        return _Prepared(
            dataset=dataset,
            spec=spec,
            examples=examples,
            cost_usd=request.repetitions * sum(cost.usd for cost in costs),
            assumptions=" ".join(dict.fromkeys(cost.assumption for cost in costs)).strip(),
        )

    def _judge(self, model: str | None, baseline: ModelRef | None) -> Endpoint | None:
        """Return where the judge lives. Raises InputError when there is nothing to compare with."""
        if model is None:
            return None
        if baseline is None:
            raise InputError(
                f"{model} cannot judge without a baseline: it compares two answers.",
                remedy="Name a baseline, or leave the judge out.",
                field="judge",
            )
        return self._catalogue.endpoint(model)

    def _baseline(self, agent: str, name: str | None, candidate: ModelRef) -> ModelRef | None:
        if name == NO_BASELINE:
            return None
        baseline = self._catalogue.resolve(agent, name) if name else self._catalogue.serving(agent)
        if baseline.model == candidate.model:
            raise InputError(
                f"{candidate} is both candidate and baseline.",
                remedy=f"Name another baseline, or {NO_BASELINE!r} to measure it alone.",
                field="baseline",
            )
        return baseline

    def _dataset(self, agent: str, name: str | None, candidate: ModelRef) -> Dataset:
        """Return the named data set, else the one the candidate was trained with."""
        if name is None and candidate.version is not None:
            config = self._registry.get_version(agent, candidate.version).training_config
            name = config.training_dataset if config else None
        if not name:
            raise InputError(
                f"No data set to evaluate {candidate} on.",
                remedy="Name one (dataset).",
                field="dataset",
            )
        return self._datasets.get_for(agent, name)

    def _start(
        self,
        request: EvaluateModelVsBaseline,
        prepared: _Prepared,
        caller: Caller,
        approval_id: str | None,
    ) -> EvaluationStarted:
        spec = prepared.spec
        job_id = self._jobs.new_id()
        now = self._clock()
        job = Job(
            id=job_id,
            kind="evaluation",
            agent=spec.agent,
            status="pending",
            backend="local",
            request={
                "request": request.model_dump(mode="json"),
                "candidate_version": spec.candidate.version,
                "candidate": spec.candidate.model,
                "offline": not spec.upload,
            },
            requester=caller.name,
            created_at=now,
            updated_at=now,
            estimated_cost_usd=prepared.cost_usd,
            approval_id=approval_id,
        )
        spec = replace(spec, report_dir=spec.report_dir / job_id)
        body = SPEC.dump_python(spec, mode="json")
        self._jobs.start(job, lambda: self._start_process(job_id, body))
        return EvaluationStarted(
            job_id=job_id,
            agent=spec.agent,
            candidate=str(spec.candidate),
            baseline=str(spec.baseline) if spec.baseline else None,
            dataset=spec.dataset,
            n_examples=prepared.examples,
            estimated_cost_usd=prepared.cost_usd,
            offline=not spec.upload,
            uploads_to=self._langsmith if spec.upload else None,
        )


def summarise(report: EvalReport, reports: Mapping[str, str]) -> EvaluationResult:
    """Return the use case's result for a report."""
    sides = {"candidate": report.candidate, "baseline": report.baseline}
    return EvaluationResult(
        agent=report.agent,
        candidate=_name(report.candidate),
        baseline=_name(report.baseline) if report.baseline else None,
        scores={side: dict(result.scores) for side, result in sides.items() if result},
        improvement_pct=report.comparison.improvement_pct,
        changes=[
            MetricResult(
                metric=change.metric,
                baseline=change.baseline,
                candidate=change.candidate,
                change_pct=change.change_pct,
                difference=change.difference,
                interval=change.interval,
                supported=change.supported,
                weight=change.weight,
            )
            for change in report.comparison.changes
        ],
        expenses=[
            ExpenseResult(
                measure=found.measure,
                baseline=found.baseline,
                candidate=found.candidate,
                change_pct=found.change_pct,
                interval=found.interval,
            )
            for found in expenses(report.candidate, report.baseline)
        ],
        recommendation=report.comparison.recommendation,
        reasons=list(report.comparison.reasons),
        n_examples=report.n_examples,
        repetitions=report.repetitions,
        failed_calls={side: result.failed_calls for side, result in sides.items() if result},
        cached_calls={side: result.cached_calls for side, result in sides.items() if result},
        examples_needed=report.examples_needed,
        experiment_url=report.experiment_url,
        upload_error=report.upload_error,
        reports=dict(reports),
    )


def registry_scores(report: EvalReport, report_path: str) -> dict[str, Any]:
    """Return what the registry keeps of a report (the fields of EvalScores)."""
    known = EvalScores.__dataclass_fields__
    metrics = {m: s for m, s in report.candidate.scores.items() if m in known}
    return {
        **metrics,
        "avg_latency_ms": report.candidate.avg_latency_ms,
        "cost_per_1k_tokens": _cost_per_1k_tokens(report.candidate),
        "baseline_improvement_pct": report.comparison.improvement_pct,
        "baseline_version": report.baseline.version if report.baseline else None,
        "recommendation": report.comparison.recommendation,
        "n_examples": report.n_examples,
        "langsmith_experiment_url": report.experiment_url,
        "report_path": report_path,
        "evaluated_at": report.evaluated_at,
    }


def _cost_per_1k_tokens(result: ModelResult) -> float | None:
    if result.cost_usd is None or not result.total_tokens:
        return None
    return 1000.0 * result.cost_usd / result.total_tokens


def _name(result: ModelResult) -> str:
    return result.version or result.model
