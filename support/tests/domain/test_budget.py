from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.budget import (
    Charge,
    MonthlyLimits,
    Spending,
    check_month,
    left,
    month_of,
    month_start,
    spent,
)
from agent_orchestrator.errors import InputError

LIMITS = MonthlyLimits(max_usd=100.0, max_hours=20.0)
NOVEMBER = datetime(2026, 11, 21, tzinfo=UTC).timestamp()
AMOUNT = st.floats(0.0, 60.0)


def charge(usd: float, hours: float = 0.0, at: float = NOVEMBER) -> Charge:
    """Return what a job takes."""
    return Charge(at=at, usd=usd, hours=hours)


@given(st.floats(0.0, 4e9))
def test_a_month_contains_its_own_start(at: float) -> None:
    """The start is in the month and not after the time; the moment before it is in another."""
    start = month_start(at)
    assert start <= at
    assert month_of(start) == month_of(at)
    assert month_of(start - 1.0) != month_of(at) or start < 1.0


def test_only_the_months_own_jobs_count() -> None:
    """What was spent in October is spent."""
    october = datetime(2026, 10, 31, 23, 59, tzinfo=UTC).timestamp()
    charges = [charge(7.0, 2.0), charge(90.0, 15.0, october), charge(3.0, 1.0)]
    assert spent(charges, "2026-11") == Spending(usd=10.0, hours=3.0)
    assert left(LIMITS, Spending(usd=130.0, hours=3.0)) == Spending(usd=0.0, hours=17.0)


def test_the_last_dollar_and_the_last_hour_may_be_spent() -> None:
    """A cent or a minute more is refused; the message has what is left, the remedy the key."""
    check_month(charge(40.0, 5.0), Spending(usd=60.0, hours=15.0), LIMITS)
    with pytest.raises(
        InputError, match=r"\$40\.01; \$40\.00 of \$100\.00 are left in 2026-11"
    ) as e:
        check_month(charge(40.01), Spending(usd=60.0), LIMITS)
    assert "limits.max_usd_per_month" in e.value.remedy
    with pytest.raises(
        InputError, match=r"5\.1 hours of a rented machine; 5\.0 of 20 are left"
    ) as e:
        check_month(charge(1.0, 5.1), Spending(hours=15.0), LIMITS)
    assert "limits.max_hours_per_month" in e.value.remedy


def test_what_costs_nothing_runs_in_a_month_that_is_spent() -> None:
    """This machine's own hours are free."""
    check_month(charge(0.0), Spending(usd=200.0, hours=30.0), LIMITS)


@given(st.lists(st.tuples(AMOUNT, AMOUNT), max_size=20))
def test_whatever_is_asked_for_the_limits_hold(asked: list[tuple[float, float]]) -> None:
    """Jobs that were let in never add up to more."""
    taken: list[Charge] = []
    for usd, hours in asked:
        try:
            check_month(charge(usd, hours), spent(taken, "2026-11"), LIMITS)
        except InputError:
            continue
        taken.append(charge(usd, hours))
    total = spent(taken, "2026-11")
    assert total.usd <= LIMITS.max_usd + 1e-9
    assert total.hours <= LIMITS.max_hours + 1e-9
