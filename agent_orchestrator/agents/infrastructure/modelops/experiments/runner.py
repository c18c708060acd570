"""Runs an experiment: every arm answers every example, as often as the template says.

The arms' calls share one queue and take turns, so that a machine or a service that gets slower
meanwhile hits all alike. Each arm's run is an experiment of LangSmith's evaluate, as in an
evaluation. A call that gets no answer counts as wrong for accuracy, has no other score, is counted
and shown; an arm with more than a tenth of such calls is not compared.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example, digest
from agent_orchestrator.agents.infrastructure.modelops.evaluation.answer_cache import CachedCaller
from agent_orchestrator.agents.infrastructure.modelops.evaluation.calls import (
    Progress,
    Respondent,
    RunPlan,
    Turns,
    counter,
    own_id,
    prepare,
    record,
    repeated,
    repetition,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import (
    EVALUATORS,
    ModelAnswer,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.runs import Reply, run_experiment
from agent_orchestrator.agents.infrastructure.modelops.experiments.judging import AnswerJudge
from agent_orchestrator.agents.infrastructure.modelops.experiments.templates import (
    ExperimentTemplate,
)
from agent_orchestrator.domain.expenses import TokenPrice, cost, total_cost
from agent_orchestrator.domain.experiments import (
    SHOWN_FAILURES,
    Arm,
    ArmRun,
    ExperimentReport,
    accuracy_by_category,
    contrasts,
    summary,
)
from agent_orchestrator.errors import UpstreamError
from agent_orchestrator.stores.defaults import EvaluationDefaults


@dataclass(frozen=True, slots=True)
class FinishedRuns:
    """An experiment that was run."""

    report: ExperimentReport
    runs: Sequence[ArmRun]
    """With every call."""


class ExperimentRunner:
    """Runs experiments through the serving code."""

    def __init__(
        self,
        ask: CachedCaller,
        defaults: EvaluationDefaults,
        *,
        prices: Mapping[str, TokenPrice | None],
        judge: AnswerJudge | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``prices``: model → what its tokens cost, None when nobody knows."""
        self._ask = ask
        self._defaults = defaults
        self._prices = prices
        self._judge = judge
        self._clock = clock

    async def run(
        self,
        template: ExperimentTemplate,
        examples: Sequence[Example],
        progress: Progress = lambda _done, _total: None,
    ) -> FinishedRuns:
        """Run every arm on the examples, judge, and compare.

        Raises DatasetError for an example with a wrong target, UpstreamError when too many of the
        baseline's calls failed.
        """
        plan = self._plan(template, examples, progress)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._arm(plan, arm)) for arm in template.arms]
        except ExceptionGroup as errors:  # the first fault cancelled the rest
            raise errors.exceptions[0] from None
        runs = {task.result().arm: task.result() for task in tasks}
        baseline = runs[template.baseline_arm]
        _check_baseline(baseline)
        if self._judge is not None:
            runs = await self._judge.judge(template, examples, runs)
        arms = list(runs.values())
        return FinishedRuns(self._report(plan, arms, runs[template.baseline_arm]), arms)

    def _plan(
        self, template: ExperimentTemplate, examples: Sequence[Example], progress: Progress
    ) -> _Plan:
        asked = repeated(examples, template.repetitions)
        return _Plan(
            template=template,
            examples=examples,
            repeated=asked,
            prepared=prepare(examples, self._defaults),
            metrics=tuple(m for m in template.metrics if m in EVALUATORS) or tuple(EVALUATORS),
            turns=Turns(len(template.arms), self._defaults.concurrency),
            tick=counter(len(asked) * len(template.arms), progress),
        )

    async def _arm(self, plan: _Plan, arm: Arm) -> ArmRun:
        """Let one arm answer; what it paid for earlier comes from the cache."""
        respondent = Respondent(arm.name, len(plan.repeated), plan.turns, plan.tick)

        async def ask(example: Example) -> Reply:
            return await respondent.reply(lambda: self._answer(plan, arm, example))

        rows = await run_experiment(
            f"{plan.template.name}-{arm.name}",
            plan.repeated,
            ask,
            plan.score,
            concurrency=self._defaults.concurrency,
            metadata={"experiment": plan.template.name, "model": arm.model, "mode": arm.mode},
        )
        price = self._prices.get(arm.model)
        calls = [replace(call, cost_usd=cost(call, price)) for call in map(record, rows)]
        return ArmRun(arm=arm, calls=calls, cost_usd=total_cost(calls))

    async def _answer(self, plan: _Plan, arm: Arm, example: Example) -> ModelAnswer:
        return await self._ask.run(
            arm.model,
            request(plan.template, arm, example, self._defaults.max_completion_tokens),
            plan.prepared[own_id(example)].tools,
            repetition=repetition(example),
            max_turns=self._defaults.max_turns,
        )

    def _report(self, plan: _Plan, runs: Sequence[ArmRun], baseline: ArmRun) -> ExperimentReport:
        template = plan.template
        others = [run for run in runs if run is not baseline]
        failures = [
            (run.arm.name, call.example_id, call.error)
            for run in runs
            for call in run.calls
            if call.error is not None
        ]
        categories: defaultdict[str, int] = defaultdict(int)
        for example in plan.examples:
            categories[example.category] += 1
        return ExperimentReport(
            name=template.name,
            description=template.description,
            examples=template.examples,
            examples_hash=digest([example.line() for example in plan.examples]),
            n_examples=len(plan.examples),
            n_groups=len({example.group for example in plan.examples}),
            repetitions=template.repetitions,
            baseline=baseline.arm.name,
            arms=tuple(summary(run) for run in runs),
            contrasts=tuple(contrasts(baseline, others, template.compared)),
            by_category=accuracy_by_category(runs),
            categories=dict(categories),
            failures=tuple(failures[:SHOWN_FAILURES]),
            run_at=self._clock().isoformat(timespec="seconds"),
            settings={
                "template": template.model_dump(mode="json"),
                "evaluation": self._defaults.model_dump(mode="json"),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan(RunPlan):
    """What all arms share."""

    template: ExperimentTemplate


def request(
    template: ExperimentTemplate, arm: Arm, example: Example, max_tokens: int
) -> dict[str, Any]:
    """Return the body that puts an example to an arm."""
    mode = template.modes[arm.mode]
    messages: list[Any] = list(example.messages)
    if mode.system:
        messages.insert(0, {"role": "system", "content": mode.system})
    return {
        **mode.body,
        "messages": messages,
        "max_tokens": mode.max_completion_tokens or max_tokens,
        "temperature": template.temperature,
    }


def _check_baseline(baseline: ArmRun) -> None:
    if baseline.usable:
        return
    errors = [call.error for call in baseline.calls if call.error is not None]
    raise UpstreamError(
        f"{baseline.arm.name}, the baseline: {len(errors)} of {len(baseline.calls)} calls failed. "
        f"The first: {errors[0]}",
        remedy="See that the model is served, then run again: what was answered is kept.",
    )
