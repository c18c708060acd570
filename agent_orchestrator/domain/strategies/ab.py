"""A/B test: a fixed split until one of the arms is proven better on the policy's goal.

The test is two-sided and valid at every moment (``watches``). A candidate that is proven better,
and not worse by the margin on the other guardrails, is promoted; one that is proven worse on any of
them loses. Without a difference the stable arm stays.
"""

from __future__ import annotations

from agent_orchestrator.domain.rollout import Move, RolloutState, RolloutVerdict
from agent_orchestrator.domain.strategies import moves


def begin(state: RolloutState) -> Move:
    """Split the tasks in halves, or by the policy's share."""
    moves.need_goal(state)
    moves.need_one(state)
    return moves.shared(state)


def decide(state: RolloutState, verdict: RolloutVerdict, now: float) -> Move | None:
    """Promote what is proven better after the step's minimum; no difference keeps the old one."""
    return moves.all_or_nothing(state, verdict, now)


def promote(state: RolloutState, percent: int | None, arm: str) -> Move:
    """End the test in the candidate's favour."""
    return moves.only_whole(state, percent, arm)


def outlook(state: RolloutState) -> str:
    """Say what a pass leads to."""
    return f"Proven better on {state.policy.goal}, the {state.candidates[0].name} is promoted."
