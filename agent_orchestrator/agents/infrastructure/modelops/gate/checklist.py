"""The checklist before traffic: nothing serves that did not load, answer and pass here.

Points, in their order: evaluation; loads, answers, valid output, structured output, batch, valid
batch, latency (``smoke_test``); tool error, empty message, malformed message, unknown model,
oversized prompt, upstream down, still answers (``error_scenarios``); approval.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import get_args

from agent_orchestrator.agents.infrastructure.modelops.gate.candidate_server import (
    CandidateServer,
    TimeLimits,
)
from agent_orchestrator.agents.infrastructure.modelops.gate.error_scenarios import error_scenarios
from agent_orchestrator.agents.infrastructure.modelops.gate.smoke_test import smoke_test
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import ChecklistItem
from agent_orchestrator.domain.models import EvalScores
from agent_orchestrator.domain.scoring import Recommendation
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import GateFailed

#: The points on which a server may be impossible to judge without that standing in the way. All
#: of them are about what a server does with what it should not get, or need not support; output
#: validation and the guardrails go on watching that in traffic. Everything else must be a PASS.
MAY_BE_INCONCLUSIVE = frozenset(
    {
        "structured output",  # it takes no response_format, or ignores it
        "tool error",  # it takes no tools' messages
        "empty message",  # it said nothing to nothing
        "malformed message",  # it answers all the same
        "unknown model",  # it has one model and answers to any name
        "oversized prompt",  # its context is not known, or too long to be tried
    }
)
_CLOCK_SKEW_HOURS = 1.0


async def check_candidate(
    server: CandidateServer,
    prompts: Sequence[str],
    latency_limit_s: float,
    limits: TimeLimits | None = None,
) -> list[ChecklistItem]:
    """Return what the candidate did; the error scenarios only after a smoke test that passed.

    ``prompts``, at least one, are of the kind that the agent gets.
    """
    limits = limits or TimeLimits()
    items = await smoke_test(server, prompts, latency_limit_s, limits)
    if not all(map(lets_through, items)):
        return items
    return items + await error_scenarios(server, limits)


def lets_through(item: ChecklistItem) -> bool:
    """Return whether a point does not stand in the way of traffic."""
    if item.verdict is Verdict.INCONCLUSIVE:
        return item.name in MAY_BE_INCONCLUSIVE
    return item.verdict is Verdict.PASS


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
    failed = [item for item in items if not lets_through(item)]
    if failed:
        findings = "; ".join(f"{item.name}: {item.message}" for item in failed)
        evaluation = any(item.name == "evaluation" for item in failed)
        raise GateFailed(
            f"{model} did not pass the checklist, no traffic has moved: {findings}",
            remedy="Evaluate it, or deploy with an override_reason and have that approved."
            if evaluation
            else "Mend the model or its server, then deploy again.",
            checklist=[(item.name, item.verdict.value, item.message) for item in items],
        )
