"""What the strategies have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agent_orchestrator.domain.rollout import (
    FULL,
    Guardrail,
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


def mirrored(state: RolloutState, share: int) -> SetSplit:
    """Copy ``share`` percent of the tasks to the only candidate, and give it no traffic.

    Raises InputError when there are several.
    """
    need_one(state)
    return SetSplit(
        (replace(state.stable, weight=FULL), replace(state.candidates[0], mirror=share))
    )


def shared(state: RolloutState) -> SetSplit:
    """Split the traffic in equal parts, or give the candidates the policy's share together."""
    n = len(state.candidates)
    total = n * FULL // (n + 1) if state.policy.share is None else state.policy.share
    parts = in_proportion(total, [1] * n)
    weights = (FULL - total, *parts)
    return SetSplit(
        tuple(replace(arm, weight=w) for arm, w in zip(state.arms, weights, strict=True))
    )


def eliminated(state: RolloutState, verdict: RolloutVerdict) -> SetSplit | RollBack | None:
    """Return the split without the candidates that failed, None when none did.

    Their traffic goes to the others in proportion; without a candidate left it is a rollback.
    """
    out = {arm.arm: arm.reason for arm in verdict.arms if arm.verdict is Verdict.FAIL}
    if not out:
        return None
    reason = " ".join(f"{name} is out. {why}" for name, why in out.items())
    if all(arm.name in out for arm in state.racing):
        return RollBack(reason)
    left = [0 if arm.name in out else arm.weight for arm in state.arms]
    weights = in_proportion(FULL, left)
    return SetSplit(
        tuple(replace(arm, weight=w) for arm, w in zip(state.arms, weights, strict=True)), reason
    )


def in_proportion(total: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Return whole numbers in the proportion of ``weights`` that sum to ``total``.

    By largest remainder; the first of equal ones is served first.
    """
    exact = [total * weight / sum(weights) for weight in weights]
    parts = [int(value) for value in exact]
    by_remainder = sorted(range(len(parts)), key=lambda i: parts[i] - exact[i])
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return tuple(parts)


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


def all_or_nothing(
    state: RolloutState, verdict: RolloutVerdict, now: float
) -> Promote | RollBack | None:
    """Promote the only candidate when it has passed for long enough; else as ``given_up``."""
    if verdict.verdict is Verdict.PASS and long_enough(state, now):
        return Promote(state.candidates[0].name)
    return given_up(state, verdict, now)


def only_whole(state: RolloutState, percent: int | None, arm: str) -> Promote:
    """Promote a candidate of a split without steps. Raises InputError for a share below 100."""
    if percent not in (None, FULL):
        raise InputError(
            f"Rollout {state.id!r} ({state.strategy}) has no step of {percent!r} percent.",
            remedy="Leave the percentage out, or use 100.",
        )
    return Promote(arm)


def need_one(state: RolloutState) -> None:
    """Raise InputError unless there is one candidate."""
    if len(state.candidates) != 1:
        raise InputError(
            f"Strategy {state.strategy!r} takes one candidate, not {len(state.candidates)}.",
            remedy="Leave the challengers out, or use champion_challenger or ensemble.",
        )


#: Judged of a copy; and one in whose measure an equal candidate has an advantage, the tolerance.
_NO_GOAL: frozenset[Guardrail] = frozenset({"preference", "slowdown"})


def need_goal(state: RolloutState) -> None:
    """Raise InputError unless the policy watches its goal."""
    policy = state.policy
    if policy.goal not in policy.guardrails or policy.goal in _NO_GOAL:
        raise InputError(
            f"Rollout policy: goal is {policy.goal!r}, the guardrails are {policy.guardrails!r}.",
            remedy="Name a goal that is one of the guardrails and can be measured of an answer "
            "that is served: error, invalid, quality or latency.",
        )
