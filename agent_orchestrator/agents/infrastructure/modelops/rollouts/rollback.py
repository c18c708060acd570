"""Roll back: the way to what served before, out of a running rollout or after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue, ModelRef
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.agents.infrastructure.modelops.rollouts.drills import Drills
from agent_orchestrator.agents.infrastructure.modelops.rollouts.transitions import (
    Decision,
    Transitions,
    new_rollout_id,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    RollbackDeployment,
    RolledBack,
)
from agent_orchestrator.domain import rollout_machine
from agent_orchestrator.domain.rollout import FULL, RolloutPolicy
from agent_orchestrator.domain.routing import Arm
from agent_orchestrator.errors import ConflictError
from agent_orchestrator.stores.rollouts import RolloutStore

#: All traffic at once.
_SWITCH = RolloutPolicy(steps=(FULL,))


@dataclass(frozen=True, slots=True, kw_only=True)
class _WayBack:
    """A rollback as the request was resolved."""

    agent: str
    rollout_id: str | None
    """The rollout that it ends; None for a switch from ``serving`` to ``back_to``."""
    serving: ModelRef
    """The model that has, or shares, the traffic."""
    back_to: ModelRef


class Rollbacks:
    """Plans and carries out rollbacks. Needs no checklist: it goes only to what has served."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        registry: ModelRegistry,
        rollouts: RolloutStore,
        transitions: Transitions,
        drills: Drills,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalogue = catalogue
        self._registry = registry
        self._rollouts = rollouts
        self._transitions = transitions
        self._drills = drills
        self._clock = clock

    def plan(self, request: RollbackDeployment, caller: Caller) -> Plan:
        """Plan the way back: out of a running rollout, or to a version that served before.

        A drill goes there and returns; it needs a running rollout.

        Raises UnknownAgentError, VersionNotFoundError, ConflictError (nothing to go back to).
        """
        agent = self._catalogue.check_agent(request.agent)
        if request.drill:
            return self._plan_drill(agent, request.version, caller)
        way = self._way_back(agent, request.version)
        summary = f"All of {way.agent}'s traffic goes back to {way.back_to}."
        decision = Decision(actor=caller.name, kind="rollback", message=summary)

        async def act(approval_id: str | None) -> RolledBack:
            started = time.monotonic()
            await anyio.to_thread.run_sync(self._roll_back, way, decision, approval_id)
            return RolledBack(
                agent=way.agent,
                version=way.back_to.version,
                model=way.back_to.model,
                seconds=time.monotonic() - started,
            )

        return Plan(summary=summary, act=act, changes_serving=True, resolved=asdict(way))

    def _plan_drill(self, agent: str, version: str | None, caller: Caller) -> Plan:
        running = self._rollouts.running(agent)
        if running is None:
            raise ConflictError(
                f"No rollout of {agent} runs: there is no split to drill with.",
                remedy=f"Deploy first (`chef deploy {agent}`).",
            )
        way = self._way_back(agent, version)
        summary = (
            f"All of {way.agent}'s traffic goes back to {way.back_to} until every process follows; "
            "then the split returns."
        )

        async def act(_approval_id: str | None) -> RolledBack:
            started = time.monotonic()
            report = await anyio.to_thread.run_sync(
                self._drills.run, running.id, way.agent, caller.name
            )
            return RolledBack(
                agent=way.agent,
                version=way.back_to.version,
                model=way.back_to.model,
                seconds=time.monotonic() - started,
                drill=report,
            )

        return Plan(summary=summary, act=act, changes_serving=True, resolved=asdict(way))

    def _way_back(self, agent: str, version: str | None) -> _WayBack:
        running = self._rollouts.running(agent)
        if running is None:
            serving = self._catalogue.serving(agent)
            return _WayBack(
                agent=agent,
                rollout_id=None,
                serving=serving,
                back_to=self._previous(agent, serving, version),
            )
        if version not in (None, running.stable.version, running.stable.model):
            raise ConflictError(
                f"Rollout {running.id} of {agent} runs; it goes back to "
                f"{running.stable.version or running.stable.model}, not {version!r}.",
                remedy="Roll back first without a version, then deploy the other one.",
            )
        return _WayBack(
            agent=agent,
            rollout_id=running.id,
            serving=_ref(running.own),
            back_to=_ref(running.stable),
        )

    def _previous(self, agent: str, serving: ModelRef, version: str | None) -> ModelRef:
        """Return where to go back to without a rollout: what ``version`` says, or served before."""
        served = self._served(agent)
        if version is None:
            back_to = self._served_before(agent, serving)
        else:
            named = (ref for ref in reversed(served) if version in (ref.version, ref.model))
            back_to = next(named, None) or self._catalogue.resolve(agent, version)
        if back_to is None:
            raise ConflictError(
                f"No version served {agent} before {serving}.",
                remedy=f"See the agent's models (`chef models {agent}`).",
            )
        if back_to.model == serving.model:
            raise ConflictError(
                f"{back_to} serves {agent} already.",
                remedy=f"See the agent's models (`chef models {agent}`).",
            )
        if back_to not in served:
            raise ConflictError(
                f"{back_to} has never served {agent}: there is no way back to it.",
                remedy=f"Deploy it (`chef deploy {agent}`).",
            )
        return back_to

    def _served_before(self, agent: str, serving: ModelRef) -> ModelRef | None:
        """Return what served before the present model first did, so that going back never loops."""
        before = self._registry.get_current_model(agent)
        if before is not None and before.version == serving.version:
            before = self._registry.previous_version(agent)
        # Else models.yaml was changed by hand since the current version served.
        if before is not None:
            return ModelRef(before.model_id, before.version)
        # Models outside the registry are on record in the rollouts only.
        line = self._in_rollouts(agent)
        models = [ref.model for ref in line]
        first = models.index(serving.model) if serving.model in models else len(models)
        return line[first - 1] if first else None

    def _served(self, agent: str) -> list[ModelRef]:
        """Return what had all of the agent's traffic at some time."""
        record = self._registry.agent(agent)
        models = {version.version: version.model_id for version in record.history}
        registered = [
            ModelRef(models[entry.version], entry.version)
            for entry in record.served
            if entry.role == "current"
        ]
        return registered + self._in_rollouts(agent)

    def _in_rollouts(self, agent: str) -> list[ModelRef]:
        """Return what had all traffic before and after each of the agent's rollouts, in order."""
        line = []
        for state in self._rollouts.of(agent):
            line.append(_ref(state.stable))
            if state.phase == "promoted":
                line.append(_ref(state.own))
        return line

    def _roll_back(self, way: _WayBack, decision: Decision, approval_id: str | None) -> None:
        with self._transitions.exclusive(way.agent, rolling_back=True):
            running = self._rollouts.running(way.agent)
            if way.rollout_id != (running and running.id):
                raise ConflictError(
                    f"The rollout of {way.agent} has moved on.",
                    remedy=f"See how it stands (`chef rollout {way.agent}`).",
                )
            if running is not None:
                after, _ = rollout_machine.roll_back(running, decision.message, self._clock())
                self._transitions.apply(after, decision)
            else:
                self._switch_back(way, decision, approval_id)

    def _switch_back(self, way: _WayBack, decision: Decision, approval_id: str | None) -> None:
        """Switch at once, without a guard period for the one that people want to be rid of."""
        self._catalogue.check_serving(way.agent, way.serving)
        now = self._clock()
        state, _ = rollout_machine.start(
            id=new_rollout_id(now),
            agent=way.agent,
            strategy="immediate",
            policy=_SWITCH,
            arms=rollout_machine.line_up(
                "immediate",
                (way.serving.model, way.serving.version),
                [(way.back_to.model, way.back_to.version)],
            ),
            approval_id=approval_id,
            now=now,
        )
        switched = replace(
            state, phase="promoted", ended_at=state.started_at, reason=decision.message
        )
        endpoint = self._catalogue.endpoint(way.back_to.model)
        self._transitions.apply(switched, decision, (endpoint,))


def _ref(arm: Arm) -> ModelRef:
    return ModelRef(arm.model, arm.version)
