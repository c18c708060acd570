"""The timer's part: judge every open rollout, carry out what follows, take over hand edits."""

from __future__ import annotations

import time
from collections.abc import Callable

from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.rollouts.hand_edits import HandEdits
from agent_orchestrator.agents.infrastructure.modelops.rollouts.monitoring import RolloutMonitor
from agent_orchestrator.agents.infrastructure.modelops.rollouts.transitions import (
    Decision,
    DecisionKind,
    Transitions,
)
from agent_orchestrator.domain import rollout_machine, strategies
from agent_orchestrator.domain.rollout import (
    Effect,
    Finish,
    Promote,
    RollBack,
    RolloutState,
    RolloutVerdict,
    SetSplit,
)
from agent_orchestrator.domain.strategies import moves
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import ChefError
from agent_orchestrator.stores.models_yaml import ModelsYaml
from agent_orchestrator.stores.rollouts import RolloutStore

_VERDICT: TypeAdapter[RolloutVerdict] = TypeAdapter(RolloutVerdict)


class RolloutTimer:
    """Advances every running rollout by its verdict. One process at a time runs it."""

    def __init__(
        self,
        *,
        monitor: RolloutMonitor,
        rollouts: RolloutStore,
        transitions: Transitions,
        hand_edits: HandEdits,
        models_yaml: ModelsYaml,
        alert: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``alert`` takes a line for the people who run this; the same trouble is told once."""
        self._monitor = monitor
        self._rollouts = rollouts
        self._transitions = transitions
        self._hand_edits = hand_edits
        self._yaml = models_yaml
        self._alert = alert
        self._clock = clock
        self._troubles: dict[str, str] = {}

    def tick(self) -> None:
        """Judge every open rollout once and carry out what follows.

        What was cut off is finished first. Trouble with one agent's rollout (a broken file, a lock
        that is held) is an alert; that rollout holds, the others go on. Raises LockTimeout or
        StorageError when the database cannot be used at all.
        """
        recovery = self._transitions.recover()
        for line in recovery.settled:
            self._alert(line)
        troubles = {f"recovery of {a}": f"{a}: {error}" for a, error in recovery.stuck.items()}
        for state in self._rollouts.open():
            try:
                if self._judge(state):
                    troubles[f"rollout {state.id}"] = _waits(state)
            except ChefError as error:
                troubles[f"rollout {state.id}"] = f"{state.agent}, rollout {state.id}: {error}"
        troubles.update(self._strangers())
        for subject, line in troubles.items():
            if self._troubles.get(subject) != line:
                self._alert(line)
        self._troubles = troubles

    def _judge(self, state: RolloutState) -> bool:
        """Advance one rollout; return whether it has passed and nothing follows without a person.

        The verdict is reached outside the deployment lock; inside it the state is read again, so
        that what a person did in between stands.
        """
        now = self._clock()
        verdict = self._monitor.verdict(state, now)
        after, effects = rollout_machine.advance(state, verdict, now)
        decision = _decision(effects[0], verdict) if effects else None
        try:
            if decision is None and not self._hand_edits.found(state):
                return _passed_for_good(state, verdict, now)
            rolling_back = after.phase == "rolled_back"
            with self._transitions.exclusive(state.agent, rolling_back=rolling_back):
                if self._rollouts.get(state.id) != state:
                    return False
                if self._hand_edits.settle(state) is None and decision is not None:
                    self._transitions.apply(after, decision)
        except ChefError as error:
            if decision is not None:
                error.message = f"{error.message} Its {decision.kind} waits."
            raise
        return False

    def _strangers(self) -> dict[str, str]:
        """Name the splits in models.yaml that no open rollout stands behind."""
        troubles = {}
        try:
            for agent in self._unwatched():
                with self._transitions.exclusive(agent):  # nobody is just starting or ending one
                    entry = self._unwatched().get(agent)
                if entry is not None:
                    troubles[f"entry of {agent}"] = (
                        f"models.yaml splits {agent}'s traffic by {entry!r}, which is no open "
                        "rollout: nobody watches it. Take the entry out."
                    )
        except ChefError as error:
            troubles["models.yaml"] = str(error)
        return troubles

    def _unwatched(self) -> dict[str, str]:
        """Return agent → id of the entries in models.yaml that are no open rollout."""
        entries = self._yaml.read().rollouts
        watched = {state.agent: state.id for state in self._rollouts.open()}
        return {a: entry.id for a, entry in entries.items() if a not in watched}


def _passed_for_good(state: RolloutState, verdict: RolloutVerdict, now: float) -> bool:
    """Return whether a rollout that holds has passed, for long enough that no time leads on."""
    return (
        state.phase == "running"
        and verdict.verdict is Verdict.PASS
        and moves.long_enough(state, now)
    )


def _waits(state: RolloutState) -> str:
    outlook = strategies.of(state.strategy).outlook(state)
    return f"{state.agent}, rollout {state.id} ({state.strategy}) has passed. {outlook}"


def _decision(effect: Effect, verdict: RolloutVerdict) -> Decision:
    """Return the record of what the verdict decided."""
    kind: DecisionKind
    match effect:
        case RollBack(reason):
            kind, message = "rollback", f"Rolled back. {reason}"
        case Promote():
            kind, message = "promote", f"Promoted. {verdict.reason}"
        case Finish():
            kind, message = "finish", "The guard period is over; the old arm is gone."
        case SetSplit(arms, reason):
            shares = ", ".join(f"{arm.weight} % for {arm.name}" for arm in arms[1:])
            kind, message = "step", f"Step to {shares}. {reason or verdict.reason}"
    evidence = {"verdict": _VERDICT.dump_python(verdict, mode="json")}
    return Decision(actor="timer", kind=kind, message=message, evidence=evidence)
