"""Hand edits of a running rollout: what people write into models.yaml is taken over or undone.

Taken over: another weight, a promotion, the rollout's end (its entry taken out, or another model
for the agent). Undone, with an alert: everything else, because a rollout's arms and id are what its
evidence is about.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.rollouts.desired import desired
from agent_orchestrator.agents.infrastructure.modelops.rollouts.transitions import (
    Decision,
    Transitions,
)
from agent_orchestrator.domain import rollout_machine
from agent_orchestrator.domain.rollout import FULL, RolloutState
from agent_orchestrator.domain.routing import STABLE, Rollout, RoutingTable
from agent_orchestrator.errors import ConflictError, InputError
from agent_orchestrator.stores.models_yaml import ModelsYaml

_ENTRY: TypeAdapter[Rollout] = TypeAdapter(Rollout)


class HandEdits:
    """Finds and settles them."""

    def __init__(
        self,
        models_yaml: ModelsYaml,
        transitions: Transitions,
        alert: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._yaml = models_yaml
        self._transitions = transitions
        self._alert = alert
        self._clock = clock

    def found(self, state: RolloutState) -> bool:
        """Return whether models.yaml says something else than the open rollout's state."""
        return not _says(self._yaml.read(), state)

    def settle(self, state: RolloutState) -> str | None:
        """Take over or undo what was edited; return what was done, None without an edit.

        Call it inside ``Transitions.exclusive``, with the rollout's present state. Raises what
        ``Transitions.apply`` raises.
        """
        table = self._yaml.read()
        if _says(table, state):
            return None
        after = self._ended(state, table) or self._went_on(state, table)
        if after is not None:
            message = f"models.yaml was edited by hand: {_difference(after)}"
            self._transitions.apply(after, _adopted(message))
            return message
        entry = table.rollouts[state.agent]
        message = (
            f"A hand edit of {state.agent}'s rollout was undone: only the weights of a running "
            "rollout can be edited (1 to 99 for its candidates), or its entry taken out."
        )
        evidence = {"undone": _ENTRY.dump_python(entry, mode="json")}
        self._alert(message)
        self._transitions.apply(state, replace(_adopted(message), evidence=evidence))
        return message

    def _ended(self, state: RolloutState, table: RoutingTable) -> RolloutState | None:
        """Return the rollout ended as the table says, None when it says that it goes on."""
        model = table.agent_models.get(state.agent)
        arm = next((arm for arm in state.arms if arm.model == model), None)
        if arm is None:
            reason = f"models.yaml names {model!r} for {state.agent}, written by hand."
            return rollout_machine.take_over(state, STABLE, reason, self._clock())
        if state.agent in table.rollouts:
            return None
        reason = "Its entry was taken out of models.yaml by hand."
        return rollout_machine.take_over(state, arm.name, reason, self._clock())

    def _went_on(self, state: RolloutState, table: RoutingTable) -> RolloutState | None:
        """Return the running rollout as the table says, None when it cannot be that."""
        arms = table.rollouts[state.agent].arms
        winner = next((arm.name for arm in arms[1:] if arm.weight == FULL), None)
        try:
            if winner is not None:
                after, _ = rollout_machine.promote(state, FULL, self._clock(), winner)
            else:
                after = rollout_machine.adopt_split(state, arms, self._clock())
        except (ConflictError, InputError):
            return None
        return after if _says(table, after) else None


def _says(table: RoutingTable, state: RolloutState) -> bool:
    want = desired(state)
    model, entry = table.agent_models.get(state.agent), table.rollouts.get(state.agent)
    return model == want.agent_model and entry == want.rollout


def _difference(after: RolloutState) -> str:
    """Say what a hand edit made of a rollout."""
    if after.ended_at is not None:
        return after.reason
    if after.phase == "guard":
        return f"the {after.serving} is promoted."
    shares = ", ".join(f"the {arm.name} has {arm.weight} %" for arm in after.candidates)
    return f"{shares} now."


def _adopted(message: str) -> Decision:
    return Decision(actor="models.yaml", kind="adopt", message=message)
