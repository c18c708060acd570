"""Puts Inference Endpoints to sleep whose model serves nobody any more.

After a promotion and its guard period that is the old model; after a rollback, and as long again as
its guard period would have been, the candidate. Each is put to sleep once, which becomes part of
the rollout's history: one that a person wakes afterwards stays awake.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from agent_orchestrator.agents.infrastructure.modelops.targets.endpoint_choice import ASLEEP, find
from agent_orchestrator.agents.infrastructure.modelops.targets.endpoint_control import (
    agents_served_at,
)
from agent_orchestrator.domain.rollout import RolloutState
from agent_orchestrator.domain.routing import Endpoint, RoutingTable
from agent_orchestrator.stores.models_yaml import ModelsYaml
from agent_orchestrator.stores.rollouts import RolloutStore

if TYPE_CHECKING:
    from agent_orchestrator.agents.infrastructure.modelops.targets.inference_endpoints import (
        InferenceEndpoints,
    )


class EndpointCare:
    """Looks after what costs money and serves nobody. The service is asked only when need be."""

    def __init__(
        self,
        endpoints: Callable[[], InferenceEndpoints | None],
        models_yaml: ModelsYaml,
        rollouts: RolloutStore,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``endpoints`` returns the way to the service, None without a token."""
        self._open = endpoints
        self._yaml = models_yaml
        self._rollouts = rollouts
        self._clock = clock
        self._settled: set[tuple[str, str]] = set()
        """Rollout and model about which there is nothing left to do."""

    def tick(self) -> None:
        """Put to sleep what is due. Raises what the service raises; the next tick tries again."""
        due = list(self._due(self._yaml.read()))
        service = self._open() if due else None
        if service is None:
            return
        running = service.list()
        for state, place in due:
            found = find(running, place)
            if found is not None and found.status not in ASLEEP:
                service.sleep(found.name)
                self._write_down(state, found.name, place.model)
            self._settled.add((state.id, place.model))

    def _due(self, table: RoutingTable) -> Iterator[tuple[RolloutState, Endpoint]]:
        """Yield each ended rollout with the places of its models that serve nobody."""
        now = self._clock()
        for agent in table.agent_models:
            for state in self._rollouts.of(agent):
                if now >= _warm_until(state):
                    yield from ((state, place) for place in self._left_behind(state, table))

    def _left_behind(self, state: RolloutState, table: RoutingTable) -> Iterator[Endpoint]:
        for model in {arm.model: None for arm in state.arms}:
            place = table.models.get(model)
            if place is None or place.provider != "huggingface" or _serves(table, place):
                continue
            if (state.id, model) not in self._settled and not self._was_put_to_sleep(state, model):
                yield place

    def _was_put_to_sleep(self, state: RolloutState, model: str) -> bool:
        decisions = self._rollouts.decisions(state.id)
        return any(d.kind == "sleep" and d.evidence.get("model") == model for d in decisions)

    def _write_down(self, state: RolloutState, name: str, model: str) -> None:
        self._rollouts.append_decision(
            state.id,
            intent_id=f"sleep:{state.id}:{model}",
            at=self._clock(),
            actor="timer",
            kind="sleep",
            message=f"The Inference Endpoint {name} of {model} serves nobody: scaled to zero.",
            evidence={"model": model, "endpoint": name},
        )


def _serves(table: RoutingTable, place: Endpoint) -> bool:
    return any(agents_served_at(table, url.rstrip("/")) for url in place.endpoints)


def _warm_until(state: RolloutState) -> float:
    """Return until when a rollout's models are kept as they are, seconds since the epoch."""
    if state.ended_at is None:
        return float("inf")
    return state.ended_at + (state.policy.guard_seconds if state.phase == "rolled_back" else 0)
