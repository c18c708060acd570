"""The checklist before traffic."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from tests.modelops.world import Said, refused

from agent_orchestrator.agents.infrastructure.modelops.gate import checklist as gate
from agent_orchestrator.agents.infrastructure.modelops.gate.candidate_server import TimeLimits
from agent_orchestrator.agents.infrastructure.modelops.gate.smoke_test import BATCH
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import ChecklistItem
from agent_orchestrator.domain.models import EvalScores
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import GateFailed, UpstreamError
from agent_orchestrator.serving.failures import UpstreamFailure

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
GOOD = EvalScores(accuracy=0.9, recommendation="deploy", evaluated_at=NOW.isoformat())


LOADED = ["loads", "answers", "valid output"]
SMOKE = [*LOADED, "structured output", "batch", "valid batch", "latency"]
SCENARIOS = [
    "tool error",
    "empty message",
    "malformed message",
    "unknown model",
    "oversized prompt",
    "upstream down",
    "still answers",
]
POINTS = {
    "structured": "structured output",
    "tool": "tool error",
    "empty": "empty message",
    "malformed": "malformed message",
    "unknown": "unknown model",
    "oversized": "oversized prompt",
    "nobody": "upstream down",
}
"""What is asked → the point that it decides."""
QUICK = TimeLimits(load=1.0, call=1.0)

Reply = Said | UpstreamError | float
"""An answer, why there is none, or seconds to take before an answer."""


@dataclass
class Server:
    """A candidate whose reply depends on what it is asked: ``replies`` by name, in turn.

    ``prompt`` stands for every ordinary prompt; an exception in there ends the server's answers.
    """

    replies: dict[str, Sequence[Reply]] = field(default_factory=dict)
    oversized_tokens: int | None = 100
    asked: list[str] = field(default_factory=list)
    crashed: bool = False

    async def ask(self, body: Mapping[str, Any]) -> Said:
        """Answer what the body is a case of."""
        last = body["messages"][-1]
        content = last["content"]
        if "response_format" in body:
            case = "structured"
        elif last["role"] == "tool":
            case = "tool"
        elif not isinstance(content, str):
            case = "malformed"
        elif content == "":
            case = "empty"
        else:
            case = "oversized" if content.startswith("a a a") else "prompt"
        return await self._reply(case)

    async def ask_other(self, model: str, body: Mapping[str, Any]) -> Said:
        """Have no other model."""
        return await self._reply("unknown")

    async def ask_nobody(self, body: Mapping[str, Any]) -> Said:
        """Be out of reach."""
        return await self._reply("nobody")

    async def _reply(self, case: str) -> Said:
        self.asked.append(case)
        if self.crashed:
            raise UpstreamFailure("It cannot be reached.", kind="connection")
        replies = self.replies.get(case) or USUAL[case]
        reply = replies[min(self.asked.count(case), len(replies)) - 1]
        if isinstance(reply, UpstreamFailure) and reply.kind == "cut_off":
            self.crashed = True
        if isinstance(reply, UpstreamError):
            raise reply
        if isinstance(reply, float):
            await asyncio.sleep(reply)
            return Said()
        return reply


GONE = UpstreamFailure("It cannot be reached.", kind="connection")
CRASHED = UpstreamFailure("It broke off.", kind="cut_off")
USUAL: dict[str, Sequence[Reply]] = {
    "prompt": [Said()],
    "structured": [Said('{"answer": "yes", "confidence": 1}')],
    "tool": [Said("There is no such file.")],
    "empty": [refused(400)],
    "malformed": [refused(422)],
    "oversized": [refused(400)],
    "unknown": [refused(404)],
    "nobody": [GONE],
}


async def check(
    server: Server, *, latency_limit_s: float = 0.5, limits: TimeLimits = QUICK
) -> dict[str, Verdict]:
    """Run the checklist; return what each point came to."""
    items = await gate.check_candidate(server, ["a", "b"], latency_limit_s, limits)
    assert all(item.message for item in items)
    return {item.name: item.verdict for item in items}


async def test_a_candidate_that_behaves_passes_every_point() -> None:
    """It loads, answers one prompt, a form, eight at once, and refuses what is wrong."""
    server = Server()
    found = await check(server)
    assert list(found) == SMOKE + SCENARIOS
    assert set(found.values()) == {Verdict.PASS}
    assert server.asked.count("prompt") == 1 + BATCH + 1


@pytest.mark.parametrize(
    ("replies", "failed"),
    [
        ([GONE], ["loads"]),
        ([UpstreamError("overloaded")], ["loads"]),
        ([Said("")], ["answers"]),
        ([Said(" \n")], ["answers"]),
        ([Said(valid_output=False)], ["valid output"]),
        ([Said(), Said(), GONE, Said()], ["batch"]),
        ([Said(), GONE], ["batch", "valid batch"]),
        ([Said(), Said(), Said(valid_output=False), Said()], ["valid batch"]),
        ([Said(), 0.7, Said()], ["latency"]),
    ],
)
async def test_what_fails_is_named_and_ends_it(replies: Sequence[Reply], failed: list[str]) -> None:
    """No answer, an empty, an invalid, a slow one; of one prompt or of many at once."""
    server = Server({"prompt": replies})
    found = await check(server)
    assert [name for name, verdict in found.items() if verdict is not Verdict.PASS] == failed
    assert not set(found) & set(SCENARIOS)
    assert "tool" not in server.asked


async def test_the_first_answer_may_take_its_time() -> None:
    """The server loads the model then; only the batch is held against the limit."""
    found = await check(Server({"prompt": [0.7, Said()]}))
    assert set(found.values()) == {Verdict.PASS}


@pytest.mark.parametrize(("case", "point"), POINTS.items())
async def test_a_point_that_hangs_fails(case: str, point: str) -> None:
    """Nothing waits for ever: each call has its limit."""
    limits = TimeLimits(load=1.0, call=0.05)
    items = await gate.check_candidate(Server({case: [30.0]}), ["a"], 0.5, limits)
    (item,) = [item for item in items if item.verdict is not Verdict.PASS]
    assert (item.name, item.verdict) == (point, Verdict.FAIL)
    assert item.message == "No answer within 0.05 s."


async def test_a_model_that_never_loads_ends_the_checklist() -> None:
    """After the limit for loading."""
    found = await check(Server({"prompt": [30.0]}), limits=TimeLimits(load=0.05))
    assert found == {"loads": Verdict.FAIL}


async def test_the_latencies_of_the_batch_are_reported() -> None:
    """Their quantiles and the limit they are held against."""
    items = await gate.check_candidate(Server(), ["a"], 5.0, QUICK)
    (latency,) = [item for item in items if item.name == "latency"]
    assert latency.measured.keys() == {"p50_s", "p95_s", "p99_s", "slowest_s", "limit_s"}
    assert 0 < latency.measured["p50_s"] <= latency.measured["p99_s"] <= 5.0
    assert "limit 5 s" in latency.message


ERROR_500 = refused(500)
INSIDE_200 = UpstreamFailure("It reported an error: no.", kind="status")
INVALID = Said("", valid_output=False)


@pytest.mark.parametrize(
    ("case", "reply", "verdict"),
    [
        ("structured", refused(400), Verdict.INCONCLUSIVE),
        ("structured", Said("yes", False), Verdict.INCONCLUSIVE),
        ("structured", Said('{"answer": 1}', False), Verdict.FAIL),
        ("structured", Said('{"confidence": NaN}', False), Verdict.FAIL),
        ("structured", ERROR_500, Verdict.FAIL),
        ("tool", refused(400), Verdict.INCONCLUSIVE),
        ("tool", INVALID, Verdict.FAIL),
        ("tool", ERROR_500, Verdict.FAIL),
        ("empty", Said("How can I help?"), Verdict.PASS),
        ("empty", INVALID, Verdict.INCONCLUSIVE),
        ("empty", ERROR_500, Verdict.FAIL),
        ("malformed", Said(), Verdict.INCONCLUSIVE),
        ("malformed", ERROR_500, Verdict.FAIL),
        ("malformed", refused(429), Verdict.FAIL),
        ("malformed", INSIDE_200, Verdict.INCONCLUSIVE),
        ("oversized", refused(413), Verdict.PASS),
        ("oversized", Said(), Verdict.PASS),
        ("oversized", INVALID, Verdict.INCONCLUSIVE),
        ("oversized", ERROR_500, Verdict.FAIL),
        ("unknown", Said(), Verdict.INCONCLUSIVE),
        ("unknown", ERROR_500, Verdict.FAIL),
        ("nobody", Said(), Verdict.FAIL),
        ("nobody", ERROR_500, Verdict.FAIL),
    ],
)
async def test_each_scenario_has_an_expected_behaviour(
    case: str, reply: Reply, verdict: Verdict
) -> None:
    """A clear refusal or a valid answer; what says nothing either way is inconclusive."""
    found = await check(Server({case: [reply]}))
    point = POINTS[case]
    assert found.pop(point) is verdict
    assert set(found.values()) == {Verdict.PASS}
    item = ChecklistItem(name=point, verdict=verdict, message="x")
    assert gate.lets_through(item) is (verdict is not Verdict.FAIL)


@pytest.mark.parametrize("case", ["tool", "empty", "malformed", "unknown", "oversized"])
async def test_a_candidate_must_survive_the_scenarios(case: str) -> None:
    """A crash is found where it happens, and by the last question."""
    found = await check(Server({case: [CRASHED]}))
    assert found[POINTS[case]] is found["still answers"] is Verdict.FAIL


@pytest.mark.parametrize("tokens", [None, 5_000_000])
async def test_a_prompt_that_cannot_be_tried_is_not_sent(tokens: int | None) -> None:
    """An unknown context where it costs money, or one that no request body holds."""
    server = Server(oversized_tokens=tokens)
    found = await check(server)
    assert found["oversized prompt"] is Verdict.INCONCLUSIVE
    assert "oversized" not in server.asked


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
    """What could not be measured does not open the gate, but for the points that say so.

    Every point that fails is named.
    """
    harmless = _point("unknown model", Verdict.INCONCLUSIVE)
    gate.require_pass("acme/one", [harmless])
    gate.require_pass("acme/one", [_point("loads", Verdict.PASS)])
    items = [_point("loads", verdict), _point("batch", verdict), _point("x", Verdict.PASS)]
    with pytest.raises(GateFailed, match=r"no traffic has moved: loads: .*; batch: ") as caught:
        gate.require_pass("acme/one", items)
    assert "server" in caught.value.remedy
    with pytest.raises(GateFailed) as caught:
        gate.require_pass("acme/one", [_point("evaluation", verdict)])
    assert "override_reason" in caught.value.remedy


def test_the_guide_lists_the_points_in_their_order() -> None:
    """And sets in italics what may be inconclusive, on those points and no others."""
    guide = Path(__file__).parents[2] / "docs" / "SERVING_GUIDE.md"
    section = (
        guide.read_text(encoding="utf-8").partition("## The checklist")[2].partition("\n## ")[0]
    )
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    names = [row[0].removeprefix("| ") for row in rows]
    assert names == ["evaluation", *SMOKE, *SCENARIOS, "approval"]
    assert {name for name, row in zip(names, rows, strict=True) if "*" in row[2]} == (
        gate.MAY_BE_INCONCLUSIVE
    )
