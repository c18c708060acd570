"""How a rollout's evidence came to be what it is: its records folded again, with looks in between.

Folding the same records again gives the same evidence (``domain.evidence``), so nothing has to be
kept for it but to save time: a process folds on from where it was asked last. Records are folded in
the order in which they came. Looks are taken after every 2^k-th outcome, so that those of a longer
rollout are some of those of a shorter one, and at the end of each step: what is answered does not
depend on when it was asked before.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from agent_orchestrator.agents.infrastructure.modelops.rollouts.monitoring import (
    guardrail_status,
    is_past,
    split_of,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import EvidencePoint
from agent_orchestrator.domain.evidence import RolloutEvidence
from agent_orchestrator.domain.outcomes import Judged, Recorded
from agent_orchestrator.domain.rollout import RolloutState
from agent_orchestrator.stores.outcomes import OutcomeStore
from agent_orchestrator.stores.rollouts import RecordedDecision, RolloutStore

_BATCH: Final = 5000
_MOST_LOOKS: Final = 1024
_MOST_ROLLOUTS: Final = 32
_NOWHERE: Final = (0, -1)


class Trajectories:
    """Replays rollouts, those asked for last from where they stood. May be shared by threads."""

    def __init__(
        self, outcomes: OutcomeStore, rollouts: RolloutStore, *, most_looks: int = _MOST_LOOKS
    ) -> None:
        """``most_looks`` of a rollout are kept, and at least half as many are shown."""
        self._outcomes = outcomes
        self._rollouts = rollouts
        self._most = most_looks
        self._kept: OrderedDict[str, _Trajectory] = OrderedDict()
        self._keeping = threading.Lock()

    def of(self, state: RolloutState, points: int) -> list[EvidencePoint]:
        """Return the evidence at up to ``points`` moments, evenly spread over the outcomes.

        The ends of steps and the present come in addition.
        """
        changes = [d for d in self._rollouts.decisions(state.id) if "position" in d.evidence]
        if not changes:
            return []
        with self._keeping:
            fresh = _Trajectory(self._outcomes, state, self._most)
            kept = self._kept.setdefault(state.id, fresh)
            self._kept.move_to_end(state.id)
            if len(self._kept) > _MOST_ROLLOUTS:
                self._kept.popitem(last=False)
        with kept.folding:
            kept.fold(changes)
            return kept.looks(points)


@dataclass(slots=True)
class _Look:
    """The evidence at a place: so many outcomes, and the judgements up to a number, are in it."""

    place: tuple[int, int]
    point: EvidencePoint
    ends_step: bool = False

    def is_due(self, every: int) -> bool:
        """Return whether it is shown when every so many outcomes are looked at."""
        return self.ends_step or self.place[0] % every == 0


class _Trajectory:
    """One rollout's evidence as far as it has been folded, and the looks at it."""

    def __init__(self, outcomes: OutcomeStore, state: RolloutState, most_looks: int) -> None:
        self._most = most_looks
        self.folding = threading.Lock()
        self._outcomes = outcomes
        self._state = state
        self._changes = 0

    def fold(self, changes: list[RecordedDecision]) -> None:
        """Take what has been recorded since; begin again when a step ended before that."""
        if not self._changes or any(is_past(self._evidence, c) for c in changes[self._changes :]):
            self._begin(changes[0])
        # What comes from now on waits: nothing may be found between two that are folded.
        now = self._outcomes.position()
        for change in changes[self._changes :]:
            position = change.evidence["position"]
            self._fold(position["outcome"], position["feedback"])
            self._look(ends_step=True)
            self._evidence.start_step(split_of(change), change.at)
            self._changes += 1
        self._fold(*now)

    def looks(self, points: int) -> list[EvidencePoint]:
        """Return what was seen at up to so many moments, at the ends of steps and now."""
        every = self._every
        while self._count / every > points:
            every *= 2
        found = [one.point for one in self._looks if one.is_due(every)]
        last = self._looks[-1] if self._looks else None
        if last is not None and last.place == self._place:
            now = last.point
        elif self._place != _NOWHERE:
            now = self._point()
        else:
            return found
        return found if found[-1:] == [now] else [*found, now]

    def _begin(self, first: RecordedDecision) -> None:
        policy, strategy = self._state.policy, self._state.strategy
        self._evidence = RolloutEvidence(policy, split_of(first), first.at, strategy)
        self._changes = 1
        self._count = 0
        self._every = 1
        self._at = first.at
        self._looks: list[_Look] = []

    def _fold(self, until_outcome: int, until_feedback: int) -> None:
        """Fold up to and with these places, judgements where they came between the outcomes."""
        judgements = self._judgements(until_feedback)
        judged = next(judgements, None)
        for recorded in self._recorded(until_outcome):
            while judged is not None and judged.after_outcome < recorded.seq:
                self._take(judged, judged.at)
                judged = next(judgements, None)
            self._take(recorded, recorded.outcome.at)
            self._count += 1
            if self._count % self._every == 0:
                self._look()
        while judged is not None:
            self._take(judged, judged.at)
            judged = next(judgements, None)

    def _take(self, record: Recorded | Judged, at: float) -> None:
        self._evidence.fold((record,))
        self._at = max(self._at, at)

    def _recorded(self, until: int) -> Iterator[Recorded]:
        seq = self._evidence.last_outcome_seq
        while batch := self._outcomes.outcomes_after(self._state.id, seq, _BATCH):
            wanted = list(takewhile(lambda one: one.seq <= until, batch))
            yield from wanted
            if len(wanted) < _BATCH:
                return
            seq = batch[-1].seq

    def _judgements(self, until: int) -> Iterator[Judged]:
        seq = self._evidence.last_feedback_seq
        while batch := self._outcomes.feedback_after(self._state.id, seq, _BATCH):
            wanted = list(takewhile(lambda one: one.seq <= until, batch))
            yield from wanted
            if len(wanted) < _BATCH:
                return
            seq = batch[-1].seq

    def _look(self, *, ends_step: bool = False) -> None:
        last = self._looks[-1] if self._looks else None
        if last is not None and last.place == self._place:
            last.ends_step = last.ends_step or ends_step
        elif self._place != _NOWHERE:
            self._looks.append(_Look(self._place, self._point(), ends_step))
        while len(self._looks) > self._most and any(not one.ends_step for one in self._looks):
            self._every *= 2
            self._looks = [one for one in self._looks if one.is_due(self._every)]

    @property
    def _place(self) -> tuple[int, int]:
        return self._count, self._evidence.last_feedback_seq

    def _point(self) -> EvidencePoint:
        verdict = self._evidence.verdict(self._at)
        share = verdict.realised_share
        return EvidencePoint(
            at=self._at,
            requests=verdict.candidate_requests + verdict.stable_requests,
            asked_pct=100 * verdict.asked_share,
            realised_pct=None if share is None else 100 * share,
            verdict=verdict.verdict,
            guardrails=[
                guardrail_status(rail, self._state.policy.alpha) for rail in verdict.guardrails
            ],
        )
