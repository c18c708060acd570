"""Promote: give a running rollout's candidate more traffic, as a person asks."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.rollouts.hand_edits import HandEdits
from agent_orchestrator.agents.infrastructure.modelops.rollouts.transitions import (
    Decision,
    Transitions,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import PromoteCanary
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import RolloutReport
from agent_orchestrator.domain import rollout_machine
from agent_orchestrator.domain.rollout import RolloutState
from agent_orchestrator.domain.routing import Arm
from agent_orchestrator.errors import ConflictError
from agent_orchestrator.stores.rollouts import RolloutStore


class Promotions:
    """Plans and carries out promotions."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        rollouts: RolloutStore,
        transitions: Transitions,
        hand_edits: HandEdits,
        report: Callable[[str], RolloutReport],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalogue = catalogue
        self._rollouts = rollouts
        self._transitions = transitions
        self._hand_edits = hand_edits
        self._report = report
        self._clock = clock

    def plan(self, request: PromoteCanary, caller: Caller) -> Plan:
        """Plan the next step (or a given share) of a running rollout, asked by a person.

        Raises UnknownAgentError, ConflictError (no rollout runs), InputError (the share is not
        above the present one).
        """
        agent = self._catalogue.check_agent(request.agent)
        state = self._rollouts.running(agent)
        if state is None:
            raise ConflictError(
                f"No rollout of {agent} runs.",
                remedy=f"Deploy a candidate (`chef deploy {agent}`).",
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
                    remedy=f"See how it stands (`chef rollout {agent}`).",
                )
            after, _ = rollout_machine.promote(planned_from, to.weight, self._clock(), to.name)
            self._transitions.apply(after, decision)

    def _settle_hand_edit(self, planned_from: RolloutState) -> str | None:
        """What a person wrote into models.yaml comes before what was planned without it."""
        if self._rollouts.running(planned_from.agent) != planned_from:
            return None
        return self._hand_edits.settle(planned_from)


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
        remedy=f"See how it stands (`chef rollout {state.agent}`).",
    )


def _moved(before: RolloutState, after: RolloutState) -> tuple[Arm, Arm]:
    """Return the candidate whose share a promotion raises, before and after it."""
    pairs = zip(before.candidates, after.candidates, strict=True)
    return max(pairs, key=lambda pair: pair[1].weight - pair[0].weight)
