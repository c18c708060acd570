"""Immediate: all traffic at once, with the old arm warm for the guard period."""

from __future__ import annotations

from agent_orchestrator.domain.rollout import Move, Promote, RolloutState, RolloutVerdict
from agent_orchestrator.domain.strategies import moves


def begin(state: RolloutState) -> Move:
    """Promote the candidate."""
    moves.need_one(state)
    return Promote(state.candidates[0].name)


def decide(state: RolloutState, verdict: RolloutVerdict, now: float) -> Move | None:
    """There is no running phase: only a failure ends it."""
    return moves.given_up(state, verdict, now)


def promote(state: RolloutState, percent: int | None, arm: str) -> Move:
    """Promote the candidate."""
    return moves.only_whole(state, percent, arm)


def outlook(state: RolloutState) -> str:
    """Say what a pass leads to."""
    return f"All traffic goes to the {state.candidates[0].name}."
