"""What a judge says of an answer to an example: a grade, or how it compares with another.

The judge is the one that shadows have (``serving.judge``): it sees request and answers as data.
"""

from __future__ import annotations

from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.domain.answers import Said
from agent_orchestrator.domain.evaluation import CallRecord
from agent_orchestrator.serving.judge import ModelJudge


async def grade(judge: ModelJudge, example: Example, answer: str) -> float | None:
    """Return the judge's grade of an answer, 0..1; None: no statement."""
    return await judge.grade(_body(example), _said(answer), reference=example.label)


async def preference(
    judge: ModelJudge, example: Example, before: CallRecord, after: CallRecord
) -> float | None:
    """Return 1 when the answer ``after`` is better than ``before``, 0.5 for a tie, 0 when worse.

    None: no statement, or one of them is no answer.
    """
    if before.answer is None or after.answer is None:
        return None
    return await judge.compare(_body(example), _said(before.answer), _said(after.answer))


def _body(example: Example) -> dict[str, Any]:
    return {"messages": example.messages}


def _said(answer: str) -> Said:
    return Said([{"content": answer}], valid=True)
