"""Where two evaluated models differ, example by example."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from agent_orchestrator.agents.infrastructure.modelops.evaluation.report import load_report
from agent_orchestrator.agents.infrastructure.modelops.evaluation.report_content import (
    Differing,
    Kind,
    differing,
    name_of,
)
from agent_orchestrator.api.auth import Reader
from agent_orchestrator.api.ids import JobId
from agent_orchestrator.api.services import Wired
from agent_orchestrator.domain.evaluation import CallRecord, EvalReport
from agent_orchestrator.domain.jobs import Job
from agent_orchestrator.errors import NotFoundError

router = APIRouter(prefix="/jobs", tags=["jobs"])

PAGE_CHARACTERS = 500_000
"""A page ends after the example whose texts take it beyond this."""


class GivenAnswer(BaseModel):
    """What a model said to an example."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)

    answer: str | None
    """Whole; null where the call failed."""
    error: str | None
    """Why the call failed."""
    scores: dict[str, float]
    """Metric → score 0..1; what was not measured is absent."""
    latency_s: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None
    cached: bool
    """Whether an earlier run had paid for it; it has no latency then."""


class DifferingExample(BaseModel):
    """An example to which the models said different things."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    example_id: str
    repetition: int
    """Which asking of the example it is, from 0."""
    kind: Kind
    """``lost``: only the baseline is right; ``won``: only the candidate is; ``other``."""
    category: str
    """E.g. the defect's kind; empty where the data set has none."""
    task: str
    expected: str
    baseline: GivenAnswer
    candidate: GivenAnswer


class DifferingExamples(BaseModel):
    """A page of the examples on which the models differ, in the data set's order."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    job_id: str
    candidate: str
    baseline: str | None
    """Null where the candidate was measured alone; then nothing differs."""
    counts: dict[Kind, int]
    """How many there are of each kind, on all pages."""
    examples: list[DifferingExample]
    next: int | None
    """``after`` of the next page; null on the last."""


@router.get("/{job_id}/differences", operation_id="list_differing_examples")
def differences(
    job_id: JobId,
    _caller: Reader,
    services: Wired,
    kind: Annotated[Kind | None, Query(description="Only these.")] = None,
    after: Annotated[int, Query(ge=0, description="How many to leave out: `next`.")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> DifferingExamples:
    """List the examples on which candidate and baseline differ, with their whole texts.

    Of a completed evaluation, or of the one that a conversion ended with.
    """
    report = _report(services.embedded.jobs.get(job_id))
    found = differing(report)
    wanted = [one for one in found if kind in {None, one.kind}]
    page = _page(wanted[after : after + limit])
    end = after + len(page)
    return DifferingExamples(
        job_id=job_id,
        candidate=name_of(report.candidate),
        baseline=name_of(report.baseline) if report.baseline else None,
        counts={each: sum(one.kind == each for one in found) for each in ("lost", "won", "other")},
        examples=[_shown(one) for one in page],
        next=end if end < len(wanted) else None,
    )


def _report(job: Job) -> EvalReport:
    evaluation = (job.result or {}).get("evaluation")
    if evaluation is None:
        raise NotFoundError(
            f"Job {job.id} ({job.kind}, {job.status}) has no report of an evaluation.",
            remedy="Ask when it is completed, of a job that evaluates.",
        )
    return load_report(Path(evaluation["reports"]["json"]))


def _page(examples: list[Differing]) -> list[Differing]:
    """Return the first examples, as many as fit, but at least one."""
    characters = 0
    for i, one in enumerate(examples):
        texts = (one.task, one.expected, one.baseline.answer, one.candidate.answer)
        characters += sum(len(text or "") for text in texts)
        if characters > PAGE_CHARACTERS:
            return examples[: i + 1]
    return examples


def _shown(one: Differing) -> DifferingExample:
    return DifferingExample(
        example_id=one.example_id,
        repetition=one.candidate.repetition,
        kind=one.kind,
        category=one.category,
        task=one.task,
        expected=one.expected,
        baseline=_answer(one.baseline),
        candidate=_answer(one.candidate),
    )


def _answer(call: CallRecord) -> GivenAnswer:
    return GivenAnswer.model_validate(call)
