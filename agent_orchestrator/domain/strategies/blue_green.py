"""Blue-green: the new arm is kept warm by copies of requests, then gets all traffic at once.

Until the switch its errors, validity and latency are judged on the copies. After it the old arm
stays warm for the guard period: the way back is one switch too.
"""

from __future__ import annotations

from agent_orchestrator.domain.rollout import Move, RolloutState, RolloutVerdict
from agent_orchestrator.domain.strategies import moves

_WARM = 20


def begin(state: RolloutState) -> Move:
    """Copy some of the tasks to the new arm."""
    return moves.mirrored(state, state.policy.mirror or _WARM)


def decide(state: RolloutState, verdict: RolloutVerdict, now: float) -> Move | None:
    """PASS switches after the step's minimum, FAIL or the step's maximum ends it."""
    return moves.all_or_nothing(state, verdict, now)


def promote(state: RolloutState, percent: int | None, arm: str) -> Move:
    """Switch now."""
    return moves.only_whole(state, percent, arm)


def outlook(state: RolloutState) -> str:
    """Say what a pass leads to."""
    return f"A pass switches all traffic to the {state.candidates[0].name}."
