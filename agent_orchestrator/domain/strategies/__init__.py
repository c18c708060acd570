"""What each strategy does with the traffic: one small pure module for each.

``domain.rollout_machine`` asks them and carries out what they decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from agent_orchestrator.domain.rollout import Move, RolloutState, RolloutVerdict
from agent_orchestrator.domain.routing import Strategy
from agent_orchestrator.domain.strategies import canary, immediate
from agent_orchestrator.errors import NotAvailable


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


_RULES: Mapping[Strategy, StrategyRules] = {"canary": canary, "immediate": immediate}


def of(strategy: Strategy) -> StrategyRules:
    """Return the rules of a strategy. Raises NotAvailable."""
    if strategy not in _RULES:
        raise NotAvailable(
            f"Strategy {strategy!r} is not available in this build.",
            remedy=f"Use one of {', '.join(_RULES)}.",
        )
    return _RULES[strategy]
