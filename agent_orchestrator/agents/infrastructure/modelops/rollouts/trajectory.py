"""How a rollout's evidence came to be what it is: its records folded again, with looks in between.

Folding the same records again gives the same evidence (``domain.evidence``), so nothing has to be
kept for it. Outcomes are folded in their order; a judgement is, where it was given by the time of
the last outcome before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import takewhile

from agent_orchestrator.agents.infrastructure.modelops.rollouts.monitoring import (
    guardrail_status,
    split_of,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import EvidencePoint
from agent_orchestrator.domain.evidence import RolloutEvidence
from agent_orchestrator.domain.rollout import RolloutState
from agent_orchestrator.stores.outcomes import OutcomeStore
from agent_orchestrator.stores.rollouts import RecordedDecision, RolloutStore

_BATCH = 5000


class Trajectories:
    """Replays rollouts. Keeps nothing; may be shared by threads."""

    def __init__(self, outcomes: OutcomeStore, rollouts: RolloutStore) -> None:
        self._outcomes = outcomes
        self._rollouts = rollouts

    def of(self, state: RolloutState, points: int) -> list[EvidencePoint]:
        """Return the evidence at about ``points`` moments, evenly spread over the outcomes."""
        changes = [d for d in self._rollouts.decisions(state.id) if "position" in d.evidence]
        if not changes:
            return []
        counts = self._outcomes.arm_counts(state.id)
        every = max(1, math.ceil(sum(c.requests for c in counts.values()) / points))
        return list(_Replay(self._outcomes, state, min(every, _BATCH)).points(changes))


class _Replay:
    def __init__(self, outcomes: OutcomeStore, state: RolloutState, every: int) -> None:
        self._outcomes = outcomes
        self._state = state
        self._every = every

    def points(self, changes: Sequence[RecordedDecision]) -> Iterator[EvidencePoint]:
        first = changes[0]
        policy, strategy = self._state.policy, self._state.strategy
        evidence = RolloutEvidence(policy, split_of(first), first.at, strategy)
        for change in changes[1:]:
            position = change.evidence["position"]
            yield from self._folded(evidence, position["outcome"], position["feedback"])
            evidence.start_step(split_of(change), change.at)
        yield from self._folded(evidence, math.inf, math.inf)

    def _folded(
        self, evidence: RolloutEvidence, until_outcome: float, until_feedback: float
    ) -> Iterator[EvidencePoint]:
        """Fold up to and with these places in the order, and look after every few outcomes."""
        while batch := self._outcomes.outcomes_after(
            self._state.id, evidence.last_outcome_seq, self._every
        ):
            wanted = [recorded for recorded in batch if recorded.seq <= until_outcome]
            if not wanted:
                break
            evidence.fold(wanted)
            at = wanted[-1].outcome.at
            self._fold_feedback(evidence, until_feedback, at)
            yield self._point(evidence, at)
        late = self._fold_feedback(evidence, until_feedback, math.inf)
        if late is not None:
            yield self._point(evidence, late)

    def _fold_feedback(
        self, evidence: RolloutEvidence, until: float, given_by: float
    ) -> float | None:
        """Fold the judgements that were given by then; return when the last one was."""
        last = None
        while judged := self._outcomes.feedback_after(
            self._state.id, evidence.last_feedback_seq, _BATCH
        ):
            due = list(takewhile(lambda j: j.seq <= until and j.at <= given_by, judged))
            evidence.fold(due)
            last = due[-1].at if due else last
            if len(due) < _BATCH:
                break
        return last

    def _point(self, evidence: RolloutEvidence, at: float) -> EvidencePoint:
        verdict = evidence.verdict(at)
        share = verdict.realised_share
        return EvidencePoint(
            at=at,
            requests=verdict.candidate_requests + verdict.stable_requests,
            asked_pct=100 * verdict.asked_share,
            realised_pct=None if share is None else 100 * share,
            verdict=verdict.verdict,
            guardrails=[
                guardrail_status(rail, self._state.policy.alpha) for rail in verdict.guardrails
            ],
        )
