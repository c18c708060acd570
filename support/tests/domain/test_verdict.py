import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.verdict import Verdict, worst


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], Verdict.INCONCLUSIVE),
        ([Verdict.PASS, Verdict.PASS], Verdict.PASS),
        ([Verdict.PASS, Verdict.INCONCLUSIVE], Verdict.INCONCLUSIVE),
        ([Verdict.INCONCLUSIVE, Verdict.ERROR], Verdict.ERROR),
        ([Verdict.ERROR, Verdict.FAIL], Verdict.FAIL),
    ],
)
def test_the_worst_verdict_wins(verdicts: list[Verdict], expected: Verdict) -> None:
    """PASS < INCONCLUSIVE < ERROR < FAIL, and nothing measured is INCONCLUSIVE."""
    assert worst(verdicts) is expected


@given(st.permutations(list(Verdict)))
def test_the_order_of_measurements_does_not_matter(verdicts: list[Verdict]) -> None:
    """Evidence of harm is found wherever it stands."""
    assert worst(verdicts) is Verdict.FAIL


def test_a_verdict_is_its_own_text() -> None:
    """Verdicts can be stored and shown as they are."""
    assert [str(verdict) for verdict in Verdict] == ["pass", "fail", "inconclusive", "error"]
