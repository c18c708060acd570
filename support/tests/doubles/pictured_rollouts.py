"""Rollouts of an installation to look at: traffic as the gateways would have recorded it."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.doubles.clock import ago

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    DrillReport,
    ProcessDrill,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.requests import build_request
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.domain.outcomes import Feedback, Outcome, Role
from agent_orchestrator.domain.rollout import RolloutState
from agent_orchestrator.domain.routing import Arm
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import ApprovalRequired
from agent_orchestrator.wiring.embedded import Embedded

ADA: Final = Caller("ada", "http", "admin")
OLGA: Final = Caller("olga", "http", "operator")
HOUR: Final = 3600.0


async def do(system: Embedded, use_case: UseCaseName, **values: Any) -> Any:
    """Have it done as the operator asks for it; the administrator approves."""
    request = build_request(use_case, values)
    try:
        result = await system.coordinator.run(use_case, request, OLGA)
    except ApprovalRequired as needed:
        reason = "Looks good to me."
        await system.coordinator.answer(needed.approval_id, ADA, approve=True, reason=reason)
        result = await system.coordinator.resume(needed.approval_id, OLGA)
    return result.model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How an arm does."""

    errors: float
    seconds: float
    quality: float
    preferred: float = 0.5
    """How often its answer wins against the one that was served."""


STABLE: Final = Behaviour(0.012, 0.84, 0.80)
GOOD: Final = Behaviour(0.010, 0.71, 0.86, preferred=0.61)
RUINOUS: Final = Behaviour(0.16, 1.4, 0.55)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One rollout: what is deployed how long ago, and how each candidate does."""

    agent: str
    strategy: str = "canary"
    begun: float
    """Hours ago."""
    hours: int
    """Of traffic, at most: it ends with the rollout."""
    an_hour: int = 100
    """Requests."""
    candidates: tuple[Behaviour, ...] = (GOOD,)
    more: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the request to deploy."""
    drilled: bool = False


PLANS: Final[Mapping[str, Plan]] = {
    "rolled_back_id": Plan(agent="cicd", begun=90, hours=60, candidates=(RUINOUS,)),
    "rollout_id": Plan(agent="feature_dev", begun=30, hours=30, drilled=True),
    "challengers_id": Plan(
        agent="infrastructure",
        strategy="champion_challenger",
        begun=20,
        hours=20,
        candidates=(GOOD, Behaviour(0.011, 0.9, 0.8), Behaviour(0.02, 0.6, 0.42)),
        more={"challengers": ["acme/infrastructure-v3", "acme/documentation-v2"]},
    ),
    "ensemble_id": Plan(
        agent="supervisor",
        strategy="ensemble",
        begun=12,
        hours=12,
        candidates=(GOOD, Behaviour(0.03, 1.1, 0.78)),
        more={"challengers": ["acme/supervisor-v3"], "judge": "acme/supervisor"},
    ),
    "shadow_id": Plan(
        agent="cicd",
        strategy="shadow",
        begun=12,
        hours=12,
        an_hour=60,
        more={"judge": "acme/supervisor", "policy": {"mirror": 50}},
    ),
}
"""By the names of their ids in the history."""


async def play(system: Embedded, plan: Plan) -> str:
    """Deploy it in the past; let traffic come, and the timer decide each hour. Returns its id."""
    with ago(plan.begun * HOUR):
        policy = {"drill": False, **plan.more.get("policy", {})}
        done = await do(
            system,
            "deploy_model_to_agent",
            agent=plan.agent,
            model=f"acme/{plan.agent}-v2",
            strategy=plan.strategy,
            override_reason="Its evaluation was made elsewhere.",
            **{**plan.more, "policy": policy},
        )
    rollout_id = str(done["rollout_id"])
    if plan.drilled:
        _drill(system, rollout_id, plan)
    chance = random.Random(plan.agent + plan.strategy)  # noqa: S311 - the same every time
    for hour in range(int(plan.hours)):
        if system.rollouts.get(rollout_id).ended_at is not None:
            break
        with ago((plan.begun - hour) * HOUR):
            _traffic(system, rollout_id, plan, chance)
        with ago((plan.begun - hour - 1) * HOUR):
            await asyncio.to_thread(system.timer.tick)
    return rollout_id


def _drill(system: Embedded, rollout_id: str, plan: Plan) -> None:
    """Record a rehearsed rollback: no gateway serves here that could follow one."""
    with ago(plan.begun * HOUR - 40):
        at = time.time()
        report = DrillReport(
            verdict=Verdict.PASS,
            message="A rollback is effective everywhere after 0.046 s, the last answer of the old "
            "arm came after 0.479 s.",
            at=at,
            away_s=0.049,
            processes=[
                ProcessDrill(process="gateway-17827", in_effect_s=0.046, last_answer_s=0.479),
                ProcessDrill(process="gateway-17828", in_effect_s=0.043, last_answer_s=0.312),
            ],
        )
        system.rollouts.append_decision(
            rollout_id,
            intent_id="dr_pictured",
            at=at,
            actor=OLGA.name,
            kind="drilled",
            message=report.message,
            evidence={"drill": report.model_dump(mode="json")},
        )


def _traffic(system: Embedded, rollout_id: str, plan: Plan, chance: random.Random) -> None:
    """Record the requests that come within an hour from now on, and what is said of some."""
    state = system.rollouts.get(rollout_id)
    does = dict(zip((arm.name for arm in state.arms), (STABLE, *plan.candidates), strict=True))
    outcomes: list[Outcome] = []
    judgements: list[Feedback] = []
    begun = time.time()
    for number in range(plan.an_hour):
        at = begun + HOUR * number / plan.an_hour
        request_id = f"r{chance.randrange(10**12):012d}"
        attempts = [
            _attempt(state, arm, does[arm.name], chance, request_id=request_id, role=role, at=at)
            for arm, role in _asked(state, chance)
        ]
        outcomes += [replace(one, attempt=number) for number, one in enumerate(attempts)]
        judgements += [said for one in attempts for said in _judged(one, does[one.arm], chance)]
    system.outcomes.append_many(outcomes)
    system.outcomes.add_feedback_many(judgements)


def _asked(state: RolloutState, chance: random.Random) -> Iterator[tuple[Arm, Role]]:
    """Yield the arms that a request goes to, and what each is asked for."""
    if state.strategy == "ensemble":
        yield from ((arm, "member") for arm in state.arms if arm.weight)
        return
    (served,) = chance.choices(state.arms, [arm.weight for arm in state.arms])
    yield served, "serve"
    for arm in state.arms:
        if 100 * chance.random() < arm.mirror:
            yield arm, "mirror"


def _attempt(
    state: RolloutState,
    arm: Arm,
    does: Behaviour,
    chance: random.Random,
    *,
    request_id: str,
    role: Role,
    at: float,
) -> Outcome:
    failed = chance.random() < does.errors
    return Outcome(
        request_id=request_id,
        attempt=0,
        at=at,
        agent=state.agent,
        task_id=f"t-{request_id}",
        model=arm.model,
        arm=arm.name,
        version=arm.version,
        rollout_id=state.id,
        latency_ms=1000 * does.seconds * math.exp(chance.gauss(0, 0.45)),
        error="status" if failed else None,
        valid_output=None if failed else chance.random() < 0.995,
        prompt_tokens=420,
        completion_tokens=96,
        role=role,
    )


def _judged(one: Outcome, does: Behaviour, chance: random.Random) -> Iterator[Feedback]:
    """Yield what people say of every second answer, and a judge of every copy's."""
    if one.error is not None:
        return
    if one.role == "serve" and chance.random() < 0.5:
        score = 1.0 if chance.random() < does.quality else 0.0
        yield Feedback(one.request_id, score, "review", one.at)
    if one.role == "mirror":
        score = 0.5 if chance.random() < 0.4 else float(chance.random() < does.preferred)
        yield Feedback(one.request_id, score, "judge", one.at, "preference", arm=one.arm)
