"""Who serves an agent: the routing table read from models.yaml, and the choice of an arm.

An arm is chosen by weighted rendezvous hashing (Thaler & Ravishankar 1998; weights as in
Schindelhauer & Schomaker 2005) on SHA-256 of task, rollout and arm: the same task always gets the
same arm, and raising an arm's weight moves tasks towards that arm only.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Provider = Literal["openrouter", "huggingface", "self_hosted", "local"]
Strategy = Literal[
    "immediate",
    "canary",
    "blue_green",
    "shadow",
    "ab",
    "champion_challenger",
    "ensemble",
]
RolloutPhase = Literal["running", "guard"]

STABLE = "stable"
CANDIDATE = "candidate"
ENSEMBLE = "ensemble"
"""Who serves when the answers of several arms are put together."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One variant that may answer for an agent."""

    name: str
    """``stable`` for the arm that served before; unique within a rollout."""
    model: str
    """Model id, resolved to a place by the table's ``models`` catalogue."""
    version: str | None = None
    """Registry version, e.g. ``v1.1.0``; None for a model that is not registered."""
    weight: int = 100
    """Share of the agent's tasks in percent, 0..100."""
    mirror: int = 0
    """Share of the tasks copied to this arm without using its answer, in percent."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model lives. Models that the catalogue does not list go to OpenRouter."""

    model: str
    provider: Provider = "openrouter"
    endpoints: tuple[str, ...] = ()
    """Base URLs up to and including ``/v1``; empty for openrouter and local (found at run time)."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key; the key itself is never stored."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """The split of one agent while a rollout runs: one entry of models.yaml."""

    id: str
    strategy: Strategy
    arms: tuple[Arm, ...]
    """The first is stable; weights sum to 100."""
    phase: RolloutPhase = "running"
    judge: str | None = None
    """Model that compares a mirrored answer with the served one, or picks among the answers of an
    ensemble; None compares their text."""


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """An immutable snapshot of models.yaml."""

    agent_models: Mapping[str, str]
    """Agent → its stable model."""
    models: Mapping[str, Endpoint] = field(default_factory=dict)
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Agent (or ``default``) → models to try when every arm failed, in order."""
    rollouts: Mapping[str, Rollout] = field(default_factory=dict)

    def arms(self, agent: str) -> tuple[Arm, ...]:
        """Return the agent's arms; a single stable arm of weight 100 when no rollout runs.

        Raises KeyError for an agent without a model.
        """
        rollout = self.rollouts.get(agent)
        if rollout is not None:
            return rollout.arms
        return (Arm(STABLE, self.agent_models[agent]),)

    def endpoint(self, model: str) -> Endpoint:
        """Return where ``model`` lives."""
        return self.models.get(model) or Endpoint(model)

    def fallback_models(self, agent: str) -> tuple[str, ...]:
        """Return the models to try after every arm failed."""
        return self.fallbacks.get(agent, self.fallbacks.get("default", ()))


def entry_digest(table: RoutingTable, agent: str) -> str:
    """Return a digest of what ``table`` says about an agent's traffic: its model and its split.

    Two processes that serve an agent by the same digest split its traffic in the same way.
    """
    entry = (table.agent_models.get(agent), table.rollouts.get(agent))
    return hashlib.sha256(repr(entry).encode()).hexdigest()[:16]


def choose_arm(arms: Sequence[Arm], task_id: str, rollout_id: str) -> Arm:
    """Return the arm that owns ``task_id``.

    Raises ValueError when no arm has a positive weight.
    """
    carrying = [arm for arm in arms if arm.weight > 0]
    if not carrying:
        raise ValueError("No arm has a weight above 0.")
    return max(carrying, key=lambda arm: _score(arm, task_id, rollout_id))


def mirrored_arms(arms: Sequence[Arm], task_id: str, rollout_id: str) -> tuple[Arm, ...]:
    """Return the arms that get a copy of the task's requests.

    An arm's share of tasks is its ``mirror``. The same task is always mirrored or never, whichever
    arm serves it, and raising the share adds tasks only.
    """
    return tuple(
        arm
        for arm in arms
        if arm.mirror and 100 * _uniform("mirror", rollout_id, arm.name, task_id) < arm.mirror
    )


def _score(arm: Arm, task_id: str, rollout_id: str) -> float:
    """Weighted rendezvous score: exponential race with rate = weight."""
    return arm.weight / -math.log(_uniform(rollout_id, arm.name, task_id))


def _uniform(*key: str) -> float:
    """Return a number in (0, 1) that depends on ``key`` only."""
    digest = hashlib.sha256("\0".join(key).encode(errors="surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") + 0.5) / 2**64
