"""What answers take, and which way is better."""

import pytest

from agent_orchestrator.domain.evaluation import CallRecord, ModelResult
from agent_orchestrator.domain.expenses import TokenPrice, cost, expenses, total_cost


def call(number: int, *, seconds: float | None = 1.0, price: float | None = None) -> CallRecord:
    """Return one of four calls of 100 tokens, two to a group."""
    return CallRecord(
        example_id=f"e{number}",
        group=f"g{number // 2}",
        category="",
        expected="x",
        answer="x",
        latency_s=seconds,
        prompt_tokens=90,
        completion_tokens=10,
        cost_usd=price,
    )


def result(*calls: CallRecord) -> ModelResult:
    """Return a model's run of these calls."""
    return ModelResult(
        model="m",
        version=None,
        calls=calls,
        scores={},
        failed_calls=0,
        avg_latency_ms=None,
        total_tokens=None,
    )


def test_a_change_is_of_the_examples_that_both_have() -> None:
    """Slower is a change above 0; an example that only one has does not count."""
    before = result(*(call(n, seconds=2.0) for n in range(4)), call(9, seconds=99.0))
    after = result(*(call(n, seconds=2.5 + n / 10) for n in range(4)))
    latency, tokens = expenses(after, before)
    assert (latency.measure, latency.baseline) == ("latency_s", 2.0)
    assert latency.candidate == pytest.approx(2.65)
    assert latency.change_pct == pytest.approx(32.5)
    assert latency.interval[0] < 0.65 < latency.interval[1]
    assert (tokens.measure, tokens.change_pct, tokens.interval) == ("tokens", 0.0, None)


def test_what_was_not_measured_is_not_there() -> None:
    """No latency without one, no change without a baseline, no cost without a price."""
    found = expenses(result(call(1, seconds=None)), None)
    assert [(e.measure, e.baseline, e.change_pct) for e in found] == [("tokens", None, None)]


def test_a_cost_is_known_when_price_and_tokens_are() -> None:
    """Of all answers together only when each one's is; failed calls cost nothing we know of."""
    price = TokenPrice(1e-6, 2e-6)
    assert cost(call(1), price) == pytest.approx(110e-6)
    assert cost(call(1), None) is None
    assert total_cost([call(1, price=0.5), call(2, price=0.25)]) == 0.75
    assert total_cost([call(1, price=0.5), call(2)]) is None
    assert total_cost([]) == 0.0
