"""Champion and challengers: traffic moves to the better ones until one beats the champion.

Each challenger is compared with the champion (the stable arm) in a two-sided test that is valid at
every moment, at its share of the policy's alpha. One that is proven worse is out, and its tasks go
to those left in proportion to their weights, so that no other task moves (but for rounding to whole
percents). One that is proven better on the policy's goal, and not worse by the margin otherwise,
takes over. So the chance that any challenger which is not better takes over is at most alpha / 2,
and the chance that an equal one is thrown out as well, however many there are.
"""

from __future__ import annotations

from agent_orchestrator.domain.rollout import (
    Move,
    Promote,
    RollBack,
    RolloutState,
    RolloutVerdict,
)
from agent_orchestrator.domain.strategies import moves
from agent_orchestrator.domain.verdict import Verdict


def begin(state: RolloutState) -> Move:
    """Split the tasks in equal parts, or by the policy's share."""
    moves.need_goal(state)
    return moves.shared(state)


def decide(state: RolloutState, verdict: RolloutVerdict, now: float) -> Move | None:
    """Throw out what is proven worse, promote what is better; in doubt the champion stays."""
    out = moves.eliminated(state, verdict)
    if out is not None:
        return out
    passed = [arm.arm for arm in verdict.arms if arm.verdict is Verdict.PASS]
    if passed and moves.long_enough(state, now):
        return Promote(max(passed, key=lambda arm: _evidence(verdict, arm)))
    late = now - state.step_started_at >= state.policy.max_step_seconds
    if passed or not late:
        return None
    limit = f"{state.policy.max_step_seconds:g} s"
    return RollBack(f"No challenger was proven better in time ({limit}): {verdict.reason}")


def promote(state: RolloutState, percent: int | None, arm: str) -> Move:
    """Let a challenger take over."""
    return moves.only_whole(state, percent, arm)


def outlook(state: RolloutState) -> str:
    """Say what a pass leads to."""
    return f"Proven better on {state.policy.goal}, a challenger takes over; a worse one is out."


def _evidence(verdict: RolloutVerdict, arm: str) -> float:
    """Return the evidence that an arm is better than the champion."""
    return max(g.better_e_value or 0.0 for g in verdict.guardrails if g.arm == arm)
