from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from tests.doubles.splits import pair

from agent_orchestrator.domain.rollout import (
    TERMINAL_PHASES,
    Effects,
    Finish,
    Promote,
    RollBack,
    RolloutPolicy,
    RolloutState,
    RolloutVerdict,
    SetSplit,
    validate_policy,
)
from agent_orchestrator.domain.rollout_machine import (
    adopt_split,
    advance,
    promote,
    roll_back,
    start,
)
from agent_orchestrator.domain.routing import Arm
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import ConflictError, InputError

POLICY = RolloutPolicy(min_step_seconds=10, max_step_seconds=100, guard_seconds=50)
PASS, FAIL, INCONCLUSIVE, ERROR = (
    RolloutVerdict(verdict=verdict, reason=f"because {verdict}")
    for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.ERROR)
)


def begin(policy: RolloutPolicy = POLICY) -> tuple[RolloutState, Effects]:
    """Start a rollout at second 1,000."""
    return start(
        id="ro_1",
        agent="code_review",
        strategy="canary",
        policy=policy,
        arms=pair(stable=("old", "v1.0.0"), candidate=("new", "v1.1.0")),
        now=1000.0,
        approval_id="ap_1",
    )


def SetWeight(weight: int) -> SetSplit:  # noqa: N802 - reads like the effect
    """Return the effect that gives the candidate a share."""
    return SetSplit(arms_at(weight))


def adopt(state: RolloutState, weight: int, now: float) -> RolloutState:
    """Adopt the candidate's weight from a hand edit."""
    return adopt_split(state, arms_at(weight), now)


def arms_at(weight: int) -> tuple[Arm, ...]:
    """Return both arms."""
    return pair(weight, stable=("old", "v1.0.0"), candidate=("new", "v1.1.0"))


def running() -> RolloutState:
    """Return a rollout that began its first step at second 1,000."""
    return begin()[0]


def guarded() -> RolloutState:
    """Return a rollout whose guard period began at second 1,000."""
    return promote(running(), 100, 1000.0)[0]


def test_a_rollout_begins_at_its_first_step() -> None:
    """The first effect gives the candidate its first share."""
    state, effects = begin()
    assert effects == (SetWeight(20),)
    assert (state.phase, state.step, state.weight) == ("running", 0, 20)
    assert (state.started_at, state.step_started_at) == (1000.0, 1000.0)


def test_an_immediate_rollout_begins_with_its_guard_period() -> None:
    """The one step 100 promotes at once, and a degradation still rolls back."""
    state, effects = begin(replace(POLICY, steps=(100,)))
    assert effects == (Promote("candidate"),)
    assert (state.phase, state.weight) == ("guard", 100)
    assert advance(state, FAIL, 1001.0)[1] == (RollBack("because fail"),)


def test_the_way_from_20_to_50_to_100_to_the_end() -> None:
    """Each PASS after the step's minimum leads on; the guard period ends by itself."""
    state, effects = advance(running(), PASS, 1010.0)
    assert effects == (SetWeight(50),)
    assert (state.step, state.weight, state.step_started_at) == (1, 50, 1010.0)
    state, effects = advance(state, PASS, 1020.0)
    assert effects == (Promote("candidate"),)
    assert (state.phase, state.step, state.weight) == ("guard", 2, 100)
    assert advance(state, INCONCLUSIVE, 1069.9) == (state, ())
    state, effects = advance(state, INCONCLUSIVE, 1070.0)
    assert effects == (Finish(),)
    assert (state.phase, state.weight, state.ended_at) == ("promoted", 100, 1070.0)


@pytest.mark.parametrize(
    ("state", "verdict", "seconds", "effects"),
    [
        (running(), PASS, 9.9, ()),
        (running(), PASS, 10.0, (SetWeight(50),)),
        (running(), PASS, 1e6, (SetWeight(50),)),
        (running(), INCONCLUSIVE, 99.9, ()),
        (running(), ERROR, 99.9, ()),
        (running(), FAIL, 0.0, (RollBack("because fail"),)),
        (running(), FAIL, 1e6, (RollBack("because fail"),)),
        (guarded(), PASS, 49.9, ()),
        (guarded(), ERROR, 49.9, ()),
        (guarded(), ERROR, 50.0, (Finish(),)),
        (guarded(), FAIL, 0.0, (RollBack("because fail"),)),
        (guarded(), FAIL, 1e6, (RollBack("because fail"),)),
    ],
)
def test_what_follows_from_a_verdict(
    state: RolloutState, verdict: RolloutVerdict, seconds: float, effects: Effects
) -> None:
    """FAIL at once, PASS after the minimum, the rest holds; the guard period ends by time."""
    after, found = advance(state, verdict, 1000.0 + seconds)
    assert found == effects
    if not effects:
        assert after == state


@pytest.mark.parametrize("verdict", [INCONCLUSIVE, ERROR])
def test_silence_ends_a_rollout(verdict: RolloutVerdict) -> None:
    """A step that is not settled within its maximum is rolled back, and the reason says so."""
    after, effects = advance(running(), verdict, 1100.0)
    assert after.phase == "rolled_back"
    assert after.weight == 0
    assert after.ended_at == 1100.0
    assert effects == (RollBack(after.reason),)
    assert after.reason == f"No conclusion in time (100 s): because {verdict.verdict}"


verdicts = st.sampled_from([PASS, FAIL, INCONCLUSIVE, ERROR])
steps = st.lists(st.integers(1, 99), unique=True, max_size=5).map(lambda s: (*sorted(s), 100))
ticks = st.lists(st.tuples(verdicts, st.floats(0.0, 60.0)), max_size=40)


@given(steps, ticks)
def test_the_weight_never_rises_without_a_pass(
    shares: tuple[int, ...], sequence: list[tuple[RolloutVerdict, float]]
) -> None:
    """Over any history: up by a PASS and one step at a time, down only to 0; effects tell it."""
    state, _ = begin(replace(POLICY, steps=shares))
    now = 1000.0
    for verdict, seconds in sequence:
        now += seconds
        after, effects = advance(state, verdict, now)
        if after.weight > state.weight:
            assert verdict is PASS
            assert shares.index(after.weight) == after.step
            assert state.weight == ((0, *shares)[after.step])
            told = Promote("candidate") if after.weight == 100 else SetWeight(after.weight)
            assert effects == (told,)
        elif after.weight < state.weight:
            assert after.weight == 0
            assert effects == (RollBack(after.reason),)
        if verdict is FAIL and state.phase not in TERMINAL_PHASES:
            assert (after.phase, after.weight) == ("rolled_back", 0)
        if after == state:
            assert effects == ()
        state = after


@given(verdicts, st.floats(0.0, 1e9), st.sampled_from(["promoted", "rolled_back"]))
def test_an_ended_rollout_stays_as_it_is(verdict: RolloutVerdict, now: float, phase: str) -> None:
    """No verdict and no time have any effect any more."""
    ended = replace(running(), phase=phase, ended_at=1000.0)
    assert advance(ended, verdict, now) == (ended, ())


@pytest.mark.parametrize(
    ("percent", "weight", "step", "effects"),
    [
        (None, 50, 1, (SetWeight(50),)),
        (50, 50, 1, (SetWeight(50),)),
        (21, 21, 0, (SetWeight(21),)),
        (99, 99, 1, (SetWeight(99),)),
        (100, 100, 2, (Promote("candidate"),)),
    ],
)
def test_a_person_may_promote_to_any_higher_share(
    percent: int | None, weight: int, step: int, effects: Effects
) -> None:
    """The next step when no percentage is given; the step follows the weight."""
    after, found = promote(running(), percent, 1005.0)
    assert found == effects
    assert (after.weight, after.step, after.step_started_at) == (weight, step, 1005.0)


def test_after_a_share_of_its_own_a_rollout_goes_on_with_its_steps() -> None:
    """From 30 percent the next step is 50, from 60 it is 100."""
    at_30 = promote(running(), 30, 1000.0)[0]
    assert advance(at_30, PASS, 1010.0)[1] == (SetWeight(50),)
    at_60 = promote(running(), 60, 1000.0)[0]
    assert advance(at_60, PASS, 1010.0)[1] == (Promote("candidate"),)


@pytest.mark.parametrize("percent", [20, 5, 0, -1, 101])
def test_a_promotion_must_raise_the_share(percent: int) -> None:
    """The message names both weights, the remedy the range."""
    with pytest.raises(InputError, match=f"from 20 to {percent} percent") as caught:
        promote(running(), percent, 1005.0)
    assert "21 to 100" in caught.value.remedy


def test_a_person_may_roll_back_at_any_time_before_the_end() -> None:
    """Running or guarded, with the reason that was given."""
    for state in (running(), guarded()):
        after, effects = roll_back(state, "users complain", 1005.0)
        assert effects == (RollBack("users complain"),)
        assert (after.phase, after.weight, after.ended_at) == ("rolled_back", 0, 1005.0)


def test_what_has_ended_or_is_promoted_cannot_be_moved() -> None:
    """A conflict names the rollout and says why."""
    ended, _ = roll_back(running(), "users complain", 1005.0)
    with pytest.raises(ConflictError, match=r"'ro_1' has ended \(rolled back: users complain\)"):
        promote(ended, None, 1006.0)
    with pytest.raises(ConflictError, match="ended"):
        roll_back(ended, "again", 1006.0)
    with pytest.raises(ConflictError, match="ended"):
        adopt(ended, 30, 1006.0)
    for percent in (None, 100):
        with pytest.raises(ConflictError, match="already promoted"):
            promote(guarded(), percent, 1006.0)
    with pytest.raises(ConflictError, match="already promoted"):
        adopt(guarded(), 30, 1006.0)


@pytest.mark.parametrize(("weight", "step"), [(5, 0), (20, 0), (35, 0), (50, 1), (99, 1)])
def test_a_hand_edit_begins_the_step_anew(weight: int, step: int) -> None:
    """The weight of the file becomes the weight asked for, up or down."""
    after = adopt(running(), weight, 1005.0)
    assert (after.weight, after.step, after.step_started_at) == (weight, step, 1005.0)
    assert after.phase == "running"


@pytest.mark.parametrize("weight", [0, 100, 140, -1])
def test_a_hand_edit_cannot_end_a_rollout(weight: int) -> None:
    """0 and 100 are decisions with a command of their own."""
    with pytest.raises(InputError, match=f"candidate {weight}") as caught:
        adopt(running(), weight, 1005.0)
    assert "promote or roll back" in caught.value.remedy


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("steps", {"steps": ()}),
        ("steps", {"steps": (20, 50)}),
        ("steps", {"steps": (50, 20, 100)}),
        ("steps", {"steps": (20, 20, 100)}),
        ("steps", {"steps": (0, 100)}),
        ("steps", {"steps": (20, 100, 140)}),
        ("guardrails", {"guardrails": ()}),
        ("guardrails", {"guardrails": ("error", "error")}),
        ("alpha", {"alpha": 0.5}),
        ("looks", {"looks": 21}),
        ("max_step_seconds", {"min_step_seconds": 100, "max_step_seconds": 100}),
    ],
)
def test_a_policy_that_contradicts_itself_starts_nothing(
    key: str, changes: dict[str, object]
) -> None:
    """The message names the key and its value."""
    policy = replace(POLICY, **changes)
    with pytest.raises(InputError) as caught:
        begin(policy)
    assert f"{key} is {getattr(policy, key)!r}" in caught.value.message


@given(steps)
def test_any_rising_steps_to_100_are_a_policy(shares: tuple[int, ...]) -> None:
    """From one step to many."""
    validate_policy(replace(POLICY, steps=shares))


@pytest.mark.parametrize(
    "changes", [{"steps": [0, 100]}, {"margin": 0}, {"looks": 0}, {"guard": 5}]
)
def test_the_range_of_each_key_is_checked_at_the_edge(changes: dict[str, object]) -> None:
    """Pydantic reads the ranges from the annotations and knows no other keys."""
    with pytest.raises(ValidationError):
        TypeAdapter(RolloutPolicy).validate_python(changes)
