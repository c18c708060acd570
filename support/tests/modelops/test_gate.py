"""The checklist before traffic."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from tests.modelops.world import Said

from agent_orchestrator.agents.infrastructure.modelops import gate
from agent_orchestrator.agents.infrastructure.modelops.usecases import ChecklistItem
from agent_orchestrator.domain.models import EvalScores
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import GateFailed, UpstreamError

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
GOOD = EvalScores(accuracy=0.9, recommendation="deploy", evaluated_at=NOW.isoformat())


async def smoke(*answers: Said | str | float, limit_s: float = 0.2) -> dict[str, Verdict]:
    """Run the smoke test against answers in turn: said, an error's text, or seconds to take."""
    asked: list[str] = []

    async def ask(prompt: str) -> Said:
        asked.append(prompt)
        answer = answers[min(len(asked), len(answers)) - 1]
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            return Said()
        if isinstance(answer, str):
            raise UpstreamError(answer)
        return answer

    items = await gate.smoke_test(ask, ["a", "b"], limit_s)
    assert all(item.message for item in items)
    return {item.name: item.verdict for item in items}


async def test_a_candidate_that_answers_well_passes() -> None:
    """One prompt, then eight at once, over and over the prompts there are."""
    found = await smoke(Said())
    assert list(found) == [
        "loads",
        "answers",
        "valid output",
        "batch",
        "valid batch",
        "latency",
    ]
    assert set(found.values()) == {Verdict.PASS}


@pytest.mark.parametrize(
    ("answers", "failed"),
    [
        (["connection refused"], ["loads"]),
        ([Said("")], ["answers"]),
        ([Said(" \n")], ["answers"]),
        ([Said(valid_output=False)], ["valid output"]),
        ([Said(), Said(), "overloaded", Said()], ["batch"]),
        ([Said(), "overloaded"], ["batch", "valid batch"]),
        ([Said(), Said(), Said(valid_output=False), Said()], ["valid batch"]),
        ([Said(), 0.5, Said()], ["latency"]),
    ],
)
async def test_what_fails_is_named(answers: list, failed: list[str]) -> None:
    """No answer, an empty, an invalid, a slow one; of one prompt or of many at once."""
    found = await smoke(*answers)
    assert [name for name, verdict in found.items() if verdict is not Verdict.PASS] == failed


async def test_the_first_answer_may_take_its_time() -> None:
    """The server loads the model then; only the batch is held against the limit."""
    found = await smoke(0.5, Said())
    assert set(found.values()) == {Verdict.PASS}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"recommendation": "deploy_canary"}, None),
        ({"recommendation": "needs_review"}, None),
        ({"recommendation": "reject"}, "says reject"),
        ({"recommendation": "DEPLOY"}, "'DEPLOY', which is no recommendation"),
        ({"recommendation": ""}, "'', which is no recommendation"),
        ({"recommendation": None}, "not been evaluated"),
        ({"evaluated_at": None}, "not been evaluated"),
        ({"evaluated_at": "yesterday"}, "'yesterday', which is no time"),
        ({"evaluated_at": (NOW - timedelta(hours=24)).isoformat()}, None),
        ({"evaluated_at": (NOW - timedelta(hours=25)).isoformat()}, "25 h old; the limit is 24 h"),
        ({"evaluated_at": "2026-11-20T12:00:00"}, None),
        ({"evaluated_at": "2026-11-20T12:59:00"}, None),
        ({"evaluated_at": "2099-01-01T00:00:00"}, "which is yet to come"),
        ({"evaluated_at": "2026-11-19T11:00:00"}, "25 h old"),
        (
            {"evaluated_at": NOW.astimezone(timezone(timedelta(hours=9))).isoformat()},
            None,
        ),
    ],
)
def test_an_evaluation_must_be_good_and_fresh(change: dict, fault: str | None) -> None:
    """Rejected, missing, unreadable or too old: each is a fault of its own."""
    found = gate.evaluation_fault(replace(GOOD, **change), 24, NOW.timestamp())
    if fault is None:
        assert found is None
    else:
        assert fault in found


def test_nothing_was_evaluated() -> None:
    """A model without scores has not been evaluated."""
    assert gate.evaluation_fault(None, 24, NOW.timestamp()) == "It has not been evaluated."


def test_an_override_needs_a_reason_and_is_recorded() -> None:
    """With one it passes, fault and reason in its message; without, it fails."""
    passed = gate.check_evaluation(GOOD, None, None)
    assert (passed.verdict, passed.message) == (Verdict.PASS, "Recommendation deploy.")
    failed = gate.check_evaluation(None, "It has not been evaluated.", None)
    assert failed.verdict is Verdict.FAIL
    overridden = gate.check_evaluation(None, "It has not been evaluated.", "rehearsal")
    assert overridden.verdict is Verdict.PASS
    assert overridden.message == "It has not been evaluated. Overridden: rehearsal"


def _point(name: str, verdict: Verdict) -> ChecklistItem:
    return ChecklistItem(name=name, verdict=verdict, message=f"{name} is {verdict}.")


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE])
def test_only_a_pass_passes(verdict: Verdict) -> None:
    """What could not be measured does not open the gate; every point that fails is named."""
    gate.require_pass("acme/one", [_point("loads", Verdict.PASS)])
    items = [_point("loads", verdict), _point("batch", verdict), _point("x", Verdict.PASS)]
    with pytest.raises(GateFailed, match=r"no traffic has moved: loads: .*; batch: ") as caught:
        gate.require_pass("acme/one", items)
    assert "server" in caught.value.remedy
    with pytest.raises(GateFailed) as caught:
        gate.require_pass("acme/one", [_point("evaluation", verdict)])
    assert "--override-reason" in caught.value.remedy
