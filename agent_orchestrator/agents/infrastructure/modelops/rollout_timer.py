"""The timer's part: judge every open rollout, carry out what follows, take over hand edits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.monitoring import RolloutMonitor
from agent_orchestrator.agents.infrastructure.modelops.transitions import Decision, Transitions
from agent_orchestrator.domain import rollout
from agent_orchestrator.domain.rollout import (
    Finish,
    Promote,
    RollBack,
    RolloutState,
    RolloutVerdict,
    SetWeight,
)
from agent_orchestrator.domain.routing import CANDIDATE, Rollout
from agent_orchestrator.errors import ConflictError, InputError
from agent_orchestrator.stores.models_yaml import ModelsYaml
from agent_orchestrator.stores.rollouts import RolloutStore

_VERDICT: TypeAdapter[RolloutVerdict] = TypeAdapter(RolloutVerdict)


class RolloutTimer:
    """Advances every running rollout by its verdict. One process at a time runs it."""

    def __init__(
        self,
        monitor: RolloutMonitor,
        rollouts: RolloutStore,
        transitions: Transitions,
        models_yaml: ModelsYaml,
        alert: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._monitor = monitor
        self._rollouts = rollouts
        self._transitions = transitions
        self._yaml = models_yaml
        self._alert = alert
        self._clock = clock

    def tick(self) -> None:
        """Judge every open rollout once and carry out what follows.

        The verdict is reached outside the deployment lock; inside it the state is read again, so
        that what a person did in between stands.
        """
        for state in self._rollouts.open():
            now = self._clock()
            verdict = self._monitor.verdict(state, now)
            after, effects = rollout.advance(state, verdict, now)
            entry = self._yaml.read().rollouts.get(state.agent)
            if not effects and entry is not None and _shares(entry) == state.weight:
                continue
            with self._transitions.exclusive():
                if self._rollouts.get(state.id) != state:
                    continue
                if not self._adopt_hand_edit(state) and effects:
                    self._transitions.apply(after, _decision(effects, verdict))

    def _adopt_hand_edit(self, state: RolloutState) -> bool:
        """Take over what a person wrote into models.yaml; return whether there was anything."""
        table = self._yaml.read()
        entry = table.rollouts.get(state.agent)
        now = self._clock()
        if entry is None or entry.id != state.id:
            message = "The rollout's entry was taken out of models.yaml by hand."
            served_by_candidate = table.agent_models.get(state.agent) == state.candidate_model
            phase: rollout.Phase = "promoted" if served_by_candidate else "rolled_back"
            after = replace(
                state,
                phase=phase,
                weight=rollout.FULL if served_by_candidate else 0,
                ended_at=now,
                reason=message,
            )
            self._transitions.apply(after, _hand_edit(message))
            return True
        weight = _shares(entry)
        if weight == state.weight:
            return False
        try:
            after = rollout.adopt_weight(state, weight, now)
        except (ConflictError, InputError) as refused:
            self._alert(f"models.yaml, rollout of {state.agent}: {refused}")
            self._transitions.apply(state, _hand_edit(f"A hand edit was undone: {refused}"))
            return True
        message = f"The weight {weight} % was written into models.yaml by hand."
        self._transitions.apply(after, _hand_edit(message))
        return True


def _shares(entry: Rollout) -> int:
    """Return the candidate's share in an entry of models.yaml."""
    return sum(arm.weight for arm in entry.arms if arm.name == CANDIDATE)


def _hand_edit(message: str) -> Decision:
    return Decision(actor="models.yaml", kind="adopt", message=message)


def _decision(effects: Sequence[rollout.Effect], verdict: RolloutVerdict) -> Decision:
    """Return the record of what the verdict decided."""
    for effect in effects:
        match effect:
            case RollBack(reason):
                kind, message = "rollback", f"Rolled back. {reason}"
            case Promote():
                kind, message = "promote", f"Promoted. {verdict.reason}"
            case Finish():
                kind, message = "finish", "The guard period is over; the old arm is gone."
            case SetWeight(weight):
                kind, message = "step", f"Step to {weight} %. {verdict.reason}"
    evidence = {"verdict": _VERDICT.dump_python(verdict, mode="json")}
    return Decision(actor="timer", kind=kind, message=message, evidence=evidence)
