"""Candidate against baseline: both are really called on the same held-out examples.

Each model's run is a LangSmith experiment. Their calls share one queue, so that baseline and
candidate take turns and a machine that gets slower or faster meanwhile hits both alike.

A call that gets no answer counts as wrong for accuracy and has no other score. It is counted and
shown; when more than a tenth of a model's calls fail, the evaluation itself has failed: it would
measure the connection, not the model.

A metric is compared on the examples on which both models have a score, by the mean difference of
the pairs and its interval, clustered by the examples' groups and corrected for the number of
metrics by Holm's procedure. Repetitions of an example are averaged first: asking more often does
not feign certainty. Answers that an earlier run had paid for are taken from there, without a
latency, which was not measured now.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import Dataset
from agent_orchestrator.agents.infrastructure.modelops.datasets.training_rows import stratified
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
    ModelAnswer,
    choose_metrics,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.judging import preference
from agent_orchestrator.agents.infrastructure.modelops.evaluation.runs import Reply, run_experiment
from agent_orchestrator.domain.evaluation import (
    CallRecord,
    EvalReport,
    ModelResult,
    by_example,
)
from agent_orchestrator.domain.expenses import TokenPrice, cost, total_cost
from agent_orchestrator.domain.experiments import PREFERRED
from agent_orchestrator.domain.paired import Paired, PairedDifference, corrected
from agent_orchestrator.domain.scoring import compare
from agent_orchestrator.errors import UpstreamError
from agent_orchestrator.serving.judge import ModelJudge
from agent_orchestrator.stores.defaults import EvaluationDefaults

CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to evaluate."""

    model: str
    version: str | None = None
    """Registry version; None for a model that is not registered."""
    price: TokenPrice | None = None
    """None when nobody says what its tokens cost."""

    @property
    def name(self) -> str:
        """How people call it."""
        return self.version or self.model


class EvalRunner:
    """Evaluates models through the serving code."""

    def __init__(
        self,
        ask: CachedCaller,
        defaults: EvaluationDefaults,
        *,
        judge: ModelJudge | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``judge`` also compares the models' answers, in both orders (metric ``preferred``)."""
        self._ask = ask
        self._judge = judge
        self._defaults = defaults
        self._clock = clock

    async def run(
        self,
        agent: str,
        dataset: Dataset,
        candidate: Subject,
        baseline: Subject | None = None,
        *,
        metrics: Sequence[str] = (),
        max_examples: int | None = None,
        repetitions: int = 1,
        seed: int = 0,
        progress: Progress = lambda _done, _total: None,
    ) -> EvalReport:
        """Call both models on the data set's held-out examples and compare them.

        ``metrics``: those to measure, all that apply when empty. With ``max_examples`` each
        category keeps its share; each example is asked ``repetitions`` times. Raises InputError for
        an unknown metric, DatasetError for an example with a wrong target, UpstreamError when too
        many calls of a model failed.
        """
        wanted = choose_metrics(metrics)
        examples = stratified(dataset.examples("eval"), max_examples, seed)
        subjects = [candidate, *([baseline] if baseline else [])]
        asked = repeated(examples, repetitions)
        plan = _Plan(
            agent=agent,
            dataset=dataset,
            examples=examples,
            repeated=asked,
            prepared=prepare(examples, self._defaults),
            metrics=wanted,
            turns=Turns(len(subjects), self._defaults.concurrency),
            tick=counter(len(asked) * len(subjects), progress),
        )
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._calls(plan, subject)) for subject in subjects]
        except ExceptionGroup as group_error:  # the first fault cancelled the rest
            raise group_error.exceptions[0] from None
        calls = [task.result() for task in tasks]
        if self._judge is not None and baseline is not None:
            calls = await self._compared(self._judge, asked, *calls)
        results = [_model_result(*pair) for pair in zip(subjects, calls, strict=True)]
        return self._report(plan, results[0], results[1] if baseline else None)

    async def _compared(
        self,
        judge: ModelJudge,
        examples: Sequence[Example],
        candidate: Sequence[CallRecord],
        baseline: Sequence[CallRecord],
    ) -> list[Sequence[CallRecord]]:
        """Return both models' calls with their share in the judge's preference, 1 together."""
        free = asyncio.Semaphore(self._defaults.concurrency)

        async def one(example: Example, after: CallRecord, before: CallRecord) -> float | None:
            async with free:
                return await preference(judge, example, before, after)

        rows = list(zip(examples, candidate, baseline, strict=True))
        verdicts = await asyncio.gather(*(one(*row) for row in rows))
        return [
            [_preferred(call, v) for call, v in zip(candidate, verdicts, strict=True)],
            [
                _preferred(call, None if v is None else 1.0 - v)
                for call, v in zip(baseline, verdicts, strict=True)
            ],
        ]

    async def _calls(self, plan: _Plan, subject: Subject) -> Sequence[CallRecord]:
        """Run one model's experiment; UpstreamError when too many of its calls failed."""
        respondent = Respondent(subject.model, len(plan.repeated), plan.turns, plan.tick)

        async def ask(example: Example) -> Reply:
            return await respondent.reply(lambda: self._answer(plan, subject, example))

        rows = await run_experiment(
            f"{plan.agent}-{subject.name}",
            plan.repeated,
            ask,
            plan.score,
            concurrency=self._defaults.concurrency,
            metadata=plan.metadata(subject),
        )
        if respondent.is_hopeless:
            raise UpstreamError(
                f"{subject.name}: {len(respondent.failures)} of {len(plan.repeated)} calls failed, "
                f"more than an evaluation bears ({respondent.bearable}). "
                f"The first: {respondent.failures[0]}",
                remedy="See that the model is served, then evaluate again.",
            )
        return [replace(c, cost_usd=cost(c, subject.price)) for c in map(record, rows)]

    async def _answer(self, plan: _Plan, subject: Subject, example: Example) -> ModelAnswer:
        return await self._ask.run(
            subject.model,
            self._body(example),
            plan.prepared[own_id(example)].tools,
            repetition=repetition(example),
            max_turns=self._defaults.max_turns,
        )

    def _body(self, example: Example) -> dict[str, Any]:
        """Return the request; greedy, so that the same model gives the same answer again."""
        return {
            "messages": example.messages,
            "max_tokens": self._defaults.max_completion_tokens,
            "temperature": 0,
        }

    def _report(
        self, plan: _Plan, candidate: ModelResult, baseline: ModelResult | None
    ) -> EvalReport:
        pairs = _pairs(baseline, candidate)
        differences = {metric: pair.difference for metric, pair in pairs.items()}
        before = None
        if baseline is not None:
            before = _lacking(candidate, baseline) | _side("baseline", pairs)
        comparison = compare(
            before,
            {**candidate.scores, **_side("candidate", pairs)},
            differences=differences,
            weights=self._defaults.weights,
        )
        correctness = differences.get("accuracy") or differences.get("agent_routing_accuracy")
        return EvalReport(
            agent=plan.agent,
            dataset=plan.dataset.id,
            dataset_hash=plan.dataset.hash,
            candidate=candidate,
            baseline=baseline,
            comparison=comparison,
            n_examples=len(plan.examples),
            repetitions=len(plan.repeated) // len(plan.examples),
            examples_needed=correctness.examples_needed if correctness else None,
            tasks={example.id: example.task for example in plan.examples},
            evaluated_at=self._clock().isoformat(timespec="seconds"),
            settings={
                "metrics": list(plan.metrics),
                "confidence": CONFIDENCE,
                "correction": "Holm, over the metrics",
                **self._defaults.model_dump(mode="json"),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan(RunPlan):
    """What both models' runs share."""

    agent: str
    dataset: Dataset

    def metadata(self, subject: Subject) -> dict[str, str]:
        """Return what tells this experiment from others."""
        return {
            "agent": self.agent,
            "model": subject.model,
            "model_version": subject.version or "",
            "experiment_type": "baseline_vs_candidate",
            "dataset": self.dataset.id,
            "dataset_hash": self.dataset.hash,
        }


@dataclass(frozen=True, slots=True)
class _Pair:
    """One metric on the examples on which both models have it."""

    baseline: float
    candidate: float
    difference: PairedDifference


def _pairs(baseline: ModelResult | None, candidate: ModelResult) -> dict[str, _Pair]:
    """Return the paired means and differences of every metric that both models have."""
    if baseline is None:
        return {}
    groups = {call.example_id: call.group for call in candidate.calls}
    rows: dict[str, list[tuple[float, float, str]]] = {}
    for metric in sorted(candidate.scores.keys() & baseline.scores.keys()):
        before, after = _means(baseline, metric), _means(candidate, metric)
        found = [(before[e], new, groups[e]) for e, new in after.items() if e in before]
        if found:
            rows[metric] = found
    differences = corrected(
        {
            metric: Paired([new - old for old, new, _ in found], [g for _, _, g in found])
            for metric, found in rows.items()
        },
        CONFIDENCE,
    )
    return {
        metric: _Pair(
            _mean([old for old, _, _ in found]),
            _mean([new for _, new, _ in found]),
            differences[metric],
        )
        for metric, found in rows.items()
    }


def _means(result: ModelResult, metric: str) -> dict[str, float]:
    """Return the examples' means over their repetitions."""
    return by_example(result.calls, lambda call: call.scores.get(metric))


def _side(side: Literal["baseline", "candidate"], pairs: Mapping[str, _Pair]) -> dict[str, float]:
    return {metric: getattr(pair, side) for metric, pair in pairs.items()}


def _lacking(candidate: ModelResult, baseline: ModelResult) -> dict[str, float]:
    """Return the baseline's scores that the candidate lacks: named in the report, not compared."""
    return {m: s for m, s in baseline.scores.items() if m not in candidate.scores}


def _preferred(call: CallRecord, share: float | None) -> CallRecord:
    return call if share is None else replace(call, scores={**call.scores, PREFERRED: share})


def _model_result(subject: Subject, calls: Sequence[CallRecord]) -> ModelResult:
    """Sum up one model's calls."""
    measured = {metric for call in calls for metric in call.scores}
    latencies = [call.latency_s for call in calls if call.latency_s is not None]
    tokens = [
        call.prompt_tokens + call.completion_tokens
        for call in calls
        if call.prompt_tokens is not None and call.completion_tokens is not None
    ]
    return ModelResult(
        model=subject.model,
        version=subject.version,
        calls=tuple(calls),
        scores={
            metric: _mean([c.scores[metric] for c in calls if metric in c.scores])
            for metric in sorted(measured)
        },
        failed_calls=sum(call.error is not None for call in calls),
        avg_latency_ms=1000.0 * _mean(latencies) if latencies else None,
        total_tokens=sum(tokens) if tokens else None,
        cost_usd=total_cost(calls),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
