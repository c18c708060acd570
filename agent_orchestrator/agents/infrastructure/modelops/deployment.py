"""Deploy and promote: what gives a model traffic."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, replace
from typing import Any

import anyio.to_thread
from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops import gate
from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.candidate_server import CandidateServer
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue, ModelRef
from agent_orchestrator.agents.infrastructure.modelops.drills import Drills
from agent_orchestrator.agents.infrastructure.modelops.hand_edits import HandEdits
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.smoke_test import does_not_load
from agent_orchestrator.agents.infrastructure.modelops.targets import Placement, Target
from agent_orchestrator.agents.infrastructure.modelops.transitions import (
    Decision,
    Transitions,
    new_rollout_id,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases import (
    ChecklistItem,
    Deployed,
    DeployModelToAgent,
    DrillReport,
    PromoteCanary,
    RolloutReport,
)
from agent_orchestrator.domain import rollout_machine
from agent_orchestrator.domain.rollout import (
    FULL,
    RolloutPolicy,
    RolloutState,
    validate_policy,
)
from agent_orchestrator.domain.routing import Arm, Endpoint, Provider, Strategy
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import (
    ChefError,
    ConflictError,
    InputError,
    NotAvailable,
    UnavailableError,
)
from agent_orchestrator.stores.rollouts import RolloutStore

_CANARY = re.compile(r"canary(?:_(\d{1,3})pct)?")
_LATER = ("blue_green", "shadow", "ab", "champion_challenger", "ensemble")
_POLICY: TypeAdapter[RolloutPolicy] = TypeAdapter(RolloutPolicy)

OpenGate = Callable[[Endpoint, int | None], AbstractAsyncContextManager[CandidateServer]]
"""Reach the candidate as the gateway will; a local model's server is started if none runs. The
number is what it can read, in tokens, where that is known."""
LoadPolicy = Callable[[Mapping[str, Any]], RolloutPolicy]
SamplePrompts = Callable[[str], Sequence[str]]
"""Agent → prompts of the kind it gets, at least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deployment:
    """A deployment as the request was resolved and checked."""

    agent: str
    strategy: Strategy
    policy: RolloutPolicy
    stable: ModelRef
    candidate: ModelRef
    placement: Placement
    evaluation: ChecklistItem
    recommendation: str | None
    summary: str


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
        hand_edits: HandEdits,
        targets: Mapping[Provider, Target],
        drills: Drills,
        open_gate: OpenGate,
        load_policy: LoadPolicy,
        sample_prompts: SamplePrompts,
        evaluation_max_age_hours: float,
        gateway_url: str,
        report: Callable[[str], RolloutReport],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalogue = catalogue
        self._rollouts = rollouts
        self._transitions = transitions
        self._hand_edits = hand_edits
        self._targets = targets
        self._drills = drills
        self._open_gate = open_gate
        self._load_policy = load_policy
        self._sample_prompts = sample_prompts
        self._max_age_hours = evaluation_max_age_hours
        self._gateway_url = gateway_url
        self._report = report
        self._clock = clock

    # -- deploy ---------------------------------------------------------------------------------

    def plan_deploy(self, request: DeployModelToAgent, caller: Caller) -> Plan:
        """Plan a deployment; the checklist runs when it is carried out, before any traffic moves.

        Raises UnknownAgentError, VersionNotFoundError, InputError, NotAvailable (the strategy),
        ConflictError (a rollout runs, or the model serves already), GateFailed (the evaluation
        forbids it), and what its target's ``plan`` raises.
        """
        planned = self._prepare(request)

        async def act(approval_id: str | None) -> Deployed:
            return await self._deploy(planned, caller, approval_id)

        return Plan(
            summary=planned.summary,
            act=act,
            cost_usd=planned.placement.usd_per_hour,
            changes_serving=True,
            resolved={
                "candidate": asdict(planned.candidate),
                "endpoint": asdict(planned.placement.endpoint),
                "placement": dict(planned.placement.resolved),
                "stable": asdict(planned.stable),
                "policy": _POLICY.dump_python(planned.policy, mode="json"),
                "recommendation": planned.recommendation,
            },
            details={
                "steps": list(planned.policy.steps),
                "stable": str(planned.stable),
                "candidate": str(planned.candidate),
                "evaluation": planned.evaluation.message,
                **planned.placement.details,
            },
        )

    def _prepare(self, request: DeployModelToAgent) -> _Deployment:
        agent = request.agent
        strategy, policy = parse_strategy(request.strategy, self._load_policy(request.policy))
        validate_policy(policy)
        candidate = self._candidate(request)
        stable = self._catalogue.serving(agent)
        self._refuse_running(agent)
        if candidate.model == stable.model:
            raise ConflictError(
                f"{candidate} serves {agent} already.", remedy=f"See `chef models {agent}`."
            )
        scores = self._catalogue.scores(agent, candidate)
        fault = gate.evaluation_fault(scores, self._max_age_hours, self._clock())
        override = _override_reason(request)
        evaluation = gate.check_evaluation(scores, fault, override)
        gate.require_pass(str(candidate), [evaluation])
        placement = self._place(candidate.model, request)
        summary = f"{candidate} gets {policy.steps[0]} % of {agent}'s traffic ({request.strategy})."
        summary = f"{summary} {placement.summary}".rstrip()
        if fault is not None:
            summary += f" This overrides the checklist. {evaluation.message}"
        return _Deployment(
            agent=agent,
            strategy=strategy,
            policy=policy,
            stable=stable,
            candidate=candidate,
            placement=placement,
            evaluation=evaluation,
            recommendation=scores.recommendation if scores else None,
            summary=summary,
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

    async def _deploy(
        self, planned: _Deployment, caller: Caller, approval_id: str | None
    ) -> Deployed:
        target = self._targets[planned.placement.endpoint.provider]
        async with target.ready(planned.placement) as endpoint:
            smoke = await self._smoke_test(planned, endpoint)
            checklist = [planned.evaluation, *smoke, _approved(approval_id)]
            gate.require_pass(str(planned.candidate), checklist)
            state, decision = self._start(planned, caller, approval_id, checklist)
            await anyio.to_thread.run_sync(self._begin, state, decision, planned.stable, endpoint)
        drill = await self._drill(state, caller) if planned.policy.drill else None
        return Deployed(
            agent=planned.agent,
            deployed=True,
            version=planned.candidate.version,
            model=planned.candidate.model,
            rollout_id=state.id,
            rollout_pct=state.weight,
            endpoint_url=self._gateway_url,
            checklist=checklist,
            drill=drill,
        )

    def _start(
        self,
        planned: _Deployment,
        caller: Caller,
        approval_id: str | None,
        checklist: Sequence[ChecklistItem],
    ) -> tuple[RolloutState, Decision]:
        """Return the rollout that begins now, and the decision behind it."""
        now = self._clock()
        state, _ = rollout_machine.start(
            id=new_rollout_id(now),
            agent=planned.agent,
            strategy=planned.strategy,
            policy=planned.policy,
            arms=rollout_machine.line_up(
                planned.strategy,
                (planned.stable.model, planned.stable.version),
                [(planned.candidate.model, planned.candidate.version)],
            ),
            approval_id=approval_id,
            now=now,
        )
        decision = Decision(
            actor=caller.name,
            kind="start",
            message=planned.summary,
            evidence={"checklist": [item.model_dump(mode="json") for item in checklist]},
        )
        return state, decision

    async def _drill(self, state: RolloutState, caller: Caller) -> DrillReport:
        """Rehearse the rollback. That it cannot be rehearsed now does not undo the deployment."""
        at = self._clock()
        try:
            return await anyio.to_thread.run_sync(
                self._drills.run, state.id, state.agent, caller.name
            )
        except ChefError as error:
            return DrillReport(verdict=Verdict.ERROR, message=str(error), at=at)

    async def _smoke_test(self, planned: _Deployment, endpoint: Endpoint) -> list[ChecklistItem]:
        prompts = await anyio.to_thread.run_sync(self._sample_prompts, planned.agent)
        try:
            async with self._open_gate(endpoint, planned.placement.context_tokens) as server:
                return await gate.check_candidate(server, prompts, planned.policy.latency_limit_s)
        except UnavailableError as error:
            return [does_not_load(error)]

    def _begin(
        self, state: RolloutState, decision: Decision, stable: ModelRef, endpoint: Endpoint
    ) -> None:
        with self._transitions.exclusive(state.agent):
            self._refuse_running(state.agent)
            self._catalogue.check_serving(state.agent, stable)
            self._transitions.apply(state, decision, (endpoint,))

    # -- promote --------------------------------------------------------------------------------

    def plan_promote(self, request: PromoteCanary, caller: Caller) -> Plan:
        """Plan the next step (or a given share) of a running rollout, asked by a person.

        Raises UnknownAgentError, ConflictError (no rollout runs), InputError (the share is not
        above the present one).
        """
        agent = self._catalogue.check_agent(request.agent)
        state = self._rollouts.running(agent)
        if state is None:
            raise ConflictError(
                f"No rollout of {agent} runs.", remedy=f"Start one with `chef deploy {agent}`."
            )
        arm = _promoted_arm(state, request.version)
        name = arm.name if arm else None
        after, _ = rollout_machine.promote(state, request.percent, self._clock(), name)
        before, to = _moved(state, after)
        summary = (
            f"{to.version or to.model} goes from {before.weight} % to {to.weight} % of {agent}'s "
            "traffic."
        )
        decision = Decision(actor=caller.name, kind="promote", message=summary)

        async def act(_approval_id: str | None) -> RolloutReport:
            await anyio.to_thread.run_sync(self._promote, state, to, decision)
            return await anyio.to_thread.run_sync(self._report, agent)

        return Plan(
            summary=summary,
            act=act,
            changes_serving=True,
            resolved={
                "rollout": state.id,
                "arm": to.name,
                "from": before.weight,
                "to": to.weight,
            },
        )

    def _promote(self, planned_from: RolloutState, to: Arm, decision: Decision) -> None:
        agent = planned_from.agent
        with self._transitions.exclusive(agent):
            edited = self._settle_hand_edit(planned_from)
            if edited or self._rollouts.running(agent) != planned_from:
                raise ConflictError(
                    f"The rollout of {agent} has moved on. {edited or ''}".strip(),
                    remedy=f"See `chef rollout {agent}`.",
                )
            after, _ = rollout_machine.promote(planned_from, to.weight, self._clock(), to.name)
            self._transitions.apply(after, decision)

    def _settle_hand_edit(self, planned_from: RolloutState) -> str | None:
        """What a person wrote into models.yaml comes before what was planned without it."""
        if self._rollouts.running(planned_from.agent) != planned_from:
            return None
        return self._hand_edits.settle(planned_from)

    def _refuse_running(self, agent: str) -> None:
        running = self._rollouts.running(agent)
        if running is not None:
            raise ConflictError(
                f"Rollout {running.id} of {agent} is {running.phase}.",
                remedy=f"See `chef rollout {agent}`; promote it, roll it back or wait.",
            )


def parse_strategy(text: str, policy: RolloutPolicy) -> tuple[Strategy, RolloutPolicy]:
    """Return the strategy, and the policy with the steps that it means.

    ``immediate`` is the one step 100; ``canary_<n>pct`` starts at n and goes on with the policy's
    steps above it. Raises InputError for an unknown strategy, NotAvailable for one that this build
    has not got.
    """
    if text in _LATER:
        raise NotAvailable(
            f"Strategy {text!r} is not available in this build.",
            remedy="Use immediate, canary or canary_<n>pct.",
        )
    if text == "immediate":
        return "immediate", replace(policy, steps=(FULL,))
    match = _CANARY.fullmatch(text)
    if match is None or (match[1] is not None and not 1 <= int(match[1]) <= FULL):
        raise InputError(
            f"Unknown strategy {text!r}.",
            remedy="Use immediate, canary or canary_<n>pct with n from 1 to 100.",
        )
    if match[1] is None:
        return "canary", policy
    first = int(match[1])
    rest = (step for step in policy.steps if step > first)
    return "canary", replace(policy, steps=(first, *rest))


def _promoted_arm(state: RolloutState, version: str | None) -> Arm | None:
    """Return the candidate that ``version`` (or a model id) names; None when it names none.

    Raises ConflictError when it is no candidate of the rollout.
    """
    if version is None:
        return None
    for arm in state.candidates:
        if version in (arm.version, arm.model):
            return arm
    known = " and ".join(arm.version or arm.model for arm in state.candidates)
    raise ConflictError(
        f"The candidate of {state.agent} is {known}, not {version!r}.",
        remedy=f"See `chef rollout {state.agent}`.",
    )


def _moved(before: RolloutState, after: RolloutState) -> tuple[Arm, Arm]:
    """Return the candidate whose share a promotion raises, before and after it."""
    pairs = zip(before.candidates, after.candidates, strict=True)
    return max(pairs, key=lambda pair: pair[1].weight - pair[0].weight)


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
