"""What a judge says of an experiment's answers: graded one by one, or compared with the baseline's.

The judge is the one that shadows have (``serving.judge``): it sees request and answers as data, a
comparison is asked for in both orders, and verdicts that disagree are a tie. Where it makes no
statement there is no score.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.evaluation.judging import grade, preference
from agent_orchestrator.agents.infrastructure.modelops.experiments.templates import (
    JUDGED,
    ExperimentTemplate,
    JudgeTemplate,
)
from agent_orchestrator.domain.evaluation import CallRecord
from agent_orchestrator.domain.experiments import Arm, ArmRun
from agent_orchestrator.serving.judge import ModelJudge


class AnswerJudge:
    """Judges every arm's answers."""

    def __init__(self, judge: ModelJudge, rules: JudgeTemplate, concurrency: int) -> None:
        self._judge = judge
        self._rules = rules
        self._free = asyncio.Semaphore(concurrency)

    async def judge(
        self, template: ExperimentTemplate, examples: Sequence[Example], runs: Mapping[Arm, ArmRun]
    ) -> dict[Arm, ArmRun]:
        """Return the runs with what the judge says of them."""
        by_id = {example.id: example for example in examples}
        judged = dict(runs)
        if self._rules.grade:
            for arm, run in runs.items():
                judged[arm] = await self._graded(run, by_id)
        if self._rules.pairwise:
            baseline = judged[template.baseline_arm]
            for arm, run in judged.items():
                if run is not baseline:
                    judged[arm] = await self._compared(run, baseline, by_id)
        return judged

    async def _graded(self, run: ArmRun, examples: Mapping[str, Example]) -> ArmRun:
        async def one(call: CallRecord) -> CallRecord:
            if call.answer is None:
                return call
            example = examples[call.example_id]
            async with self._free:
                score = await grade(self._judge, example, call.answer)
            scores = {} if score is None else {JUDGED: score}
            return replace(call, scores={**call.scores, **scores})

        return replace(run, calls=await asyncio.gather(*map(one, run.calls)))

    async def _compared(
        self, run: ArmRun, baseline: ArmRun, examples: Mapping[str, Example]
    ) -> ArmRun:
        """Compare the answers to the same example in the same repetition."""

        async def one(before: CallRecord, after: CallRecord) -> float | None:
            async with self._free:
                return await preference(self._judge, examples[after.example_id], before, after)

        pairs = list(zip(baseline.calls, run.calls, strict=True))
        verdicts = await asyncio.gather(*(one(before, after) for before, after in pairs))
        preferences: defaultdict[str, list[float]] = defaultdict(list)
        for (_, after), verdict in zip(pairs, verdicts, strict=True):
            if verdict is not None:
                preferences[after.example_id].append(verdict)
        return replace(run, preferences=dict(preferences))
