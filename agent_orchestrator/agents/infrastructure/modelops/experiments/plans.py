"""Experiments as a use case: from a template to a plan with a price, and to a report."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

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
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.usecases.experiments import (
    ArmContrast,
    ArmScores,
    ExperimentResult,
    RunExperiment,
)
from agent_orchestrator.domain.experiments import ExperimentReport
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.domain.wording import counted
from agent_orchestrator.errors import DatasetError, InputError

RIDDLES_FILE: Final = Path(__file__).parent / "data" / "riddles.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedExperiment:
    """An experiment with everything resolved."""

    template: ExperimentTemplate
    examples: Sequence[Example]
    endpoints: Mapping[str, Endpoint]
    """Model → where it lives, the judge's too."""
    fresh: bool


class CarryOut(Protocol):
    """Runs a prepared experiment."""

    async def __call__(self, prepared: PreparedExperiment) -> ExperimentReport: ...  # noqa: D102


class Experiments:
    """Plans experiments and carries them out."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        datasets: DatasetStore,
        prices: CallPrices,
        carry_out: CarryOut,
        templates_dir: Path,
        reports_dir: Path,
        max_completion_tokens: int,
    ) -> None:
        self._catalogue = catalogue
        self._datasets = datasets
        self._prices = prices
        self._carry_out = carry_out
        self._templates_dir = templates_dir
        self._reports_dir = reports_dir
        self._max_completion_tokens = max_completion_tokens

    def plan(self, request: RunExperiment, _caller: Caller) -> Plan:
        """Resolve, check and price an experiment.

        Raises NotFoundError, SettingsError, DatasetError, InputError, the latter also when it may
        cost more than its budget.
        """
        path = find_template(request.template, self._templates_dir)
        template = _changed(load_template(path, tuple(request.models)), request)
        examples = stratified(self._examples(template, path), template.max_examples, template.seed)
        models = [*template.models, *([template.judge.model] if template.judge else [])]
        prepared = PreparedExperiment(
            template=template,
            examples=examples,
            endpoints={model: self._catalogue.endpoint(model) for model in models},
            fresh=request.fresh,
        )
        cost = self._cost(prepared)
        if cost.usd > template.budget_usd:
            raise InputError(
                f"{template.name} may cost ${cost.usd:.2f}, above its budget of "
                f"${template.budget_usd:.2f}. {cost.assumption}".rstrip(),
                remedy="Raise budget_usd, or take fewer examples, repetitions, models or modes.",
            )
        calls = len(template.arms) * len(examples) * template.repetitions

        async def act(_approval_id: str | None) -> ExperimentResult:
            return await self._act(prepared)

        return Plan(
            summary=(
                f"Run {template.name}: {counted(len(template.arms), 'arm[s]')} on "
                f"{counted(len(examples), 'example[s]')}, {counted(calls, 'run[s]')}, "
                f"at most ${cost.usd:.2f}. {cost.assumption}"
            ).rstrip(),
            act=act,
            cost_usd=cost.usd,
            resolved={
                "template": template.model_dump(mode="json"),
                "examples": digest([example.line() for example in examples]),
            },
            details={
                "arms": [arm.name for arm in template.arms],
                "baseline": template.baseline_arm.name,
                "examples": len(examples),
                "runs": calls,
                "compared": list(template.compared),
            },
        )

    async def _act(self, prepared: PreparedExperiment) -> ExperimentResult:
        from agent_orchestrator.agents.infrastructure.modelops.experiments.report import (  # noqa: PLC0415 - jinja, matplotlib
            write_experiment,
        )

        report = await self._carry_out(prepared)
        stamp = re.sub(r"\D", "", report.run_at)[:14]
        name = f"{_slug(report.name)}-{stamp}-{secrets.token_hex(2)}"
        folder = self._reports_dir / "experiments" / name
        paths = write_experiment(report, folder)
        return summarise(report, {name: str(path) for name, path in paths.items()})

    def _examples(self, template: ExperimentTemplate, path: Path) -> Sequence[Example]:
        """Return the riddles, a JSONL file's rows (beside the template), or what a set held out."""
        if template.examples == RIDDLES:
            return read_examples(RIDDLES_FILE)
        beside = path.parent / template.examples
        if beside.suffix == ".jsonl":
            return read_examples(beside)
        return self._datasets.get(template.examples).examples("eval")

    def _cost(self, prepared: PreparedExperiment) -> CallCost:
        """Return the most that the experiment may cost."""
        template, examples = prepared.template, prepared.examples
        costs = []
        for arm in template.arms:
            mode = template.modes[arm.mode]
            most = mode.max_completion_tokens or self._max_completion_tokens
            costs.append(
                self._prices.most(
                    prepared.endpoints[arm.model],
                    examples,
                    len(examples),
                    completion_tokens=most,
                    added_characters=len(mode.system),
                )
            )
        runs = [CallCost(cost.usd * template.repetitions, cost.assumption) for cost in costs]
        if template.judge is not None:
            runs.append(self._judge_cost(prepared))
        assumptions = dict.fromkeys(cost.assumption for cost in runs if cost.assumption)
        return CallCost(sum(cost.usd for cost in runs), " ".join(assumptions))

    def _judge_cost(self, prepared: PreparedExperiment) -> CallCost:
        template, judge = prepared.template, prepared.template.judge
        if judge is None:
            return CallCost(0.0)
        most = [mode.max_completion_tokens or 0 for mode in template.modes.values()]
        longest = max(self._max_completion_tokens, *most)
        arms = len(template.arms)
        asked = (arms if judge.grade else 0) + (ORDERS * (arms - 1) if judge.pairwise else 0)
        each = self._prices.verdicts(
            prepared.endpoints[judge.model],
            prepared.examples,
            len(prepared.examples),
            answer_tokens=longest,
        )
        return CallCost(each.usd * asked * template.repetitions, each.assumption)


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
        reports=dict(reports),
    )


def _changed(template: ExperimentTemplate, request: RunExperiment) -> ExperimentTemplate:
    given = {"max_examples": request.max_examples, "repetitions": request.repetitions}
    return template.model_copy(update={key: n for key, n in given.items() if n is not None})


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
