"""Outcomes → verdicts: how a rollout stands."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    ChecklistItem,
    DrillReport,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import (
    ArmStatus,
    DecisionRecord,
    GuardrailStatus,
    LatencyQuantiles,
    RolloutReport,
)
from agent_orchestrator.domain import strategies
from agent_orchestrator.domain.evidence import RolloutEvidence
from agent_orchestrator.domain.rollout import GuardrailEvidence, RolloutState, RolloutVerdict
from agent_orchestrator.domain.routing import Arm, Strategy
from agent_orchestrator.stores.health import HealthBoard
from agent_orchestrator.stores.outcomes import OutcomeStore
from agent_orchestrator.stores.rollouts import RecordedDecision, RolloutStore

_SPLIT: TypeAdapter[tuple[Arm, ...]] = TypeAdapter(tuple[Arm, ...])
_CHECKLIST: TypeAdapter[list[ChecklistItem]] = TypeAdapter(list[ChecklistItem])
#: Strategies that take their candidate from step to step; a shadow once a person has promoted it.
_STEPPED: frozenset[Strategy] = frozenset({"canary", "shadow"})


class RolloutMonitor:
    """Folds a rollout's outcomes into its evidence, as they come or again from the start.

    Each change of the split is written into the rollout's history together with the place in the
    outcomes' order that it was decided at, so that any process, restarted or not, folds the same
    records into the same steps. May be shared by threads.
    """

    def __init__(
        self, outcomes: OutcomeStore, rollouts: RolloutStore, *, batch: int = 5000
    ) -> None:
        """``batch`` is how many records are read at once."""
        self._outcomes = outcomes
        self._rollouts = rollouts
        self._batch = batch
        self._folded: dict[str, _Folded] = {}
        self._folding = threading.Lock()

    def verdict(self, state: RolloutState, now: float) -> RolloutVerdict:
        """Return the verdict on a rollout at ``now``; on one that has ended, as of its end."""
        with self._folding:
            return self._evidence(state).verdict(now if state.ended_at is None else state.ended_at)

    def _evidence(self, state: RolloutState) -> RolloutEvidence:
        """Return the evidence with everything in that has been recorded so far."""
        changes = [d for d in self._rollouts.decisions(state.id) if "position" in d.evidence]
        if not changes:
            return RolloutEvidence(state.policy, state.arms, state.started_at, state.strategy)
        folded = self._folded.get(state.id)
        if folded is None or any(is_past(folded.evidence, c) for c in changes[folded.changes :]):
            # Somebody moved the split while this process folded on: those records belong to the
            # new step, so begin again.
            first = changes[0]
            evidence = RolloutEvidence(state.policy, split_of(first), first.at, state.strategy)
            folded = self._folded[state.id] = _Folded(evidence, changes=1)
        for change in changes[folded.changes :]:
            position = change.evidence["position"]
            self._fold(state.id, folded.evidence, position["outcome"], position["feedback"])
            folded.evidence.start_step(split_of(change), change.at)
            folded.changes += 1
        self._fold(state.id, folded.evidence)
        return folded.evidence

    def _fold(
        self,
        rollout_id: str,
        evidence: RolloutEvidence,
        until_outcome: float = math.inf,
        until_feedback: float = math.inf,
    ) -> None:
        """Take what has been recorded since, up to and with the given places in the order."""
        while batch := self._outcomes.outcomes_after(
            rollout_id, evidence.last_outcome_seq, self._batch
        ):
            wanted = [outcome for outcome in batch if outcome.seq <= until_outcome]
            evidence.fold(wanted)
            if len(wanted) < self._batch:
                break
        while judged := self._outcomes.feedback_after(
            rollout_id, evidence.last_feedback_seq, self._batch
        ):
            due = [judgement for judgement in judged if judgement.seq <= until_feedback]
            evidence.fold(due)
            if len(due) < self._batch:
                break


@dataclass(slots=True)
class _Folded:
    """One rollout's evidence, and how many changes of the split are in it."""

    evidence: RolloutEvidence
    changes: int


def is_past(evidence: RolloutEvidence, change: RecordedDecision) -> bool:
    """Return whether records from after ``change`` have been folded in."""
    position = change.evidence["position"]
    return bool(
        evidence.last_outcome_seq > position["outcome"]
        or evidence.last_feedback_seq > position["feedback"]
    )


class RolloutReports:
    """Answers how an agent's rollout stands."""

    def __init__(
        self,
        monitor: RolloutMonitor,
        rollouts: RolloutStore,
        outcomes: OutcomeStore,
        health: HealthBoard,
        catalogue: Catalogue,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._monitor = monitor
        self._rollouts = rollouts
        self._outcomes = outcomes
        self._health = health
        self._catalogue = catalogue
        self._clock = clock

    def report(self, agent: str) -> RolloutReport:
        """Return the agent's newest rollout with its evidence and history.

        Raises UnknownAgentError.
        """
        state = self._rollouts.latest(self._catalogue.check_agent(agent))
        return RolloutReport(agent=agent, rollout_id=None) if state is None else self.of(state)

    def of(self, state: RolloutState) -> RolloutReport:
        """Return a rollout with its evidence and history."""
        verdict = self._monitor.verdict(state, self._clock())
        decisions = self._rollouts.decisions(state.id)
        return RolloutReport(
            agent=state.agent,
            rollout_id=state.id,
            strategy=state.strategy,
            phase=state.phase,
            step=state.step,
            steps=list(state.policy.steps) if state.strategy in _STEPPED else [],
            weight=state.weight,
            reason=state.reason,
            arms=self._arms(state, verdict, _step_position(decisions)),
            verdict=verdict.verdict,
            verdict_reason=verdict.reason,
            outlook=_outlook(state),
            judge=state.judge,
            guardrails=[guardrail_status(rail, state.policy.alpha) for rail in verdict.guardrails],
            checklist=_checklist(decisions),
            drilled=_drilled(decisions),
            decisions=[_record(d, told={"checklist"}) for d in decisions],
        )

    def decisions(self, state: RolloutState) -> list[DecisionRecord]:
        """Return a rollout's history, oldest first."""
        return [_record(decision) for decision in self._rollouts.decisions(state.id)]

    def _arms(self, state: RolloutState, verdict: RolloutVerdict, position: int) -> list[ArmStatus]:
        """Return the arms; the present step began after the outcome of number ``position``."""
        counts = self._outcomes.arm_counts(state.id)
        latencies = self._outcomes.latencies(state.id, position)
        statuses = []
        for arm in state.arms:
            name, share = arm.name, None
            if verdict.realised_share is not None and arm.weight:
                share = 100.0 * verdict.realised_shares.get(arm.name, 0.0)
            health = self._health.of(state.agent, name, self._clock())
            statuses.append(
                ArmStatus(
                    arm=name,
                    version=arm.version,
                    model=arm.model,
                    asked_pct=arm.weight,
                    mirror_pct=arm.mirror,
                    realised_pct=share,
                    requests=counts[name].requests if name in counts else 0,
                    errors=counts[name].errors if name in counts else 0,
                    latency_ms=LatencyQuantiles(**asdict(latencies[name]))
                    if name in latencies
                    else None,
                    health=health.state,
                    condition=health.condition,
                    recent_calls=health.calls,
                    recent_failures=health.failures,
                    trip_reason=health.reason,
                )
            )
        return statuses


def guardrail_status(rail: GuardrailEvidence, alpha: float) -> GuardrailStatus:
    """Return one guardrail's evidence as it is shown."""
    return GuardrailStatus(**asdict(rail), difference=rail.difference(alpha))


def _checklist(decisions: Sequence[RecordedDecision]) -> list[ChecklistItem]:
    """Return the checklist that the rollout began with; one that was adopted has none."""
    found = (d.evidence["checklist"] for d in decisions if "checklist" in d.evidence)
    return _CHECKLIST.validate_python(next(found, []))


def _drilled(decisions: Sequence[RecordedDecision]) -> DrillReport | None:
    """Return the last drill's report."""
    drills = (d.evidence["drill"] for d in reversed(decisions) if d.kind == "drilled")
    found = next(drills, None)
    return None if found is None else DrillReport.model_validate(found)


def _step_position(decisions: Sequence[RecordedDecision]) -> int:
    """Return the number of the last outcome before the present step."""
    positions = (d.evidence["position"]["outcome"] for d in decisions if "position" in d.evidence)
    return max(positions, default=0)


def _outlook(state: RolloutState) -> str:
    return strategies.of(state.strategy).outlook(state) if state.phase == "running" else ""


def split_of(change: RecordedDecision) -> tuple[Arm, ...]:
    """Return the split that a change began."""
    return _SPLIT.validate_python(change.evidence["split"])


def _record(decision: RecordedDecision, told: Collection[str] = ()) -> DecisionRecord:
    """Return a decision as it is shown, without the evidence that is ``told`` elsewhere."""
    return DecisionRecord(
        at=decision.at,
        actor=decision.actor,
        kind=decision.kind,
        message=decision.message,
        evidence={name: value for name, value in decision.evidence.items() if name not in told},
    )
