"""Finished runs as a use case: read from LangSmith, scored by the evaluators of evaluations.

What a run should have done stands in its metadata (``expected_agents``, ``expected_steps``,
``approval_required``, ``target_tokens``, ``latency_limit_s``), or in the example that it was run
on, which also says what is right. Without either, the configured targets hold, and only what they
and the run itself say is measured.

A run is an agent's when its metadata name it. One that names nobody, as a conversation with the
whole team, is the supervisor's, and of every agent that the work went to, or should have.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Wanted
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.run_trees import (
    RunTree,
    RunTrees,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import (
    ModelAnswer,
    choose_metrics,
    expectation,
    score,
    score_failed_call,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.traced_runs import (
    SUPERVISOR,
    answer,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.run_scores import (
    RunScore,
    RunScores,
    ScoreRuns,
)
from agent_orchestrator.domain.experiments import estimate
from agent_orchestrator.errors import DatasetError
from agent_orchestrator.stores.defaults import EvaluationDefaults

_LOWEST: Final = 3
_PROBLEMS: Final = 5


@dataclass(frozen=True, slots=True)
class ScoredRun:
    """One finished run."""

    id: str
    group: str
    failed: bool
    agents: frozenset[str] | None
    """Whom the work went to, or should have; None when the run names its agent, or has no parts
    that are agents."""
    answer: ModelAnswer
    scores: Mapping[str, float]


class RunScoring:
    """Scores finished runs."""

    def __init__(self, catalogue: Catalogue, trees: RunTrees, defaults: EvaluationDefaults) -> None:
        self._catalogue = catalogue
        self._trees = trees
        self._defaults = defaults

    def report(self, request: ScoreRuns) -> RunScores:
        """Read and score. Raises UnknownAgentError, InputError, and as ``RunTrees.read``."""
        agent = self._catalogue.check_agent(request.agent)
        metrics = choose_metrics(request.metrics)
        wanted = Wanted(agent=agent, filters=request.filters.selected())
        found = self._trees.read(request.project, wanted, request.max_runs)
        agents = self._catalogue.agents()
        every: list[ScoredRun] = []
        problems: list[str] = []
        for tree in found.trees:
            try:
                every.append(scored(tree, agents, metrics, self._defaults))
            except DatasetError as error:  # one run's metadata: the others count
                problems.append(error.message)
        runs = [run for run in every if _is_of(agent, run)]
        return RunScores(
            agent=agent,
            project=request.project,
            n_runs=len(runs),
            n_groups=len({run.group for run in runs}),
            failed_runs=sum(run.failed for run in runs),
            unfinished_runs=found.unfinished,
            other_runs=len(every) - len(runs),
            more_runs=found.more,
            scores=[_metric(metric, runs) for metric in metrics if _having(metric, runs)],
            avg_latency_s=_mean([run.answer.latency_s for run in runs]),
            avg_tokens=_mean([run.answer.total_tokens for run in runs]),
            problems=problems[:_PROBLEMS],
        )


def scored(
    tree: RunTree, agents: Collection[str], metrics: Sequence[str], defaults: EvaluationDefaults
) -> ScoredRun:
    """Score one run. Raises DatasetError that names the metadata key with a wrong value."""
    example = _example(tree)
    expected = expectation(
        example,
        target_tokens=defaults.target_tokens,
        latency_limit_s=defaults.latency_limit_s,
        sandbox=defaults.sandbox,
    )
    found = answer(tree, {*agents, *(expected.agents or ())})
    failed = tree.roots[-1].error is not None
    scores = score(expected, found, metrics)
    if failed:
        scores |= score_failed_call(expected, metrics)
    named = tree.metadata.get("agent") is not None
    parts = None if named or found.agents is None else found.agents | (expected.agents or set())
    return ScoredRun(example.id, example.group, failed, parts, found, scores)


def _is_of(agent: str, run: ScoredRun) -> bool:
    return run.agents is None or agent == SUPERVISOR or agent in run.agents


def _example(tree: RunTree) -> Example:
    """Return what the run should have done; its own outputs do not say what is right."""
    root, reference = tree.roots[0], tree.reference
    own = {"group": root.id, **tree.metadata}
    if reference is None:
        return Example(id=root.id, inputs=root.inputs, outputs={}, metadata=own)
    return Example(
        id=root.id,
        inputs=reference.inputs,
        outputs=reference.outputs,
        metadata={**own, "group": reference.group, **reference.metadata},
    )


def _having(metric: str, runs: Sequence[ScoredRun]) -> list[ScoredRun]:
    return [run for run in runs if metric in run.scores]


def _metric(metric: str, runs: Sequence[ScoredRun]) -> RunScore:
    having = _having(metric, runs)
    found = estimate([run.scores[metric] for run in having], [run.group for run in having])
    worst = sorted(having, key=lambda run: run.scores[metric])[:_LOWEST]
    return RunScore(
        metric=metric,
        mean=found.mean,
        interval=found.interval,
        n=found.n,
        lowest=[run.id for run in worst if run.scores[metric] < 1.0],
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
