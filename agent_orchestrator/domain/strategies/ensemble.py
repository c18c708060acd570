"""Ensemble: all arms answer every request, and their weights are votes.

A member that is proven to err more, to be invalid more often or to be slower than the stable arm is
dropped; its votes go to those left. It goes on until a person ends it: promoting a member makes it
the agent's only model, rolling back leaves the stable arm.
"""

from __future__ import annotations

from agent_orchestrator.domain.rollout import Move, RolloutState, RolloutVerdict
from agent_orchestrator.domain.strategies import moves


def begin(state: RolloutState) -> Move:
    """Give all arms equal votes, or the members the policy's share."""
    return moves.shared(state)


def decide(state: RolloutState, verdict: RolloutVerdict, now: float) -> Move | None:  # noqa: ARG001
    """Drop the members that fail; time ends nothing."""
    return moves.eliminated(state, verdict)


def promote(state: RolloutState, percent: int | None, arm: str) -> Move:
    """End the ensemble with one member as the agent's model."""
    return moves.only_whole(state, percent, arm)


def outlook(state: RolloutState) -> str:  # noqa: ARG001
    """Say what a pass leads to."""
    return (
        "A pass changes nothing: a person ends an ensemble, by promoting a member or rolling back."
    )
