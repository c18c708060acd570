"""Canary: the candidate's share rises step by step, each step when the one before has passed."""

from __future__ import annotations

from agent_orchestrator.domain.rollout import FULL, Move, RolloutState, RolloutVerdict
from agent_orchestrator.domain.strategies import moves
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import InputError


def begin(state: RolloutState) -> Move:
    """Begin with the policy's first step."""
    moves.need_one(state)
    return moves.to_share(state, state.candidates[0].name, state.policy.steps[0])


def decide(state: RolloutState, verdict: RolloutVerdict, now: float) -> Move | None:
    """FAIL rolls back, PASS leads on after the step's minimum, the rest holds until its maximum."""
    if verdict.verdict is Verdict.PASS and moves.long_enough(state, now):
        return moves.to_share(state, state.candidates[0].name, _next_step(state))
    return moves.given_up(state, verdict, now)


def promote(state: RolloutState, percent: int | None, arm: str) -> Move:
    """Go to the next step, or to any higher share."""
    weight = _next_step(state) if percent is None else percent
    if not state.weight < weight <= FULL:
        raise InputError(
            f"Cannot promote rollout {state.id!r} from {state.weight} to {percent!r} percent.",
            remedy=f"Use {state.weight + 1} to 100, or roll back.",
        )
    return moves.to_share(state, arm, weight)


def outlook(state: RolloutState) -> str:
    """Say what a pass leads to."""
    return f"A pass gives the {state.candidates[0].name} {_next_step(state)} %."


def _next_step(state: RolloutState) -> int:
    return next(weight for weight in state.policy.steps if weight > state.weight)
