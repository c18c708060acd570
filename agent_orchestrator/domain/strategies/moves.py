"""What the strategies have in common."""

from __future__ import annotations

from dataclasses import replace

from agent_orchestrator.domain.rollout import (
    FULL,
    Promote,
    RollBack,
    RolloutPolicy,
    RolloutState,
    RolloutVerdict,
    SetSplit,
)
from agent_orchestrator.domain.routing import Arm
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import InputError


def to_share(state: RolloutState, name: str, weight: int) -> SetSplit | Promote:
    """Give a candidate ``weight`` percent and the stable arm the rest; 100 promotes it."""
    if weight == FULL:
        return Promote(name)
    shares = {state.stable.name: FULL - weight, name: weight}
    return SetSplit(
        tuple(replace(arm, weight=shares.get(arm.name, 0), mirror=0) for arm in state.arms)
    )


def everything_to(state: RolloutState, name: str) -> tuple[Arm, ...]:
    """Return the arms with all traffic on one of them."""
    return tuple(
        replace(arm, weight=FULL if arm.name == name else 0, mirror=0) for arm in state.arms
    )


def step_of(policy: RolloutPolicy, weight: int) -> int:
    """Return the last step that ``weight`` has reached; the first one below all of them."""
    return max(0, sum(step <= weight for step in policy.steps) - 1)


def long_enough(state: RolloutState, now: float) -> bool:
    """Return whether the step has lasted its minimum."""
    return now - state.step_started_at >= state.policy.min_step_seconds


def given_up(state: RolloutState, verdict: RolloutVerdict, now: float) -> RollBack | None:
    """Return the rollback that ends a failed rollout, or one that is not settled in time.

    A rollout cannot advance on silence, and does not hold for ever.
    """
    if verdict.verdict is Verdict.FAIL:
        return RollBack(verdict.reason)
    late = now - state.step_started_at >= state.policy.max_step_seconds
    if verdict.verdict is Verdict.PASS or not late:
        return None
    limit = f"{state.policy.max_step_seconds:g} s"
    return RollBack(f"No conclusion in time ({limit}): {verdict.reason}")


def only_whole(state: RolloutState, percent: int | None, arm: str) -> Promote:
    """Promote a candidate of a split without steps. Raises InputError for a share below 100."""
    if percent not in (None, FULL):
        raise InputError(
            f"Rollout {state.id!r} ({state.strategy}) has no step of {percent!r} percent.",
            remedy="Leave the percentage out, or use 100.",
        )
    return Promote(arm)
