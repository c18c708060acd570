"""Experiments as jobs: from a template to a plan with a price, and from a report to a result."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example, digest
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import BadRow, Wanted
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.files import open_file
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.datasets.training_rows import stratified
from agent_orchestrator.agents.infrastructure.modelops.evaluation.call_prices import (
    ORDERS,
    CallCost,
    CallPrices,
)
from agent_orchestrator.agents.infrastructure.modelops.experiments.templates import (
    RIDDLES,
    ExperimentTemplate,
    find_template,
    load_template,
)
from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs, StartJob
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan, in_thread
from agent_orchestrator.agents.infrastructure.modelops.usecases.experiments import (
    ArmContrast,
    ArmScores,
    ExperimentResult,
    ExperimentStarted,
    RunExperiment,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.sentences import uploads
from agent_orchestrator.domain.expenses import TokenPrice
from agent_orchestrator.domain.experiments import ExperimentReport
from agent_orchestrator.domain.jobs import Job
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.errors import DatasetError, InputError

RIDDLES_FILE: Final = Path(__file__).parent / "data" / "riddles.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentSpec:
    """What the experiment's process needs to know; ``spec.json`` of its job folder."""

    template: ExperimentTemplate
    examples: tuple[Example, ...]
    set_name: str
    """Of the set that the examples are of."""
    set_hash: str
    agent: str
    """Empty when the models are nobody's."""
    versions: Mapping[str, str]
    """Model → its version, where the agent's registry knows it."""
    endpoints: Mapping[str, Endpoint]
    """Model → where it lives, the judge's too."""
    prices: Mapping[str, TokenPrice | None]
    """Model → what its tokens cost, the judge's too; None when nobody says."""
    fingerprints: Mapping[str, str]
    """Model → what tells its weights from others of its id."""
    use_cache: bool
    upload: bool
    """Whether the experiments go to LangSmith."""
    report_dir: Path

    @property
    def runs(self) -> int:
        """How often an arm is to answer."""
        return len(self.template.arms) * len(self.examples) * self.template.repetitions


SPEC: TypeAdapter[ExperimentSpec] = TypeAdapter(ExperimentSpec)


class Experiments:
    """Plans experiments as jobs."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        start: StartJob,
        catalogue: Catalogue,
        datasets: DatasetStore,
        prices: CallPrices,
        templates_dir: Path,
        reports_dir: Path,
        max_completion_tokens: int,
        langsmith: str | None = None,
    ) -> None:
        """``langsmith`` is the address that experiments are uploaded to, if they are."""
        self._jobs = jobs
        self._start_process = start
        self._catalogue = catalogue
        self._datasets = datasets
        self._prices = prices
        self._templates_dir = templates_dir
        self._reports_dir = reports_dir
        self._max_completion_tokens = max_completion_tokens
        self._langsmith = langsmith

    def plan(self, request: RunExperiment, caller: Caller) -> Plan:
        """Resolve, check and price an experiment.

        Raises NotFoundError, SettingsError, UnknownAgentError, DatasetError, InputError, the latter
        also when it may cost more than its budget.
        """
        spec = self._spec(request)
        template, cost = spec.template, self._cost(spec)
        if cost.usd > template.budget_usd:
            raise InputError(
                f"{template.name} may cost ${cost.usd:.2f}, above its budget of "
                f"${template.budget_usd:.2f}. {cost.assumption}".rstrip(),
                remedy="Raise budget_usd, or take fewer examples, repetitions, models or modes.",
            )
        uploads_to = self._langsmith if spec.upload else None
        summary = (
            f"Run {template.name}: {len(template.arms)} arms on {len(spec.examples)} examples, "
            f"{spec.runs} runs, at most ${cost.usd:.2f}. {cost.assumption}"
        ).rstrip()
        summary += uploads(uploads_to)
        return Plan(
            summary=summary,
            act=in_thread(self._start, request, spec, cost, caller),
            cost_usd=cost.usd,
            resolved={
                "template": template.model_dump(mode="json"),
                "examples": digest([example.line() for example in spec.examples]),
            },
            details={
                "arms": [arm.name for arm in template.arms],
                "baseline": template.baseline_arm.name,
                "examples": len(spec.examples),
                "runs": spec.runs,
                "compared": list(template.compared),
                "uploads_to": uploads_to,
            },
        )

    def record(self, job: Job, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what a completed experiment found; repeatable."""
        result = ExperimentResult.model_validate(manifest["experiment"])
        return {"experiment": result.model_dump(mode="json")}

    def _spec(self, request: RunExperiment) -> ExperimentSpec:
        path = find_template(request.template, self._templates_dir)
        template = _changed(load_template(path, tuple(request.models)), request)
        asked = self._examples(template, path)
        agent = template.agent or asked.agent
        if agent:
            self._catalogue.check_agent(agent)
        models = [*template.models, *([template.judge.model] if template.judge else [])]
        endpoints = {model: self._catalogue.endpoint(model) for model in models}
        found = {
            model: self._catalogue.reference(agent, model).version for model in models if agent
        }
        return ExperimentSpec(
            template=template,
            examples=tuple(stratified(asked.examples, template.max_examples, template.seed)),
            set_name=asked.name,
            set_hash=asked.hash,
            agent=agent,
            versions={model: version for model, version in found.items() if version},
            endpoints=endpoints,
            prices={model: self._prices.price(place) for model, place in endpoints.items()},
            fingerprints={model: self._catalogue.fingerprint(model) for model in models},
            use_cache=not request.no_cache,
            upload=self._langsmith is not None and not request.offline,
            report_dir=self._reports_dir / "experiments",
        )

    def _start(
        self,
        request: RunExperiment,
        spec: ExperimentSpec,
        cost: CallCost,
        caller: Caller,
        approval_id: str | None,
    ) -> ExperimentStarted:
        job_id, now = self._jobs.new_id(), self._jobs.now()
        job = Job(
            id=job_id,
            kind="experiment",
            agent=spec.agent,
            status="pending",
            backend="local",
            request={"request": request.model_dump(mode="json"), "offline": not spec.upload},
            requester=caller.name,
            created_at=now,
            updated_at=now,
            estimated_cost_usd=cost.usd,
            approval_id=approval_id,
        )
        folder = spec.report_dir / f"{_slug(spec.template.name)}-{job_id}"
        body = SPEC.dump_python(replace(spec, report_dir=folder), mode="json")
        self._jobs.start(job, lambda: self._start_process(job_id, body))
        return ExperimentStarted(
            job_id=job_id,
            experiment=spec.template.name,
            agent=spec.agent,
            arms=[arm.name for arm in spec.template.arms],
            n_examples=len(spec.examples),
            runs=spec.runs,
            estimated_cost_usd=cost.usd,
            offline=not spec.upload,
            uploads_to=self._langsmith if spec.upload else None,
        )

    def _examples(self, template: ExperimentTemplate, path: Path) -> _Asked:
        """Return the riddles, a JSONL file's rows (beside the template), or what a set held out."""
        if template.examples == RIDDLES:
            return _of_file(RIDDLES, read_examples(RIDDLES_FILE))
        beside = path.parent / template.examples
        if beside.suffix == ".jsonl":
            return _of_file(beside.stem, read_examples(beside))
        dataset = self._datasets.get(template.examples)
        return _Asked(dataset.id, dataset.hash, dataset.agent, dataset.examples("eval"))

    def _cost(self, spec: ExperimentSpec) -> CallCost:
        """Return the most that the experiment may cost."""
        template, examples = spec.template, spec.examples
        costs = []
        for arm in template.arms:
            mode = template.modes[arm.mode]
            most = mode.max_completion_tokens or self._max_completion_tokens
            costs.append(
                self._prices.most(
                    spec.endpoints[arm.model],
                    examples,
                    len(examples),
                    completion_tokens=most,
                    added_characters=len(mode.system),
                )
            )
        runs = [CallCost(cost.usd * template.repetitions, cost.assumption) for cost in costs]
        if template.judge is not None:
            runs.append(self._judge_cost(spec))
        assumptions = dict.fromkeys(cost.assumption for cost in runs if cost.assumption)
        return CallCost(sum(cost.usd for cost in runs), " ".join(assumptions))

    def _judge_cost(self, spec: ExperimentSpec) -> CallCost:
        template, judge = spec.template, spec.template.judge
        if judge is None:
            return CallCost(0.0)
        most = [mode.max_completion_tokens or 0 for mode in template.modes.values()]
        longest = max(self._max_completion_tokens, *most)
        arms = len(template.arms)
        asked = (arms if judge.grade else 0) + (ORDERS * (arms - 1) if judge.pairwise else 0)
        each = self._prices.verdicts(
            spec.endpoints[judge.model],
            spec.examples,
            len(spec.examples),
            answer_tokens=longest,
        )
        return CallCost(each.usd * asked * template.repetitions, each.assumption)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A set of examples, and whose it is."""

    name: str
    hash: str
    agent: str
    examples: Sequence[Example]


def _of_file(name: str, examples: Sequence[Example]) -> _Asked:
    """Return a set that is nobody's, named by its content."""
    found = digest([example.line() for example in examples])
    return _Asked(f"{name}-{found[:8]}", found, "", examples)


def read_examples(path: Path) -> list[Example]:
    """Return every row of a JSONL file as an example.

    Raises DatasetError for a row that is none, and for an id that stands there twice.
    """
    found: dict[str, Example] = {}
    for row in open_file(str(path), Wanted(agent="")).examples:
        if isinstance(row, BadRow):
            raise row.error
        if row.id in found:
            raise DatasetError(
                f"{path.name}: the id {row.id!r} stands there twice.", remedy="Give each its own."
            )
        found[row.id] = row
    if not found:
        raise DatasetError(f"{path.name} has no examples.", remedy="Write one a line.")
    return list(found.values())


def summarise(report: ExperimentReport, reports: Mapping[str, str]) -> ExperimentResult:
    """Return the use case's result for a report."""
    return ExperimentResult(
        experiment=report.name,
        baseline=report.baseline,
        n_examples=report.n_examples,
        repetitions=report.repetitions,
        arms=[
            ArmScores(
                arm=arm.name,
                model=arm.model,
                mode=arm.mode,
                scores={metric: found.mean for metric, found in arm.scores.items()},
                intervals={metric: found.interval for metric, found in arm.scores.items()},
                calls=arm.calls,
                failed_calls=arm.failed_calls,
                cached_calls=arm.cached_calls,
                compared=arm.compared,
                avg_latency_s=arm.avg_latency_s,
                avg_tokens=arm.avg_tokens,
                cost_usd=arm.cost_usd,
            )
            for arm in report.arms
        ],
        contrasts=[
            ArmContrast(
                arm=found.arm,
                metric=found.metric,
                difference=found.difference,
                interval=found.interval,
                p_value=found.p_value,
                p_adjusted=found.p_adjusted,
                supported=found.supported,
                examples_needed=found.examples_needed,
            )
            for found in report.contrasts
        ],
        experiment_url=report.experiment_url,
        upload_error=report.upload_error,
        reports=dict(reports),
    )


def _changed(template: ExperimentTemplate, request: RunExperiment) -> ExperimentTemplate:
    given = {"max_examples": request.max_examples, "repetitions": request.repetitions}
    return template.model_copy(update={key: n for key, n in given.items() if n is not None})


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
