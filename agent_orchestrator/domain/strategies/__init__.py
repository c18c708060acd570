"""What each strategy does with the traffic: one small pure module for each.

``domain.rollout_machine`` asks them and carries out what they decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from agent_orchestrator.domain.rollout import Move, RolloutState, RolloutVerdict
from agent_orchestrator.domain.routing import Strategy
from agent_orchestrator.domain.strategies import (
    ab,
    blue_green,
    canary,
    champion_challenger,
    ensemble,
    immediate,
    shadow,
)


class StrategyRules(Protocol):
    """The rules of one strategy. Pure: the same question has the same answer."""

    def begin(self, state: RolloutState) -> Move:
        """Return the first split of a rollout, or that it promotes at once.

        Raises InputError for a policy, or a number of arms, that the strategy cannot follow.
        """

    def decide(self, state: RolloutState, verdict: RolloutVerdict, now: float) -> Move | None:
        """Return what follows for a running rollout; None holds."""

    def promote(self, state: RolloutState, percent: int | None, arm: str) -> Move:
        """Return what a person's promotion of a candidate that is still in means.

        Raises InputError for a share that it cannot have.
        """

    def outlook(self, state: RolloutState) -> str:
        """Say in a sentence what a pass of a running rollout leads to."""


_RULES: Mapping[Strategy, StrategyRules] = {
    "immediate": immediate,
    "canary": canary,
    "blue_green": blue_green,
    "shadow": shadow,
    "ab": ab,
    "champion_challenger": champion_challenger,
    "ensemble": ensemble,
}


def of(strategy: Strategy) -> StrategyRules:
    """Return the rules of a strategy."""
    return _RULES[strategy]
