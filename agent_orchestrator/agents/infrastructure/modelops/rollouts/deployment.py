"""Deploy: what gives models traffic."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

import anyio.to_thread
from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue, ModelRef
from agent_orchestrator.agents.infrastructure.modelops.gate import checklist as gate
from agent_orchestrator.agents.infrastructure.modelops.gate.candidate_server import CandidateServer
from agent_orchestrator.agents.infrastructure.modelops.gate.smoke_test import does_not_load
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.rollouts.drills import Drills
from agent_orchestrator.agents.infrastructure.modelops.rollouts.transitions import (
    Decision,
    Transitions,
    new_rollout_id,
)
from agent_orchestrator.agents.infrastructure.modelops.targets import Placement, Target
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    ChecklistItem,
    Deployed,
    DeployedArm,
    DeployModelToAgent,
    DrillReport,
)
from agent_orchestrator.domain import rollout_machine
from agent_orchestrator.domain.models import check_model_id
from agent_orchestrator.domain.rollout import RolloutPolicy, RolloutState
from agent_orchestrator.domain.routing import Endpoint, Provider, Strategy
from agent_orchestrator.domain.strategies.names import parse_strategy
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import ChefError, ConflictError, InputError, UnavailableError
from agent_orchestrator.stores.rollouts import RolloutStore

_POLICY: TypeAdapter[RolloutPolicy] = TypeAdapter(RolloutPolicy)

OpenGate = Callable[[Endpoint, int | None], AbstractAsyncContextManager[CandidateServer]]
"""Reach the candidate as the gateway will; a local model's server is started if none runs. The
number is what it can read, in tokens, where that is known."""
LoadPolicy = Callable[[Mapping[str, Any]], RolloutPolicy]
SamplePrompts = Callable[[str], Sequence[str]]
"""Agent → prompts of the kind it gets, at least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """One candidate as it was resolved, and what its evaluation says."""

    ref: ModelRef
    placement: Placement
    evaluation: ChecklistItem
    overridden: bool
    recommendation: str | None

    @property
    def resolved(self) -> dict[str, object]:
        """What an approval of its deployment binds."""
        return {
            "model": asdict(self.ref),
            "endpoint": asdict(self.placement.endpoint),
            "placement": dict(self.placement.resolved),
            "recommendation": self.recommendation,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deployment:
    """A deployment as the request was resolved and checked."""

    agent: str
    state: RolloutState
    """The rollout as it would begin now."""
    stable: ModelRef
    candidates: tuple[_Candidate, ...]
    summary: str

    @property
    def policy(self) -> RolloutPolicy:
        """The rules of the rollout."""
        return self.state.policy


class Deployment:
    """Plans and carries out changes of what serves.

    A plan is made from the present state; under the deployment lock it is carried out only if that
    state still is the present one.
    """

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        rollouts: RolloutStore,
        transitions: Transitions,
        targets: Mapping[Provider, Target],
        drills: Drills,
        open_gate: OpenGate,
        load_policy: LoadPolicy,
        sample_prompts: SamplePrompts,
        evaluation_max_age_hours: float,
        gateway_url: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalogue = catalogue
        self._rollouts = rollouts
        self._transitions = transitions
        self._targets = targets
        self._drills = drills
        self._open_gate = open_gate
        self._load_policy = load_policy
        self._sample_prompts = sample_prompts
        self._max_age_hours = evaluation_max_age_hours
        self._gateway_url = gateway_url
        self._clock = clock

    # -- deploy ---------------------------------------------------------------------------------

    def plan_deploy(self, request: DeployModelToAgent, caller: Caller) -> Plan:
        """Plan a deployment; the checklist runs when it is carried out, before any traffic moves.

        Every candidate goes through it. Raises UnknownAgentError, VersionNotFoundError, InputError
        (also for a strategy that takes no challengers), ConflictError (a rollout runs, or a model
        is named twice or serves already), GateFailed (an evaluation forbids it), and what a
        target's ``plan`` raises.
        """
        planned = self._prepare(request)
        first = planned.candidates[0]

        async def act(approval_id: str | None) -> Deployed:
            return await self._deploy(planned, caller, approval_id)

        prices = [c.placement.usd_per_hour for c in planned.candidates]
        return Plan(
            summary=planned.summary,
            act=act,
            cost_usd=sum(prices),
            per_hour=any(prices),
            changes_serving=True,
            resolved={
                "candidates": [candidate.resolved for candidate in planned.candidates],
                "stable": asdict(planned.stable),
                "strategy": planned.state.strategy,
                "judge": planned.state.judge,
                "policy": _POLICY.dump_python(planned.policy, mode="json"),
            },
            details={
                "steps": list(planned.policy.steps),
                "stable": str(planned.stable),
                "candidate": ", ".join(str(c.ref) for c in planned.candidates),
                "evaluation": " ".join(c.evaluation.message for c in planned.candidates),
                **first.placement.details,
            },
        )

    def _prepare(self, request: DeployModelToAgent) -> _Deployment:
        agent = request.agent
        strategy, policy = parse_strategy(request.strategy, self._load_policy(request.policy))
        refs = [self._candidate(request), *self._challengers(request)]
        stable = self._catalogue.serving(agent)
        self._refuse_running(agent)
        _refuse_twins(agent, stable, refs)
        state = self._start(request, strategy, policy, stable, refs)
        candidates = tuple(self._checked(request, ref) for ref in refs)
        summary = _summary(state, request.strategy, candidates)
        return _Deployment(
            agent=agent, state=state, stable=stable, candidates=candidates, summary=summary
        )

    def _start(
        self,
        request: DeployModelToAgent,
        strategy: Strategy,
        policy: RolloutPolicy,
        stable: ModelRef,
        refs: Sequence[ModelRef],
    ) -> RolloutState:
        """Return the rollout as it would begin now."""
        now = self._clock()
        state, _ = rollout_machine.start(
            id=new_rollout_id(now),
            agent=request.agent,
            strategy=strategy,
            policy=policy,
            arms=rollout_machine.line_up(
                strategy,
                (stable.model, stable.version),
                [(ref.model, ref.version) for ref in refs],
            ),
            judge=None if request.judge is None else check_model_id(request.judge),
            now=now,
        )
        return state

    def _checked(self, request: DeployModelToAgent, ref: ModelRef) -> _Candidate:
        """Return a candidate with its place and what its evaluation says.

        Raises GateFailed when that stands in the way.
        """
        scores = self._catalogue.scores(request.agent, ref)
        fault = gate.evaluation_fault(scores, self._max_age_hours, self._clock())
        evaluation = gate.check_evaluation(scores, fault, _override_reason(request))
        gate.require_pass(str(ref), [evaluation])
        return _Candidate(
            ref=ref,
            placement=self._place(ref.model, request),
            evaluation=evaluation,
            overridden=fault is not None,
            recommendation=scores.recommendation if scores else None,
        )

    def _place(self, model: str, request: DeployModelToAgent) -> Placement:
        endpoint = self._catalogue.endpoint(
            model, request.target, url=request.endpoint, api_key_env=request.api_key_env
        )
        return self._targets[endpoint.provider].plan(endpoint)

    def _candidate(self, request: DeployModelToAgent) -> ModelRef:
        candidate = self._catalogue.resolve(
            request.agent,
            request.version or request.model,
            placed=bool(request.target or request.endpoint),
        )
        if request.version and request.model and candidate.model != request.model:
            raise InputError(
                f"{request.agent}'s {request.version} is {candidate.model}, not {request.model!r}.",
                remedy="Name the version or the model.",
            )
        return candidate

    def _challengers(self, request: DeployModelToAgent) -> list[ModelRef]:
        """Return the further candidates. Raises InputError when one place is given for several."""
        if request.challengers and request.endpoint:
            raise InputError(
                f"endpoint {request.endpoint!r} is given for several models.",
                remedy="List in models.yaml where each of them lives.",
            )
        return [
            self._catalogue.resolve(request.agent, name, placed=bool(request.target))
            for name in request.challengers
        ]

    async def _deploy(
        self, planned: _Deployment, caller: Caller, approval_id: str | None
    ) -> Deployed:
        async with AsyncExitStack() as ready:
            endpoints, checklist = [], []
            for candidate in planned.candidates:
                target = self._targets[candidate.placement.endpoint.provider]
                endpoint = await ready.enter_async_context(target.ready(candidate.placement))
                smoke = await self._smoke_test(planned, candidate, endpoint)
                items = [candidate.evaluation, *smoke, _approved(approval_id)]
                gate.require_pass(str(candidate.ref), items)
                endpoints.append(endpoint)
                checklist += _of_candidate(planned, candidate, items)
            state, decision = _begun(planned, caller, approval_id, checklist, self._clock())
            await anyio.to_thread.run_sync(
                self._begin, state, decision, planned.stable, tuple(endpoints)
            )
        drill = await self._drill(state, caller) if planned.policy.drill else None
        first = planned.candidates[0].ref
        return Deployed(
            agent=planned.agent,
            deployed=True,
            version=first.version,
            model=first.model,
            rollout_id=state.id,
            rollout_pct=state.weight,
            arms=[
                DeployedArm(
                    arm=arm.name,
                    version=arm.version,
                    model=arm.model,
                    weight_pct=arm.weight,
                    mirror_pct=arm.mirror,
                )
                for arm in state.arms
            ],
            endpoint_url=self._gateway_url,
            checklist=checklist,
            drill=drill,
        )

    async def _drill(self, state: RolloutState, caller: Caller) -> DrillReport:
        """Rehearse the rollback. That it cannot be rehearsed now does not undo the deployment."""
        at = self._clock()
        try:
            return await anyio.to_thread.run_sync(
                self._drills.run, state.id, state.agent, caller.name
            )
        except ChefError as error:
            return DrillReport(verdict=Verdict.ERROR, message=str(error), at=at)

    async def _smoke_test(
        self, planned: _Deployment, candidate: _Candidate, endpoint: Endpoint
    ) -> list[ChecklistItem]:
        prompts = await anyio.to_thread.run_sync(self._sample_prompts, planned.agent)
        try:
            async with self._open_gate(endpoint, candidate.placement.context_tokens) as server:
                return await gate.check_candidate(server, prompts, planned.policy.latency_limit_s)
        except UnavailableError as error:
            return [does_not_load(error)]

    def _begin(
        self,
        state: RolloutState,
        decision: Decision,
        stable: ModelRef,
        endpoints: tuple[Endpoint, ...],
    ) -> None:
        with self._transitions.exclusive(state.agent):
            self._refuse_running(state.agent)
            self._catalogue.check_serving(state.agent, stable)
            self._transitions.apply(state, decision, endpoints)

    def _refuse_running(self, agent: str) -> None:
        running = self._rollouts.running(agent)
        if running is not None:
            raise ConflictError(
                f"Rollout {running.id} of {agent} is {running.phase}.",
                remedy=f"Promote it, roll it back or wait; see `chef rollout {agent}`.",
            )


def _of_candidate(
    planned: _Deployment, candidate: _Candidate, items: Sequence[ChecklistItem]
) -> list[ChecklistItem]:
    """Return a candidate's points; among several each says whose it is."""
    if len(planned.candidates) == 1:
        return list(items)
    return [
        item.model_copy(update={"name": f"{candidate.ref.model}: {item.name}"}) for item in items
    ]


def _begun(
    planned: _Deployment,
    caller: Caller,
    approval_id: str | None,
    checklist: Sequence[ChecklistItem],
    now: float,
) -> tuple[RolloutState, Decision]:
    """Return the planned rollout as it begins now, and the decision behind it."""
    state = replace(planned.state, started_at=now, step_started_at=now, approval_id=approval_id)
    decision = Decision(
        actor=caller.name,
        kind="start",
        message=planned.summary,
        evidence={"checklist": [item.model_dump(mode="json") for item in checklist]},
    )
    return state, decision


def _refuse_twins(agent: str, stable: ModelRef, refs: Sequence[ModelRef]) -> None:
    """Raise ConflictError when a candidate serves already, or is named twice."""
    seen = {stable.model}
    for ref in refs:
        if ref.model == stable.model:
            raise ConflictError(
                f"{ref} serves {agent} already.",
                remedy=f"See the agent's models (`chef models {agent}`).",
            )
        if ref.model in seen:
            raise ConflictError(f"{ref} is named twice.", remedy="Name every candidate once.")
        seen.add(ref.model)


def _summary(state: RolloutState, strategy: str, candidates: Sequence[_Candidate]) -> str:
    """Say what is to be deployed, and what that overrides."""
    parts = []
    for arm, candidate in zip(state.candidates, candidates, strict=True):
        copies = f", and copies of {arm.mirror} %" if arm.mirror else ""
        share = f"{candidate.ref} gets {arm.weight} % of {state.agent}'s traffic{copies}"
        parts.append(f"{share} ({strategy}). {candidate.placement.summary}".rstrip())
        if candidate.overridden:
            parts.append(f"This overrides the checklist. {candidate.evaluation.message}")
    return " ".join(parts)


def _override_reason(request: DeployModelToAgent) -> str | None:
    """Return why the checklist is overridden, None when it is not; a blank reason is none."""
    if request.override_reason is None:
        return None
    reason = " ".join(request.override_reason.split())
    if not reason:
        raise InputError("override_reason is blank.", remedy="Say why, for the record.")
    return reason


def _approved(approval_id: str | None) -> ChecklistItem:
    """The approval was spent before the plan was carried out; without one nothing gets here."""
    verdict = Verdict.PASS if approval_id else Verdict.FAIL
    return ChecklistItem(name="approval", verdict=verdict, message=approval_id or "There is none.")
