"""The circuit breaker's states, in time that the tests make up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.serving.breaker import Breaker, BreakerPolicy

POLICY = BreakerPolicy(threshold=0.5, minimum=4, window_seconds=10, cooldown_seconds=5)


def called(breaker: Breaker, now: float, *, failure: str | None = None) -> bool:
    """Make one call; return whether it was let through."""
    permit = breaker.permit(now)
    if permit is None:
        return False
    breaker.report(permit, now, failure=failure)
    return True


def tripped(now: float = 0.0) -> Breaker:
    """Return a breaker that has just opened."""
    breaker = Breaker(POLICY)
    for _ in range(4):
        assert called(breaker, now, failure="status 500")
    return breaker


def test_a_new_breaker_lets_calls_pass():
    """Nothing is known against a new arm."""
    breaker = Breaker(POLICY)
    assert breaker.state(0) == "closed"
    assert called(breaker, 0)


def test_it_opens_at_the_threshold_and_says_why():
    """Half of the window's calls failed: calls are refused, with the last failure as the reason."""
    breaker = Breaker(POLICY)
    for failure in (None, None, "first", "second"):
        assert called(breaker, 1.0, failure=failure)
    assert breaker.state(1.0) == "open"
    assert breaker.trip_reason == "second"
    assert not called(breaker, 5.9)
    assert breaker.retry_after(4.0) == 2.0


def test_few_calls_never_open_it():
    """Below the minimum, failures are no evidence."""
    breaker = Breaker(POLICY)
    for _ in range(3):
        called(breaker, 0, failure="x")
    assert breaker.state(0) == "closed"


def test_old_failures_are_forgotten():
    """Failures that left the window count no more."""
    breaker = Breaker(POLICY)
    for _ in range(3):
        called(breaker, 0, failure="x")
    called(breaker, 10, failure="x")
    assert breaker.state(10) == "closed"


def test_a_success_never_opens_it():
    """A good call does not trip a breaker whose window is just long enough."""
    breaker = Breaker(POLICY)
    for failure in ("x", "x", "x", None):
        called(breaker, 0, failure=failure)
    assert breaker.state(0) == "closed"


def test_half_open_lets_one_trial_pass_and_a_success_closes_it():
    """After the cool-down exactly one call decides."""
    breaker = tripped()
    assert breaker.state(5.0) == "half_open"
    trial = breaker.permit(5.0)
    assert trial is not None
    assert breaker.permit(5.0) is None
    breaker.report(trial, 5.1, failure=None)
    assert breaker.state(5.1) == "closed"
    assert breaker.trip_reason == ""


def test_a_failed_trial_opens_it_for_another_cool_down():
    """The trial failed: closed for as long again, with the new reason."""
    breaker = tripped()
    trial = breaker.permit(5.0)
    assert trial is not None
    breaker.report(trial, 6.0, failure="still broken")
    assert breaker.state(10.9) == "open"
    assert breaker.state(11.0) == "half_open"
    assert breaker.trip_reason == "still broken"


def test_a_trial_given_up_makes_room_for_the_next():
    """A client that left during the trial does not block the arm for ever."""
    breaker = tripped()
    trial = breaker.permit(5.0)
    assert trial is not None
    breaker.release(trial)
    assert breaker.permit(5.0) is not None


def test_late_results_of_calls_from_before_do_not_count():
    """A call begun while it was closed neither closes nor keeps it open afterwards."""
    breaker = Breaker(POLICY)
    slow = breaker.permit(0.0)
    assert slow is not None
    for _ in range(4):
        called(breaker, 0.0, failure="x")
    breaker.report(slow, 1.0, failure=None)
    assert breaker.state(1.0) == "open"
    trial = breaker.permit(5.0)
    assert trial is not None
    breaker.report(slow, 5.0, failure="x")
    breaker.release(slow)
    assert breaker.permit(5.0) is None, "the trial is still under way"


def test_reset_closes_it_by_hand():
    """A person may close it at any time; what was under way no longer counts."""
    breaker = tripped()
    breaker.reset()
    assert breaker.state(0.1) == "closed"
    assert called(breaker, 0.1, failure="x")
    assert breaker.state(0.1) == "closed"


calls = st.lists(
    st.tuples(st.floats(0, 3), st.sampled_from(["ok", "fail", "give up"])), max_size=200
)


@given(calls)
def test_it_is_never_stuck(steps: list[tuple[float, str]]):
    """Whatever happened, a cool-down later a call may pass, and a success then closes it."""
    breaker, now = Breaker(POLICY), 0.0
    for pause, result in steps:
        now += pause
        permit = breaker.permit(now)
        if permit is None:
            assert breaker.state(now) == "open"
        elif result == "give up":
            breaker.release(permit)
        else:
            breaker.report(permit, now, failure="x" if result == "fail" else None)
    now += POLICY.cooldown_seconds
    permit = breaker.permit(now)
    assert permit is not None
    breaker.report(permit, now, failure=None)
    assert breaker.state(now) == "closed"


def test_it_remembers_a_bounded_number_of_calls():
    """Memory is bounded at any rate of calls, and the share is that of the last calls."""
    breaker = Breaker(POLICY)
    for _ in range(5000):
        called(breaker, 0.0)
    for _ in range(500):
        called(breaker, 0.0, failure="x")
    assert breaker.state(0.0) == "open"


def test_recent_calls_are_those_of_the_window():
    """Older ones are forgotten, also when nobody calls any more."""
    breaker = Breaker(BreakerPolicy(window_seconds=30, minimum=10))
    for now, failure in ((0.0, "broken"), (20.0, None)):
        permit = breaker.permit(now)
        breaker.report(permit, now, failure=failure)
    assert breaker.recent(20.0) == (2, 1)
    assert breaker.recent(30.0) == (1, 0)
    assert breaker.recent(50.0) == (0, 0)
