"""Rollback drills: how long a rollback would take to be effective in every process that serves.

The split of an open rollout is taken away as a rollback takes it away, and put back as soon as
every serving process serves without it. Each process says on the serving board when that was, by
its own clock, and when the last answer of the arms that were taken away ended. A process that has
not taken up the split yet, soon after a deployment, would have nothing to say: it is waited for.

What comes while the split is away is outside of the rollout: it bears no rollout id, so neither the
evidence nor the check of the realised split ever sees it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from agent_orchestrator.agents.infrastructure.modelops.rollouts.desired import desired
from agent_orchestrator.agents.infrastructure.modelops.rollouts.transitions import (
    Decision,
    Transitions,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    DrillReport,
    ProcessDrill,
)
from agent_orchestrator.domain.rollout import RolloutState
from agent_orchestrator.domain.routing import RoutingTable, entry_digest
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import ConflictError
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.models_yaml import ModelsYaml
from agent_orchestrator.stores.rollouts import RolloutStore
from agent_orchestrator.stores.serving import ServedPeriod, ServingBoard

_POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillLimits:
    """How long to wait, seconds."""

    in_effect: float = 5.0
    """For every process to serve by the split, and then to serve without it. Nobody else can change
    what serves meanwhile, so both stay well below the time for which others wait for the deployment
    lock."""
    last_answer: float = 30.0
    """For the last answer of the old arms; the split is back by then."""


class Drills:
    """Runs drills. Blocks: call it in a thread."""

    def __init__(
        self,
        *,
        models_yaml: ModelsYaml,
        transitions: Transitions,
        rollouts: RolloutStore,
        board: ServingBoard,
        audit: AuditLog,
        processes: Callable[[], Collection[str]],
        limits: DrillLimits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``processes`` returns the names of those that serve now."""
        self._yaml = models_yaml
        self._transitions = transitions
        self._rollouts = rollouts
        self._board = board
        self._audit = audit
        self._processes = processes
        self._limits = limits or DrillLimits()
        self._clock = clock

    def run(self, rollout_id: str, agent: str, actor: str) -> DrillReport:
        """Drill an open rollout; the split is back when this returns or raises.

        Raises ConflictError when the rollout is not open any more, and what ``Transitions.away``
        raises.
        """
        with self._transitions.exclusive(agent):
            state = self._rollouts.running(agent)
            if state is None or state.id != rollout_id:
                raise ConflictError(
                    f"Rollout {rollout_id} of {agent} is over.",
                    remedy=f"See how it stands (`chef rollout {agent}`).",
                )
            if not self._processes():
                return self._record(state, actor, _not_drilled(self._clock()))
            self._wait(self._limits.in_effect, lambda: self._all_follow(agent))
            at = self._clock()
            decision = Decision(
                actor=actor,
                kind="drill",
                message="Drill: the split is taken away, as a rollback would, and put back.",
            )
            with self._transitions.away(state, decision) as table:
                gone_at = self._clock()
                watch = _Watch.begin(state, table, at, self._processes())
                self._wait(self._limits.in_effect, lambda: self._is_in_effect(watch))
                away_s = self._clock() - gone_at
        report = _judge(self._wait_for_ends(watch), at, away_s, self._limits)
        return self._record(state, actor, report)

    def _all_follow(self, agent: str) -> bool:
        """Return whether every process serves the agent by what models.yaml says."""
        entry = entry_digest(self._yaml.read(), agent)
        said = {r.process: r.periods[-1].entry for r in self._board.of(agent, self._clock())}
        return all(said.get(process) == entry for process in self._processes())

    def _is_in_effect(self, watch: _Watch) -> bool:
        """Return whether every process serves without the split."""
        return all(process.in_effect_s is not None for process in self._look(watch))

    def _wait_for_ends(self, watch: _Watch) -> list[ProcessDrill]:
        """Wait until nothing of the old arms is under way, or the limit; return how each did."""
        self._wait(
            self._limits.last_answer, lambda: not any(p.under_way for p in self._look(watch))
        )
        return self._look(watch)

    def _wait(self, seconds: float, done: Callable[[], bool]) -> None:
        """Wait for something for so long at the most."""
        deadline = time.monotonic() + seconds
        while not done() and time.monotonic() <= deadline:
            time.sleep(_POLL_SECONDS)

    def _look(self, watch: _Watch) -> list[ProcessDrill]:
        """Return how each process has followed so far; those that have ended do not count."""
        said = {r.process: r.periods for r in self._board.of(watch.agent, self._clock())}
        alive = watch.processes.intersection(self._processes())
        return [watch.followed(name, said.get(name, ())) for name in sorted(alive)]

    def _record(self, state: RolloutState, actor: str, report: DrillReport) -> DrillReport:
        evidence: Mapping[str, object] = {"drill": report.model_dump(mode="json")}
        now = self._clock()
        self._rollouts.append_decision(
            state.id,
            intent_id=f"dr_{secrets.token_hex(6)}",
            at=now,
            actor=actor,
            kind="drilled",
            message=report.message,
            evidence=evidence,
        )
        detail = {"rollout": state.id, "verdict": report.verdict.value, "message": report.message}
        self._audit.append(now, actor, "drilled", state.agent, detail)
        return report


@dataclass(frozen=True, slots=True)
class _Watch:
    """What to look for on the board."""

    agent: str
    entry: str
    """Digest of the entry without the split."""
    old_arms: frozenset[str]
    at: float
    processes: frozenset[str]

    @staticmethod
    def begin(
        state: RolloutState, table: RoutingTable, at: float, processes: Collection[str]
    ) -> _Watch:
        split = desired(state).rollout
        old_arms = frozenset(arm.name for arm in split.arms[1:]) if split else frozenset()
        entry = entry_digest(table, state.agent)
        return _Watch(state.agent, entry, old_arms, at, frozenset(processes))

    def followed(self, process: str, periods: Sequence[ServedPeriod]) -> ProcessDrill:
        """Return when a process took the entry, and what of the periods before has ended."""
        taken = (n for n, p in enumerate(periods) if p.entry == self.entry and p.since >= self.at)
        number = next(taken, None)
        if number is None:
            return ProcessDrill(process=process, in_effect_s=None, last_answer_s=None)
        old = [a for before in periods[:number] for a in before.arms if a.arm in self.old_arms]
        ends = [arm.last_end for arm in old if arm.last_end is not None and arm.last_end >= self.at]
        return ProcessDrill(
            process=process,
            in_effect_s=periods[number].since - self.at,
            last_answer_s=max(ends) - self.at if ends else None,
            under_way=sum(arm.under_way for arm in old),
        )


def _judge(
    processes: list[ProcessDrill], at: float, away_s: float, limits: DrillLimits
) -> DrillReport:
    silent = [p.process for p in processes if p.in_effect_s is None]
    under_way = sum(p.under_way for p in processes)
    slowest = max((p.in_effect_s for p in processes if p.in_effect_s is not None), default=0.0)
    ends = [p.last_answer_s for p in processes if p.last_answer_s is not None]
    verdict, message = Verdict.PASS, f"A rollback is effective everywhere after {slowest:.3f} s"
    message += f", the last answer of the old arm came after {max(ends):.3f} s." if ends else "."
    if silent:
        verdict = Verdict.FAIL
        message = f"Did not follow within {limits.in_effect:g} s: {', '.join(silent)}."
    elif not processes:
        verdict, message = Verdict.INCONCLUSIVE, "Every process that served has ended meanwhile."
    elif under_way:
        verdict = Verdict.INCONCLUSIVE
        message = (
            f"In effect everywhere after {slowest:.3f} s, but {under_way} answers of the old arm "
            f"were still under way after {limits.last_answer:g} s."
        )
    return DrillReport(verdict=verdict, message=message, at=at, away_s=away_s, processes=processes)


def _not_drilled(at: float) -> DrillReport:
    message = "Nothing serves: not drilled."
    return DrillReport(verdict=Verdict.INCONCLUSIVE, message=message, at=at)
