"""Carries out what a rollout's state machine decides: models.yaml, the rollout's row, the registry.

A rollout's state says completely what models.yaml and the registry must hold (``desired``). A
transition therefore is: write the intent (the new state) to the journal, make the files say what
the state says, read them back, complete the intent. Every part is absolute, so doing it twice
changes nothing, and whoever takes the deployment lock next finishes what a dead process left
(support/docs/decisions/0003).

Traffic comes first, then the rollout's row (by which the timer watches it), then the registry. So a
registry that is broken stops no rollback; it stops what would give a candidate more traffic.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.agents.infrastructure.modelops.rollouts.desired import (
    Desired,
    desired,
    routed,
)
from agent_orchestrator.domain import rollout_machine
from agent_orchestrator.domain.rollout import RolloutState
from agent_orchestrator.domain.routing import (
    STABLE,
    Arm,
    Endpoint,
    RoutingTable,
)
from agent_orchestrator.errors import ChefError, ConflictError, FailedError
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.journal import IntentJournal, JournalEntry
from agent_orchestrator.stores.models_yaml import (
    ModelsYaml,
)
from agent_orchestrator.stores.rollouts import RolloutStore

DecisionKind = Literal["start", "step", "promote", "rollback", "finish", "adopt", "drill"]

#: What gives a candidate (more) traffic, and so wants the registry in order first.
_FORWARD: frozenset[DecisionKind] = frozenset({"start", "step", "promote", "drill"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Who changed a rollout, and why."""

    actor: str
    """A person, ``timer`` for what the verdicts decided, ``models.yaml`` for a hand edit."""
    kind: DecisionKind
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
    endpoints: tuple[Endpoint, ...] = ()
    """Where the candidates live, as far as the models catalogue does not say so yet."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What became of the changes that dead processes left."""

    settled: tuple[str, ...] = ()
    """A line on each change that is finished, or given up for good, now."""
    stuck: Mapping[str, ChefError] = field(default_factory=dict)
    """Agent → why its last change cannot be finished yet."""


class RecordsBehind(FailedError):  # noqa: N818 - a state of affairs
    """The traffic is as decided and the rollout's row says so; the registry does not yet."""


_INTENT: TypeAdapter[Intent] = TypeAdapter(Intent)
_SPLIT: TypeAdapter[tuple[Arm, ...]] = TypeAdapter(tuple[Arm, ...])


def new_rollout_id(now: float) -> str:
    """Return a fresh id, ``ro_<date>_<random>``; ``now`` is in seconds since the epoch."""
    return f"ro_{time.strftime('%Y%m%d', time.gmtime(now))}_{secrets.token_hex(3)}"


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
        lock: Callable[[float], AbstractContextManager[object]],
        lock_timeout: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the stores; ``position`` returns the last numbers of outcomes and of feedback.

        ``lock`` takes the deployment lock within so many seconds, else raises LockTimeout;
        ``lock_timeout`` is in seconds.
        """
        self._yaml = models_yaml
        self._registry = registry
        self._rollouts = rollouts
        self._journal = journal
        self._audit = audit
        self._position = position
        self._lock = lock
        self._lock_timeout = lock_timeout
        self._clock = clock

    # -- the deployment lock --------------------------------------------------------------------

    @contextmanager
    def exclusive(self, agent: str, *, rolling_back: bool = False) -> Iterator[None]:
        """Hold the deployment lock, with everything that was cut off carried out first.

        Decide inside this lock what depends on the present state. Raises LockTimeout, or
        FailedError when an earlier change of ``agent`` cannot be finished; other agents' unfinished
        changes do not matter. ``rolling_back`` goes on though the registry is behind.
        """
        with self._lock(self._lock_timeout):
            stuck = self._recover().stuck.get(agent)
            if stuck is not None and not (rolling_back and isinstance(stuck, RecordsBehind)):
                raise FailedError(
                    f"An earlier change of {agent} is not finished: {stuck.message}",
                    remedy=stuck.remedy,
                ) from stuck
            yield

    def recover(self) -> Recovery:
        """Finish what dead processes left. Raises LockTimeout, StorageError."""
        if not self._journal.pending():
            return Recovery()
        with self._lock(self._lock_timeout):
            return self._recover()

    def _recover(self) -> Recovery:
        pending = self._journal.pending()
        newest = {entry.agent: entry.id for entry in pending}
        settled: list[str] = []
        stuck: dict[str, ChefError] = {}
        for entry in pending:
            change = f"Change {entry.id} of {entry.agent} ({entry.kind})"
            try:
                if newest[entry.agent] == entry.id:
                    self._carry_out(_read(entry), recovering=True)
                else:
                    # A later change was decided upon it, so its row was written: only the files
                    # were behind, and those the later one sets.
                    self._journal.complete(entry.id)
            except ConflictError as error:
                self._give_up(entry, error)
                settled.append(f"{change} had been cut off and is given up: {error}")
            except ChefError as error:
                stuck[entry.agent] = error
            else:
                settled.append(f"{change} had been cut off and is finished now.")
        return Recovery(tuple(settled), stuck)

    def _give_up(self, entry: JournalEntry, error: ConflictError) -> None:
        """Forget a change that something else has taken the place of; the timer tidies up."""
        detail = {"intent": entry.id, "kind": entry.kind, "error": error.message}
        self._audit.append(self._clock(), "recovery", "given_up", entry.agent, detail)
        self._journal.complete(entry.id)

    # -- one transition -------------------------------------------------------------------------

    def apply(
        self, state: RolloutState, decision: Decision, endpoints: tuple[Endpoint, ...] = ()
    ) -> None:
        """Move to ``state``: journal, models.yaml, rollout, registry, read back.

        Call it inside ``exclusive``. Nothing has changed, and nothing will, when it raises
        StorageError, LockTimeout, ConfigurationError (a broken file) or ConflictError (another
        rollout is open, or the agent was given another model by hand). With RecordsBehind the
        traffic has moved, and the rest is done by whoever takes the lock next.
        """
        self._carry_out(self._write(state, decision, endpoints), recovering=False)

    @contextmanager
    def away(self, state: RolloutState, decision: Decision) -> Iterator[RoutingTable]:
        """Take an open rollout's split away for as long as a block takes, as a rollback would.

        Gives the table as it is then. Call it inside ``exclusive``. The journal's intent is to have
        the split as it is now: whoever takes the lock next puts it back if this process does not.
        Raises as ``apply``; at the end also when the split cannot be put back yet.
        """
        intent = self._write(state, decision, ())
        gone, _ = rollout_machine.roll_back(state, decision.message, intent.at)
        want, before = desired(gone), None
        try:
            before = self._yaml.read()
            self._target(intent, before, recovering=False)  # raises for a hand edit
            table = self._yaml.update(lambda table: routed(table, state.agent, want))
        except ChefError as error:
            self._withdraw(intent, before, error)
            raise
        try:
            yield table
        finally:
            self._carry_out(intent, recovering=False, withdraw=False)

    def _write(
        self, state: RolloutState, decision: Decision, endpoints: tuple[Endpoint, ...]
    ) -> Intent:
        """Write down what is going to be done."""
        if decision.kind in _FORWARD:
            self._registry.agent(state.agent)  # raises for a broken one
        intent = Intent(
            id=f"in_{secrets.token_hex(6)}",
            at=self._clock(),
            state=state,
            decision=self._with_position(state, decision),
            endpoints=endpoints,
        )
        payload = _INTENT.dump_python(intent, mode="json")
        self._journal.write(
            JournalEntry(
                id=intent.id, agent=state.agent, kind=decision.kind, payload=payload, at=intent.at
            )
        )
        return intent

    def _with_position(self, state: RolloutState, decision: Decision) -> Decision:
        """Add where in the order of outcomes and feedback a step begins: replays need it."""
        before = self._rollouts.find(state.id)
        same_step = before is not None and before.step_started_at == state.step_started_at
        if same_step or state.ended_at is not None:
            return decision
        outcome, feedback = self._position()
        begins = {
            "split": _SPLIT.dump_python(state.arms, mode="json"),
            "position": {"outcome": outcome, "feedback": feedback},
        }
        return replace(decision, evidence={**decision.evidence, **begins})

    def _carry_out(self, intent: Intent, *, recovering: bool, withdraw: bool = True) -> None:
        """Make the world say what the intent's state says. Idempotent.

        With ``withdraw``, a new intent whose first effect fails is given up.
        """
        before: RoutingTable | None = None
        try:
            before = self._yaml.read()
            state, want = self._target(intent, before, recovering=recovering)
            self._yaml.update(lambda table: routed(table, state.agent, want, intent.endpoints))
        except ChefError as error:
            if withdraw and not recovering:
                self._withdraw(intent, before, error)
            raise
        self._rollouts.save(state, intent.at)
        self._rollouts.append_decision(
            state.id,
            at=intent.at,
            actor=intent.decision.actor,
            kind=intent.decision.kind,
            message=intent.decision.message,
            evidence=dict(intent.decision.evidence),
            intent_id=intent.id,
        )
        try:
            self._register(state, want)
        except ChefError as error:
            raise RecordsBehind(
                f"{state.agent}: the traffic is as decided, the records are not: {error.message}",
                remedy=f"{error.remedy} They are finished by themselves then.".lstrip(),
            ) from error
        self._write_down(intent, state, recovering=recovering)
        for entry in self._journal.pending():  # this one, and earlier ones that it has overtaken
            if entry.agent == state.agent:
                self._journal.complete(entry.id)

    def _withdraw(self, intent: Intent, before: RoutingTable | None, error: ChefError) -> None:
        """See that an intent whose first effect failed does not happen later."""
        with suppress(ChefError):
            if before is None or self._yaml.read() == before:
                self._journal.complete(intent.id)
                return
        error.remedy += " It could not be withdrawn either: whoever comes next carries it out."

    def _target(
        self, intent: Intent, table: RoutingTable, *, recovering: bool
    ) -> tuple[RolloutState, Desired]:
        """Return the state to reach and what the files must say then.

        A person may have given the agent a model that is neither arm's, or taken the agent out.
        That stands: such a rollout is over. Raises ConflictError when it would only begin or go on
        now, and when the agent has another open rollout.
        """
        state, want = intent.state, desired(intent.state)
        running = self._rollouts.running(state.agent)
        if state.ended_at is None and running is not None and running.id != state.id:
            raise ConflictError(
                f"Rollout {running.id} of {state.agent} has not ended.",
                remedy="Promote it, roll it back or wait.",
            )
        found = table.agent_models.get(state.agent)
        if found in {arm.model for arm in state.arms}:
            return state, want
        if not recovering and intent.decision.kind == "rollback":
            return state, want
        reason = f"models.yaml names {found!r} for {state.agent}, written by hand."
        if not recovering and state.ended_at is None:
            raise ConflictError(reason, remedy="Look at it, then ask again.")
        if state.ended_at is None:
            state = rollout_machine.take_over(state, STABLE, reason, self._clock())
        return state, Desired(agent_model=found, rollout=None, others=desired(state).others)

    def _register(self, state: RolloutState, want: Desired) -> None:
        """Say in the registry what serves, and read back; a version it does not know is none."""
        record = self._registry.agent(state.agent)
        models = {version.version: version.model_id for version in record.history}
        current, canary = want.current, want.canary
        if want.agent_model not in {arm.model for arm in state.arms}:
            same = [version for version, model in models.items() if model == want.agent_model]
            current = same[-1] if same else None
        current = current if current in models else None
        canary = canary if canary in models else None
        self._registry.set_serving(
            state.agent,
            current=current,
            canary=canary,
            percent=want.canary_percent,
            others={v: role for v, role in want.others.items() if v in models and v != current},
        )
        table, after = self._yaml.read(), self._registry.agent(state.agent)
        checks = (
            ("model in models.yaml", table.agent_models.get(state.agent), want.agent_model),
            ("rollout in models.yaml", table.rollouts.get(state.agent), want.rollout),
            (
                "current and canary in the registry",
                (after.current, after.canary),
                (current, canary),
            ),
        )
        for what, found, expected in checks:
            if found != expected:
                raise FailedError(
                    f"{what} is {found!r} after the change, not {expected!r}.",
                    remedy="Somebody edits the file too; see the overview (`chef status`).",
                )

    def _write_down(self, intent: Intent, state: RolloutState, *, recovering: bool) -> None:
        decision = intent.decision
        detail = {"rollout": state.id, "weight": state.weight, "message": decision.message}
        if recovering:
            detail["decided_by"] = decision.actor
        actor = "recovery" if recovering else decision.actor
        self._audit.append(self._clock(), actor, decision.kind, state.agent, detail)


def _read(entry: JournalEntry) -> Intent:
    try:
        return _INTENT.validate_python(entry.payload)
    except ValidationError as error:
        raise FailedError(
            f"The change {entry.id} was written down by another version of this program.",
            remedy="Finish it with that version: start its `chef serve` once.",
        ) from error
