"""Deploy, promote, roll back: what changes who serves an agent."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops import gate
from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue, ModelRef
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.agents.infrastructure.modelops.transitions import Decision, Transitions
from agent_orchestrator.agents.infrastructure.modelops.usecases import (
    ChecklistItem,
    Deployed,
    DeployModelToAgent,
    PromoteCanary,
    RollbackDeployment,
    RolledBack,
    RolloutReport,
)
from agent_orchestrator.domain import rollout
from agent_orchestrator.domain.rollout import RolloutPolicy, RolloutState
from agent_orchestrator.domain.routing import Endpoint, Strategy
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import ConflictError, InputError, NotAvailable
from agent_orchestrator.stores.rollouts import RolloutStore

_CANARY = re.compile(r"canary(?:_(\d{1,3})pct)?")
_LATER = ("blue_green", "shadow", "ab", "champion_challenger", "ensemble")

OpenGate = Callable[[Endpoint], AbstractAsyncContextManager[gate.Ask]]
"""Reach the candidate as the gateway will; a local model's server is started if none runs."""
LoadPolicy = Callable[[Mapping[str, Any]], RolloutPolicy]
SamplePrompts = Callable[[str], Sequence[str]]
"""Agent → prompts of the kind it gets, at least one."""


Change = Callable[[RolloutState], tuple[RolloutState, rollout.Effects]]

#: All traffic at once.
_SWITCH = RolloutPolicy(steps=(rollout.FULL,))


class Deployment:
    """Plans and carries out changes of what serves."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        registry: ModelRegistry,
        rollouts: RolloutStore,
        transitions: Transitions,
        open_gate: OpenGate,
        load_policy: LoadPolicy,
        sample_prompts: SamplePrompts,
        evaluation_max_age_hours: float,
        gateway_url: str,
        report: Callable[[str], RolloutReport],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalogue = catalogue
        self._registry = registry
        self._rollouts = rollouts
        self._transitions = transitions
        self._open_gate = open_gate
        self._load_policy = load_policy
        self._sample_prompts = sample_prompts
        self._max_age_hours = evaluation_max_age_hours
        self._gateway_url = gateway_url
        self._report = report
        self._clock = clock

    def plan_deploy(self, request: DeployModelToAgent, caller: Caller) -> Plan:
        """Plan a deployment; the checklist runs when it is carried out, before any traffic moves.

        Raises UnknownAgentError, VersionNotFoundError, InputError, ConflictError (a rollout runs,
        or the model serves already), GateFailed (the evaluation forbids it).
        """
        strategy, policy = parse_strategy(request.strategy, self._load_policy(request.policy))
        rollout.validate_policy(policy)
        candidate = self._catalogue.resolve(request.agent, request.version or request.model)
        stable = self._catalogue.serving(request.agent)
        self._refuse_running(request.agent)
        if candidate.model == stable.model:
            raise ConflictError(f"{candidate} serves {request.agent} already.")
        endpoint = self._catalogue.endpoint(candidate.model, request.target)
        evaluation = self._check_evaluation(request.agent, candidate, request.override_reason)
        gate.require_pass(str(candidate), [evaluation])
        summary = (
            f"{candidate} gets {policy.steps[0]} % of {request.agent}'s traffic "
            f"({request.strategy})."
        )
        if request.override_reason:
            summary += f" Overrides the checklist: {evaluation.message}"

        async def act(approval_id: str | None) -> Deployed:
            smoke = await self._smoke_test(request.agent, endpoint, policy)
            checklist = [evaluation, *smoke, _approved(approval_id)]
            gate.require_pass(str(candidate), checklist)
            state = self._start(
                request.agent,
                strategy,
                policy,
                stable=stable,
                candidate=candidate,
                approval_id=approval_id,
            )
            decision = Decision(
                actor=caller.name,
                kind="start",
                message=summary,
                evidence={"checklist": [item.model_dump(mode="json") for item in checklist]},
            )
            await anyio.to_thread.run_sync(self._begin, state, decision, endpoint)
            return Deployed(
                agent=request.agent,
                deployed=True,
                version=candidate.version,
                model=candidate.model,
                rollout_id=state.id,
                rollout_pct=state.weight,
                endpoint_url=self._gateway_url,
                checklist=checklist,
            )

        return Plan(
            summary=summary,
            act=act,
            changes_serving=True,
            details={
                "steps": list(policy.steps),
                "stable": str(stable),
                "candidate": str(candidate),
                "evaluation": evaluation.message,
            },
        )

    def plan_promote(self, request: PromoteCanary, caller: Caller) -> Plan:
        """Plan the next step (or a given share) of a running rollout, asked by a person.

        Raises UnknownAgentError, ConflictError (no rollout runs), InputError (the share is not
        above the present one).
        """
        state = self._running(request.agent)
        after, _ = rollout.promote(state, request.percent, self._clock())
        summary = (
            f"{state.candidate_version or state.candidate_model} goes from {state.weight} % to "
            f"{after.weight} % of {request.agent}'s traffic."
        )

        async def act(_approval_id: str | None) -> RolloutReport:
            decision = Decision(actor=caller.name, kind="promote", message=summary)
            await anyio.to_thread.run_sync(
                self._change,
                request.agent,
                lambda present: rollout.promote(present, request.percent, self._clock()),
                decision,
            )
            return await anyio.to_thread.run_sync(self._report, request.agent)

        return Plan(summary=summary, act=act, changes_serving=True)

    def plan_rollback(self, request: RollbackDeployment, caller: Caller) -> Plan:
        """Plan the way back: out of a running rollout, or to a version that served before.

        Raises UnknownAgentError, VersionNotFoundError, ConflictError (nothing to go back to).
        """
        if request.drill:
            raise NotAvailable("Rollback drills are not available in this build.")
        running = self._rollouts.running(self._catalogue.check_agent(request.agent))
        if running is not None and request.version in (None, running.stable_version):
            back_to = ModelRef(running.stable_model, running.stable_version)
        elif running is not None:
            raise ConflictError(
                f"Rollout {running.id} of {request.agent} runs; it goes back to "
                f"{running.stable_version or running.stable_model}, not {request.version!r}.",
                remedy="Roll back first without a version, then deploy the other one.",
            )
        else:
            back_to = self._previous(request.agent, request.version)
        summary = f"All of {request.agent}'s traffic goes back to {back_to}."

        async def act(approval_id: str | None) -> RolledBack:
            started = time.monotonic()
            decision = Decision(actor=caller.name, kind="rollback", message=summary)
            await anyio.to_thread.run_sync(
                self._roll_back, request.agent, back_to, decision, approval_id
            )
            return RolledBack(
                agent=request.agent,
                version=back_to.version,
                model=back_to.model,
                seconds=time.monotonic() - started,
            )

        return Plan(summary=summary, act=act, changes_serving=True)

    # -- carrying out ---------------------------------------------------------------------------

    def _begin(self, state: RolloutState, decision: Decision, endpoint: Endpoint) -> None:
        with self._transitions.exclusive():
            self._refuse_running(state.agent)
            self._transitions.apply(state, decision, endpoint)

    def _change(self, agent: str, change: Change, decision: Decision) -> None:
        with self._transitions.exclusive():
            after, _ = change(self._running(agent))
            self._transitions.apply(after, decision)

    def _roll_back(
        self, agent: str, back_to: ModelRef, decision: Decision, approval_id: str | None
    ) -> None:
        with self._transitions.exclusive():
            running = self._rollouts.running(agent)
            if running is not None:
                after, _ = rollout.roll_back(running, decision.message, self._clock())
                self._transitions.apply(after, decision)
                return
            # No rollout to end: a switch to the older version, without a guard period for the
            # one that people want to be rid of.
            state = self._start(
                agent,
                "immediate",
                _SWITCH,
                stable=self._catalogue.serving(agent),
                candidate=back_to,
                approval_id=approval_id,
            )
            switched = replace(state, phase="promoted", ended_at=state.started_at)
            endpoint = self._catalogue.endpoint(back_to.model)
            self._transitions.apply(switched, decision, endpoint)

    def _start(
        self,
        agent: str,
        strategy: Strategy,
        policy: RolloutPolicy,
        *,
        stable: ModelRef,
        candidate: ModelRef,
        approval_id: str | None,
    ) -> RolloutState:
        state, _ = rollout.start(
            id=_new_id(),
            agent=agent,
            strategy=strategy,
            policy=policy,
            stable_model=stable.model,
            stable_version=stable.version,
            candidate_model=candidate.model,
            candidate_version=candidate.version,
            approval_id=approval_id,
            now=self._clock(),
        )
        return state

    # -- looking things up ----------------------------------------------------------------------

    def _refuse_running(self, agent: str) -> None:
        running = self._rollouts.running(agent)
        if running is not None:
            raise ConflictError(
                f"Rollout {running.id} of {agent} is {running.phase}.",
                remedy=f"See `chef rollout {agent}`; promote it, roll it back or wait.",
            )

    def _running(self, agent: str) -> RolloutState:
        state = self._rollouts.running(self._catalogue.check_agent(agent))
        if state is None:
            raise ConflictError(
                f"No rollout of {agent} runs.", remedy=f"Start one with `chef deploy {agent}`."
            )
        return state

    def _previous(self, agent: str, version: str | None) -> ModelRef:
        serving = self._catalogue.serving(agent)
        if version is not None:
            back_to = self._catalogue.resolve(agent, version)
        else:
            before = self._registry.previous_version(agent)
            if before is None:
                raise ConflictError(
                    f"No version served {agent} before {serving}.",
                    remedy=f"See `chef models {agent}`.",
                )
            back_to = ModelRef(before.model_id, before.version)
        if back_to.model == serving.model:
            raise ConflictError(f"{back_to} serves {agent} already.")
        return back_to

    def _check_evaluation(
        self, agent: str, candidate: ModelRef, override_reason: str | None
    ) -> ChecklistItem:
        scores = self._catalogue.scores(agent, candidate)
        return gate.check_evaluation(
            scores,
            max_age_hours=self._max_age_hours,
            now=self._clock(),
            override_reason=override_reason,
        )

    async def _smoke_test(
        self, agent: str, endpoint: Endpoint, policy: RolloutPolicy
    ) -> list[ChecklistItem]:
        prompts = await anyio.to_thread.run_sync(self._sample_prompts, agent)
        async with self._open_gate(endpoint) as ask:
            return await gate.smoke_test(ask, prompts, policy.latency_limit_s)


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
        return "immediate", replace(policy, steps=_SWITCH.steps)
    match = _CANARY.fullmatch(text)
    if match is None or (match[1] is not None and not 1 <= int(match[1]) <= rollout.FULL):
        raise InputError(
            f"Unknown strategy {text!r}.",
            remedy="Use immediate, canary or canary_<n>pct with n from 1 to 100.",
        )
    if match[1] is None:
        return "canary", policy
    first = int(match[1])
    rest = (step for step in policy.steps if step > first)
    return "canary", replace(policy, steps=(first, *rest))


def _approved(approval_id: str | None) -> ChecklistItem:
    """The approval was spent before the plan was carried out; without one nothing gets here."""
    verdict = Verdict.PASS if approval_id else Verdict.FAIL
    return ChecklistItem(name="approval", verdict=verdict, message=approval_id or "There is none.")


def _new_id() -> str:
    stamp = time.strftime("%Y%m%d", time.gmtime())
    return f"ro_{stamp}_{secrets.token_hex(3)}"
