"""A rollout's life as a pure state machine: ``advance(state, verdict, now) → (state, effects)``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from agent_orchestrator.domain.routing import Strategy
from agent_orchestrator.domain.statistics import MAX_LOOKS
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import ConflictError, InputError

Guardrail = Literal["error", "invalid", "quality", "latency"]
Phase = Literal["running", "guard", "promoted", "rolled_back"]

TERMINAL_PHASES: frozenset[Phase] = frozenset({"promoted", "rolled_back"})
FULL = 100
"""All of the traffic, percent."""

_FORBID_EXTRA = {"extra": "forbid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPolicy:
    """The rules of one rollout, frozen when it starts; its approval covers what they decide."""

    __pydantic_config__ = _FORBID_EXTRA

    steps: tuple[Annotated[int, Ge(1), Le(100)], ...] = (20, 50, 100)
    """Candidate's share in percent; rising, the last is 100 (promotion)."""
    guardrails: tuple[Guardrail, ...] = ("error", "invalid", "quality", "latency")
    alpha: Annotated[float, Gt(0), Lt(1)] = 0.05
    """Chance that an equal candidate is rolled back over the whole rollout, shared by the
    guardrails; also the chance that a candidate worse by ``margin`` passes a step."""
    margin: Annotated[float, Gt(0), Lt(1)] = 0.05
    """Non-inferiority margin: the loss in a guardrail's rate that promotion tolerates."""
    looks: Annotated[int, Ge(1)] = 5
    """Planned looks at a step's data for promotion."""
    look_every: Annotated[int, Ge(1)] = 100
    """Judged candidate requests between two looks."""
    latency_limit_s: Annotated[float, Gt(0)] = 5.0
    """A request slower than this counts as slow."""
    min_step_seconds: Annotated[float, Ge(0)] = 24 * 3600.0
    max_step_seconds: Annotated[float, Gt(0)] = 48 * 3600.0
    guard_seconds: Annotated[float, Ge(0)] = 24 * 3600.0
    """How long the old arm stays warm after promotion."""
    stale_after_seconds: Annotated[float, Gt(0)] = 3600.0
    """Without a candidate outcome for this long the evidence is stale: INCONCLUSIVE."""
    drill: bool = True
    """Whether a rollback is rehearsed as soon as the rollout has begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutState:
    """Where a rollout stands. Times are seconds since the epoch."""

    id: str
    agent: str
    strategy: Strategy
    policy: RolloutPolicy
    stable_model: str
    stable_version: str | None
    candidate_model: str
    candidate_version: str | None
    started_at: float
    step_started_at: float
    phase: Phase = "running"
    step: int = 0
    """Index into ``policy.steps``."""
    weight: int = 0
    """Candidate's share in percent as asked now."""
    approval_id: str | None = None
    ended_at: float | None = None
    reason: str = ""
    """Why it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardrailEvidence:
    """What one guardrail's data say."""

    guardrail: Guardrail
    verdict: Verdict
    candidate_n: int
    stable_n: int
    candidate_rate: float | None
    """Rate of good requests, 0..1; None without data."""
    stable_rate: float | None
    e_value: float
    """Evidence that the candidate is worse; FAIL when it reaches ``threshold``."""
    threshold: float
    lower_bound: float | None = None
    """Lower confidence bound of candidate − stable at the last look; None before the first."""
    look: int = 0
    """Planned looks taken in this step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutVerdict:
    """The verdict on a rollout, with its evidence."""

    verdict: Verdict
    reason: str
    """One line that names the guardrail and the numbers that decided."""
    guardrails: tuple[GuardrailEvidence, ...] = ()
    asked_share: float = 0.0
    """Candidate's share asked in this step, 0..1."""
    realised_share: float | None = None
    """Candidate's share of the distinct tasks of this step; None without data."""
    split_p_value: float | None = None
    """Sample-ratio-mismatch test of the realised split."""
    candidate_requests: int = 0
    """Candidate requests since the rollout began."""
    stable_requests: int = 0
    last_outcome_at: float | None = None
    details: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetWeight:
    """Give the candidate this share of the traffic, percent."""

    weight: int


@dataclass(frozen=True, slots=True)
class Promote:
    """Make the candidate the agent's model; keep the old arm warm (guard)."""


@dataclass(frozen=True, slots=True)
class RollBack:
    """Send all traffic to the stable arm again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The guard period is over: drop the old arm."""


Effect = SetWeight | Promote | RollBack | Finish
Effects = tuple[Effect, ...]


def validate_policy(policy: RolloutPolicy) -> None:
    """Raise InputError that names the key when the fields of ``policy`` contradict each other.

    The range of each field by itself is in its annotation.
    """
    rising = all(low < high for low, high in pairwise((0, *policy.steps)))
    unique = len(set(policy.guardrails)) == len(policy.guardrails)
    rules = (
        ("steps", rising and policy.steps[-1:] == (FULL,), "Let them rise and end in 100."),
        ("guardrails", unique and bool(policy.guardrails), "Name at least one, each once."),
        ("alpha", policy.alpha < 0.5, "Use less than 0.5."),  # noqa: PLR2004
        ("looks", policy.looks <= MAX_LOOKS, f"Plan at most {MAX_LOOKS}."),
        (
            "max_step_seconds",
            policy.max_step_seconds > policy.min_step_seconds,
            f"Use more than min_step_seconds, {policy.min_step_seconds:g}.",
        ),
    )
    for key, holds, remedy in rules:
        if not holds:
            raise InputError(f"Rollout policy: {key} is {getattr(policy, key)!r}.", remedy=remedy)


def start(
    *,
    id: str,  # noqa: A002 - the field's name
    agent: str,
    strategy: Strategy,
    policy: RolloutPolicy,
    stable_model: str,
    stable_version: str | None,
    candidate_model: str,
    candidate_version: str | None,
    now: float,
    approval_id: str | None = None,
) -> tuple[RolloutState, Effects]:
    """Return a rollout at its first step; a policy of the one step 100 promotes at once.

    Raises InputError for a policy that contradicts itself.
    """
    validate_policy(policy)
    state = RolloutState(
        id=id,
        agent=agent,
        strategy=strategy,
        policy=policy,
        stable_model=stable_model,
        stable_version=stable_version,
        candidate_model=candidate_model,
        candidate_version=candidate_version,
        started_at=now,
        step_started_at=now,
        approval_id=approval_id,
    )
    return _move(state, policy.steps[0], now)


def advance(
    state: RolloutState, verdict: RolloutVerdict, now: float
) -> tuple[RolloutState, Effects]:
    """Return what follows from ``verdict`` at ``now``, and what has to be done for it.

    FAIL rolls back at once, also in the guard period. PASS leads to the next step when the step has
    lasted ``min_step_seconds``. INCONCLUSIVE and ERROR hold: a rollout cannot advance on silence,
    and one that is not settled within ``max_step_seconds`` is rolled back. A guard period that ends
    without FAIL finishes the rollout. A rollout that has ended stays as it is.
    """
    if state.phase in TERMINAL_PHASES:
        return state, ()
    if verdict.verdict is Verdict.FAIL:
        return roll_back(state, verdict.reason, now)
    if state.phase == "guard":
        return _advance_guard(state, now)
    return _advance_step(state, verdict, now)


def _advance_guard(state: RolloutState, now: float) -> tuple[RolloutState, Effects]:
    if now - state.step_started_at < state.policy.guard_seconds:
        return state, ()
    return replace(state, phase="promoted", ended_at=now, reason="guard period over"), (Finish(),)


def _advance_step(
    state: RolloutState, verdict: RolloutVerdict, now: float
) -> tuple[RolloutState, Effects]:
    elapsed = now - state.step_started_at
    if verdict.verdict is Verdict.PASS:
        if elapsed < state.policy.min_step_seconds:
            return state, ()
        return _move(state, _next_weight(state), now)
    if elapsed < state.policy.max_step_seconds:
        return state, ()
    limit = f"{state.policy.max_step_seconds:g} s"
    return roll_back(state, f"No conclusion in time ({limit}): {verdict.reason}", now)


def promote(state: RolloutState, percent: int | None, now: float) -> tuple[RolloutState, Effects]:
    """Return the rollout at ``percent`` as a person asked; None is the next step, 100 the end.

    Raises ConflictError when the candidate already has all traffic or the rollout has ended,
    InputError when ``percent`` does not lie above the current weight and up to 100.
    """
    _still_open(state)
    if state.phase == "guard":
        raise ConflictError(
            f"Rollout {state.id!r} is already promoted.",
            remedy="Its guard period ends by itself; roll back to undo it.",
        )
    weight = _next_weight(state) if percent is None else percent
    if not state.weight < weight <= FULL:
        raise InputError(
            f"Cannot promote rollout {state.id!r} from {state.weight} to {percent!r} percent.",
            remedy=f"Use {state.weight + 1} to 100, or roll back.",
        )
    return _move(state, weight, now)


def roll_back(state: RolloutState, reason: str, now: float) -> tuple[RolloutState, Effects]:
    """Return the rollout ended, all traffic on the stable arm.

    Raises ConflictError when it has ended before.
    """
    _still_open(state)
    ended = replace(state, phase="rolled_back", weight=0, ended_at=now, reason=reason)
    return ended, (RollBack(reason),)


def adopt_weight(state: RolloutState, weight: int, now: float) -> RolloutState:
    """Return the rollout with the weight that a person wrote into models.yaml, its step begun anew.

    Raises ConflictError unless the rollout is running, InputError for a weight that would end it.
    """
    _still_open(state)
    if state.phase == "guard":
        raise ConflictError(
            f"Rollout {state.id!r} is already promoted.", remedy="Roll back to undo it."
        )
    if not 1 <= weight < FULL:
        raise InputError(
            f"Cannot adopt the weight {weight!r} for rollout {state.id!r}.",
            remedy="Use 1 to 99; promote or roll back to end the rollout.",
        )
    return replace(state, weight=weight, step=_step_of(state.policy, weight), step_started_at=now)


def _move(state: RolloutState, weight: int, now: float) -> tuple[RolloutState, Effects]:
    """Begin a step, or the guard period at 100."""
    moved = replace(state, weight=weight, step=_step_of(state.policy, weight), step_started_at=now)
    if weight == FULL:
        return replace(moved, phase="guard"), (Promote(),)
    return moved, (SetWeight(weight),)


def _next_weight(state: RolloutState) -> int:
    return next(weight for weight in state.policy.steps if weight > state.weight)


def _step_of(policy: RolloutPolicy, weight: int) -> int:
    """Return the last step that ``weight`` has reached; the first one below all of them."""
    return max(0, sum(step <= weight for step in policy.steps) - 1)


def _still_open(state: RolloutState) -> None:
    if state.phase in TERMINAL_PHASES:
        ended = state.phase.replace("_", " ")
        raise ConflictError(
            f"Rollout {state.id!r} has ended ({ended}: {state.reason}).",
            remedy="Deploy to start another.",
        )
