"""The checklist before traffic: nothing serves that did not load, answer and pass here."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol, get_args

import anyio

from agent_orchestrator.agents.infrastructure.modelops.usecases import ChecklistItem
from agent_orchestrator.domain.models import EvalScores
from agent_orchestrator.domain.scoring import Recommendation
from agent_orchestrator.domain.verdict import Verdict, worst
from agent_orchestrator.errors import ChefError, GateFailed, UpstreamError

BATCH = 8
_CLOCK_SKEW_HOURS = 1.0


class Answer(Protocol):
    """What the gate looks at in an answer; ``serving.router.Completion`` is one."""

    @property
    def text(self) -> str:
        """The answer's text."""

    @property
    def valid_output(self) -> bool:
        """Whether it passed output validation."""


Ask = Callable[[str], Awaitable[Answer]]
"""Send one prompt to the candidate; UpstreamError when there is no answer."""


async def smoke_test(ask: Ask, prompts: Sequence[str], limit_s: float) -> list[ChecklistItem]:
    """Load the candidate, ask it one prompt, then ``BATCH`` at once; ``prompts`` are repeated.

    The first call may take long (the server loads the model then), so only the batch is held
    against ``limit_s``. Stops at the first point that fails: the later ones need it.
    """
    started = time.monotonic()
    try:
        first = await ask(prompts[0])
    except UpstreamError as error:
        return [does_not_load(error)]
    loading = time.monotonic() - started
    items = [
        ChecklistItem(
            name="loads",
            verdict=Verdict.PASS,
            message=f"First answer after {loading:.2f} s.",
            measured={"seconds": loading},
        ),
        _answers(first),
        _valid([first]),
    ]
    if worst(item.verdict for item in items) is Verdict.FAIL:
        return items
    return items + await _batch(ask, prompts, limit_s)


async def _batch(ask: Ask, prompts: Sequence[str], limit_s: float) -> list[ChecklistItem]:
    answers: list[Answer] = []
    seconds: list[float] = []
    failures: list[str] = []

    async def one(prompt: str) -> None:
        started = time.monotonic()
        try:
            answers.append(await ask(prompt))
        except UpstreamError as error:
            failures.append(str(error))
        seconds.append(time.monotonic() - started)

    async with anyio.create_task_group() as tasks:
        for index in range(BATCH):
            tasks.start_soon(one, prompts[index % len(prompts)])
    slowest = max(seconds)
    return [
        ChecklistItem(
            name="batch",
            verdict=Verdict.FAIL if failures else Verdict.PASS,
            message=failures[0] if failures else f"{BATCH} prompts at once, all answered.",
            measured={"answered": len(answers), "asked": BATCH},
        ),
        _valid(answers, name="valid batch"),
        ChecklistItem(
            name="latency",
            verdict=Verdict.PASS if slowest <= limit_s else Verdict.FAIL,
            message=f"Slowest of {BATCH} at once {slowest:.2f} s, limit {limit_s:g} s.",
            measured={"seconds": slowest, "limit_s": limit_s},
        ),
    ]


def _answers(answer: Answer) -> ChecklistItem:
    answered = bool(answer.text.strip())
    return ChecklistItem(
        name="answers",
        verdict=Verdict.PASS if answered else Verdict.FAIL,
        message=f"Said {answer.text[:60]!r}." if answered else "The answer was empty.",
    )


def _valid(answers: Sequence[Answer], name: str = "valid output") -> ChecklistItem:
    valid = sum(answer.valid_output for answer in answers)
    return ChecklistItem(
        name=name,
        verdict=Verdict.PASS if 0 < valid == len(answers) else Verdict.FAIL,
        message=f"{valid} of {len(answers)} answers were valid.",
    )


def does_not_load(error: ChefError) -> ChecklistItem:
    """Return the finding that nothing answers for the candidate."""
    return ChecklistItem(name="loads", verdict=Verdict.FAIL, message=str(error))


def evaluation_fault(scores: EvalScores | None, max_age_hours: float, now: float) -> str | None:
    """Say why a candidate's last evaluation does not let it through; None when it does.

    ``now`` is in seconds since the epoch.
    """
    if scores is None or scores.recommendation is None or scores.evaluated_at is None:
        return "It has not been evaluated."
    if scores.recommendation == "reject":
        return "Its evaluation says reject."
    if scores.recommendation not in get_args(Recommendation):
        return f"Its evaluation says {scores.recommendation!r}, which is no recommendation."
    return _age_fault(scores.evaluated_at, max_age_hours, now)


def _age_fault(evaluated_at: str, max_age_hours: float, now: float) -> str | None:
    try:
        at = datetime.fromisoformat(evaluated_at)
    except ValueError:
        return f"Its evaluation is of {evaluated_at!r}, which is no time."
    hours = (now - (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) / 3600
    if hours < -_CLOCK_SKEW_HOURS:
        return f"Its evaluation is of {evaluated_at}, which is yet to come."
    if hours > max_age_hours:
        return f"Its evaluation is {hours:.0f} h old; the limit is {max_age_hours:g} h."
    return None


def check_evaluation(
    scores: EvalScores | None, fault: str | None, override_reason: str | None
) -> ChecklistItem:
    """Return the checklist's point on ``fault``; an override with a reason lets it pass."""
    if fault is None:
        verdict, message = Verdict.PASS, f"Recommendation {scores and scores.recommendation}."
    elif override_reason:
        verdict, message = Verdict.PASS, f"{fault} Overridden: {override_reason}"
    else:
        verdict, message = Verdict.FAIL, fault
    return ChecklistItem(name="evaluation", verdict=verdict, message=message)


def require_pass(model: str, items: Sequence[ChecklistItem]) -> None:
    """Raise GateFailed, naming every point that failed."""
    failed = [item for item in items if item.verdict is not Verdict.PASS]
    if failed:
        findings = "; ".join(f"{item.name}: {item.message}" for item in failed)
        evaluation = any(item.name == "evaluation" for item in failed)
        raise GateFailed(
            f"{model} did not pass the checklist, no traffic has moved: {findings}",
            remedy="Evaluate it, or deploy with --override-reason and have that approved."
            if evaluation
            else "Mend the model or its server, then deploy again.",
        )
