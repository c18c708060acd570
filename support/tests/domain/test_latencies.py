"""Quantiles of latencies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.latencies import Latencies, latencies


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([3.0], Latencies(3, 3, 3)),
        ([2.0, 1.0], Latencies(1, 2, 2)),
        (range(1, 101), Latencies(50, 95, 99)),
        (range(200, 0, -1), Latencies(100, 190, 198)),
    ],
)
def test_quantiles_are_by_nearest_rank(values: list[float], found: Latencies) -> None:
    """The smallest value that the share of all values does not exceed."""
    assert latencies(values) == found


def test_without_a_value_there_is_no_quantile() -> None:
    """Nothing is made up."""
    with pytest.raises(ValueError, match="no latencies"):
        latencies([])


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_quantiles_are_measured_values_in_order(values: list[float]) -> None:
    """Each one is among them, and p99 is not below p95, nor that below p50."""
    found = latencies(values)
    assert {found.p50, found.p95, found.p99} <= set(values)
    assert min(values) <= found.p50 <= found.p95 <= found.p99 <= max(values)
