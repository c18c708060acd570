"""Shadow: the candidate gets copies of the requests, and nobody gets its answers.

A failure ends it. A pass moves no traffic: that takes a person, whose promotion gives the candidate
the first step of a canary, and from there on it is one.
"""

from __future__ import annotations

from agent_orchestrator.domain.rollout import FULL, Move, RolloutState, RolloutVerdict
from agent_orchestrator.domain.strategies import canary, moves


def begin(state: RolloutState) -> Move:
    """Copy all of the tasks, or the policy's share, to the candidate."""
    return moves.mirrored(state, state.policy.mirror or FULL)


def decide(state: RolloutState, verdict: RolloutVerdict, now: float) -> Move | None:
    """Without traffic only FAIL, or no conclusion in time, leads anywhere."""
    if state.weight:
        return canary.decide(state, verdict, now)
    return moves.given_up(state, verdict, now)


def promote(state: RolloutState, percent: int | None, arm: str) -> Move:
    """Give the candidate its first traffic, or more."""
    return canary.promote(state, percent, arm)


def outlook(state: RolloutState) -> str:
    """Say what a pass leads to."""
    if state.weight:
        return canary.outlook(state)
    return (
        "A pass moves no traffic: a person's promotion gives the candidate "
        f"{state.policy.steps[0]} %."
    )
