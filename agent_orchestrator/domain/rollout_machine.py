"""A rollout's life as a pure state machine: ``advance(state, verdict, now) → (state, effects)``.

One machine for every strategy: the strategy says how the traffic begins, where it goes next and
what a person's promotion means; what a failure in the guard period, an end and a hand edit do is
the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from agent_orchestrator.domain import strategies
from agent_orchestrator.domain.rollout import (
    FULL,
    TERMINAL_PHASES,
    Effects,
    Finish,
    Move,
    Promote,
    RollBack,
    RolloutPolicy,
    RolloutState,
    RolloutVerdict,
    SetSplit,
    validate_policy,
)
from agent_orchestrator.domain.routing import CANDIDATE, STABLE, Arm, Strategy
from agent_orchestrator.domain.strategies import moves
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import ConflictError, InputError

_NUMBERED: Mapping[Strategy, str] = {
    "champion_challenger": "challenger",
    "ensemble": "member",
}

Model = tuple[str, str | None]
"""A model id and its registry version, None for a model that is not registered."""


def line_up(strategy: Strategy, stable: Model, candidates: Sequence[Model]) -> tuple[Arm, ...]:
    """Return the arms before any traffic has moved.

    They are called ``stable`` and ``candidate``, or ``challenger_1``, ``challenger_2`` …, or
    ``member_1``, ``member_2`` … where the strategy takes several.
    """
    numbered = _NUMBERED.get(strategy)
    names = [f"{numbered}_{i}" if numbered else CANDIDATE for i in range(1, len(candidates) + 1)]
    others = (
        Arm(name, model, version, weight=0)
        for name, (model, version) in zip(names, candidates, strict=True)
    )
    return (Arm(STABLE, *stable, weight=FULL), *others)


def start(
    *,
    id: str,  # noqa: A002 - the field's name
    agent: str,
    strategy: Strategy,
    policy: RolloutPolicy,
    arms: tuple[Arm, ...],
    now: float,
    judge: str | None = None,
    approval_id: str | None = None,
) -> tuple[RolloutState, Effects]:
    """Return a rollout of the arms of ``line_up`` with its first split, or promoted at once.

    Raises InputError for a policy that contradicts itself, or that the strategy cannot follow.
    """
    validate_policy(policy)
    state = RolloutState(
        id=id,
        agent=agent,
        strategy=strategy,
        policy=policy,
        arms=arms,
        started_at=now,
        step_started_at=now,
        judge=judge,
        approval_id=approval_id,
    )
    return _carry_out(state, strategies.of(strategy).begin(state), now)


def advance(
    state: RolloutState, verdict: RolloutVerdict, now: float
) -> tuple[RolloutState, Effects]:
    """Return what follows from ``verdict`` at ``now``, and what has to be done for it.

    A running rollout does what its strategy decides. In the guard period FAIL rolls back at once,
    and a period that ends without FAIL finishes the rollout. One that has ended stays as it is.
    """
    if state.phase in TERMINAL_PHASES:
        return state, ()
    if state.phase == "guard":
        return _advance_guard(state, verdict, now)
    move = strategies.of(state.strategy).decide(state, verdict, now)
    return (state, ()) if move is None else _carry_out(state, move, now)


def _advance_guard(
    state: RolloutState, verdict: RolloutVerdict, now: float
) -> tuple[RolloutState, Effects]:
    if verdict.verdict is Verdict.FAIL:
        return roll_back(state, verdict.reason, now)
    if now - state.step_started_at < state.policy.guard_seconds:
        return state, ()
    return replace(state, phase="promoted", ended_at=now, reason="guard period over"), (Finish(),)


def promote(
    state: RolloutState, percent: int | None, now: float, arm: str | None = None
) -> tuple[RolloutState, Effects]:
    """Return the rollout as a person promoted it: the strategy's next step, or to ``percent``.

    ``arm`` names the candidate that is meant; it may be left out when there is one. Raises
    ConflictError when a candidate has been promoted or the rollout has ended, InputError for a
    share or an arm that the strategy cannot promote.
    """
    _still_running(state)
    if arm is None and len(state.racing) != 1:
        raise InputError(
            f"Rollout {state.id!r} has several candidates.",
            remedy=f"Say which: {', '.join(a.version or a.model for a in state.racing)}.",
        )
    name = arm or state.racing[0].name
    if name not in {candidate.name for candidate in state.racing}:
        raise InputError(
            f"{name!r} is no candidate of rollout {state.id!r} any more.",
            remedy=f"See how it stands (`chef rollout {state.agent}`).",
        )
    return _carry_out(state, strategies.of(state.strategy).promote(state, percent, name), now)


def roll_back(state: RolloutState, reason: str, now: float) -> tuple[RolloutState, Effects]:
    """Return the rollout ended, all traffic on the stable arm.

    Raises ConflictError when it has ended before.
    """
    _still_open(state)
    return _carry_out(state, RollBack(reason), now)


def take_over(state: RolloutState, arm: str, reason: str, now: float) -> RolloutState:
    """Return the rollout ended with all traffic on ``arm``, without a guard period.

    Raises ConflictError when it has ended before.
    """
    _still_open(state)
    return replace(
        state,
        phase="rolled_back" if arm == STABLE else "promoted",
        arms=moves.everything_to(state, arm),
        serving=arm,
        ended_at=now,
        reason=reason,
    )


def adopt_split(state: RolloutState, arms: tuple[Arm, ...], now: float) -> RolloutState:
    """Return the rollout with the split that a person wrote into models.yaml, its step begun anew.

    Raises ConflictError unless the rollout is running, InputError for other arms, or for weights
    that leave no candidate in, or the stable arm out.
    """
    _still_running(state)
    same = [_identity(arm) for arm in arms] == [_identity(arm) for arm in state.arms]
    racing = any(arm.weight or arm.mirror for arm in arms[1:])
    if not same or not racing or not 0 < arms[0].weight <= FULL:
        said = ", ".join(f"{arm.name} {arm.weight}" for arm in arms)
        raise InputError(
            f"Cannot adopt the split {said} for rollout {state.id!r}.",
            remedy="Edit the weights of its arms; promote or roll back to end the rollout.",
        )
    return _split(state, arms, now)


def _identity(arm: Arm) -> Arm:
    return replace(arm, weight=0)


def _carry_out(state: RolloutState, move: Move, now: float) -> tuple[RolloutState, Effects]:
    match move:
        case SetSplit(arms):
            return _split(state, arms, now), (move,)
        case Promote(arm):
            moved = _split(state, moves.everything_to(state, arm), now)
            return replace(moved, phase="guard", serving=arm), (move,)
        case RollBack(reason):
            return take_over(state, STABLE, reason, now), (move,)


def _split(state: RolloutState, arms: tuple[Arm, ...], now: float) -> RolloutState:
    step = moves.step_of(state.policy, FULL - arms[0].weight)
    return replace(state, arms=arms, step=step, step_started_at=now)


def _still_running(state: RolloutState) -> None:
    _still_open(state)
    if state.phase == "guard":
        raise ConflictError(
            f"Rollout {state.id!r} is already promoted.",
            remedy="Its guard period ends by itself; roll back to undo it.",
        )


def _still_open(state: RolloutState) -> None:
    if state.phase in TERMINAL_PHASES:
        ended = state.phase.replace("_", " ")
        raise ConflictError(
            f"Rollout {state.id!r} has ended ({ended}: {state.reason}).",
            remedy="Deploy to start another.",
        )
