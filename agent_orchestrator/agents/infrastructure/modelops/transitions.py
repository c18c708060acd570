"""Carries out what a rollout's state machine decides: models.yaml, the registry, the rollout's row.

A rollout's state says completely what models.yaml and the registry must hold (``desired``). A
transition therefore is: write the intent (the new state) to the journal, make the files say what
the state says, read them back, complete the intent. Every part is absolute, so doing it twice
changes nothing, and whoever takes the deployment lock next finishes what a dead process left
(support/docs/decisions/0003).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.domain.rollout import RolloutState
from agent_orchestrator.domain.routing import (
    CANDIDATE,
    STABLE,
    Arm,
    Endpoint,
    Rollout,
    RolloutPhase,
    RoutingTable,
)
from agent_orchestrator.errors import FailedError
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.files import locked
from agent_orchestrator.stores.journal import IntentJournal, JournalEntry
from agent_orchestrator.stores.models_yaml import (
    ModelsYaml,
    with_endpoint,
    with_model,
    with_rollout,
    without_rollout,
)
from agent_orchestrator.stores.rollouts import RolloutStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Who changed a rollout, and why."""

    actor: str
    """A person, or ``timer`` for what the verdicts decided."""
    kind: str
    """start, step, promote, rollback, finish, adopt."""
    message: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """JSON; what the decision was based on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A transition that is to be carried out: the state to reach, and the decision behind it."""

    id: str
    at: float
    state: RolloutState
    decision: Decision
    endpoint: Endpoint | None = None
    """Where the candidate lives, when the models catalogue does not say so yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What models.yaml and the registry hold for an agent when its rollout is in a state."""

    agent_model: str
    rollout: Rollout | None
    current: str | None
    canary: str | None
    canary_percent: int


_INTENT: TypeAdapter[Intent] = TypeAdapter(Intent)


def desired(state: RolloutState) -> Desired:
    """Return what the files must say while a rollout is in ``state``."""
    served_by_candidate = state.phase in ("guard", "promoted")
    arms = (
        Arm(STABLE, state.stable_model, state.stable_version, weight=100 - state.weight),
        Arm(CANDIDATE, state.candidate_model, state.candidate_version, weight=state.weight),
    )
    phases: dict[str, RolloutPhase] = {"running": "running", "guard": "guard"}
    phase = phases.get(state.phase)
    return Desired(
        agent_model=state.candidate_model if served_by_candidate else state.stable_model,
        rollout=Rollout(state.id, state.strategy, arms, phase=phase) if phase else None,
        current=state.candidate_version if served_by_candidate else state.stable_version,
        canary=state.candidate_version if state.phase == "running" else None,
        canary_percent=state.weight,
    )


def routed(
    table: RoutingTable, agent: str, want: Desired, endpoint: Endpoint | None
) -> RoutingTable:
    """Return the table of models.yaml as it must be: one atomic replace changes all of it."""
    table = with_model(table, agent, want.agent_model)
    if endpoint is not None and endpoint.provider != "openrouter":
        table = with_endpoint(table, endpoint)
    if want.rollout is None:
        return without_rollout(table, agent)
    return with_rollout(table, agent, want.rollout)


class Transitions:
    """The one writer of what serves."""

    def __init__(
        self,
        *,
        models_yaml: ModelsYaml,
        registry: ModelRegistry,
        rollouts: RolloutStore,
        journal: IntentJournal,
        audit: AuditLog,
        position: Callable[[], tuple[int, int]],
        lock_path: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the stores; ``position`` returns the last numbers of outcomes and of feedback."""
        self._yaml = models_yaml
        self._registry = registry
        self._rollouts = rollouts
        self._journal = journal
        self._audit = audit
        self._position = position
        self._lock_path = lock_path
        self._clock = clock

    @contextmanager
    def exclusive(self, timeout: float = 30.0) -> Iterator[None]:
        """Hold the deployment lock, with everything that was cut off carried out first.

        Decide inside this lock what depends on the present state. Raises LockTimeout.
        """
        with locked(self._lock_path, timeout):
            self._recover()
            yield

    def apply(
        self, state: RolloutState, decision: Decision, endpoint: Endpoint | None = None
    ) -> None:
        """Move to ``state``: journal, models.yaml, registry, rollout, read back.

        Call it inside ``exclusive``. Raises StorageError when nothing could be written, and
        FailedError when the files do not say afterwards what they should.
        """
        intent = Intent(
            id=f"in_{secrets.token_hex(6)}",
            at=self._clock(),
            state=state,
            decision=self._with_position(state, decision),
            endpoint=endpoint,
        )
        payload = _INTENT.dump_python(intent, mode="json")
        self._journal.write(
            JournalEntry(
                id=intent.id, agent=state.agent, kind=decision.kind, payload=payload, at=intent.at
            )
        )
        self._carry_out(intent)

    def _with_position(self, state: RolloutState, decision: Decision) -> Decision:
        """Add where in the order of outcomes and feedback a step begins: replays need it."""
        before = self._rollouts.find(state.id)
        same_step = before is not None and before.step_started_at == state.step_started_at
        if same_step or state.ended_at is not None:
            return decision
        outcome, feedback = self._position()
        begins = {"weight": state.weight, "position": {"outcome": outcome, "feedback": feedback}}
        return replace(decision, evidence={**decision.evidence, **begins})

    def recover(self) -> list[str]:
        """Finish what a dead process left; return the ids of the intents."""
        with locked(self._lock_path, 30.0):
            return self._recover()

    def _recover(self) -> list[str]:
        finished = []
        for entry in self._journal.pending():
            intent = _INTENT.validate_python(entry.payload)
            self._carry_out(intent)
            self._audit.append(
                self._clock(), "recovery", "recovered", intent.state.agent, {"intent": intent.id}
            )
            finished.append(intent.id)
        return finished

    def _carry_out(self, intent: Intent) -> None:
        """Make the world say what the intent's state says. Idempotent."""
        state, want = intent.state, desired(intent.state)
        # Traffic first, records last: a rollback must not wait for bookkeeping.
        self._yaml.update(lambda table: routed(table, state.agent, want, intent.endpoint))
        self._registry.set_serving(
            state.agent, current=want.current, canary=want.canary, percent=want.canary_percent
        )
        self._rollouts.save(state, intent.at)
        decision = intent.decision
        self._rollouts.append_decision(
            state.id,
            at=intent.at,
            actor=decision.actor,
            kind=decision.kind,
            message=decision.message,
            evidence=dict(decision.evidence),
            intent_id=intent.id,
        )
        self._read_back(state, want)
        self._audit.append(
            intent.at,
            decision.actor,
            decision.kind,
            state.agent,
            {"rollout": state.id, "weight": state.weight, "message": decision.message},
        )
        self._journal.complete(intent.id)

    def _read_back(self, state: RolloutState, want: Desired) -> None:
        """Compare what the files say with what they should; success is said only after this."""
        table = self._yaml.read()
        found: dict[str, Any] = {
            "model in models.yaml": table.agent_models.get(state.agent),
            "rollout in models.yaml": table.rollouts.get(state.agent),
            "current in the registry": self._registry.agent(state.agent).current,
        }
        expected: dict[str, Any] = {
            "model in models.yaml": want.agent_model,
            "rollout in models.yaml": want.rollout,
            "current in the registry": want.current,
        }
        for what, value in expected.items():
            if found[what] != value:
                raise FailedError(
                    f"{state.agent}: {what} is {found[what]!r} after the change, not {value!r}.",
                    remedy="Somebody edits the file at the same time; run `chef status`.",
                )
