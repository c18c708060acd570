"""What an approval covers, and who may give it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.approvals import (
    Approval,
    canonical_hash,
    check_answerable,
    check_usable,
    one_line,
    same_person,
)
from agent_orchestrator.errors import ApprovalDenied, InputError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
REQUESTS = st.dictionaries(st.text(), JSON, max_size=4)
APPROVAL = Approval(
    id="ap_1",
    use_case="deploy_model_to_agent",
    request={"agent": "cicd"},
    request_hash=canonical_hash("deploy_model_to_agent", {"agent": "cicd"}),
    summary="v1.0.0 gets 20 %.",
    price_ceiling_usd=0.0,
    requester="ada",
    created_at=100.0,
    expires_at=200.0,
)


@given(REQUESTS, REQUESTS)
def test_the_hash_does_not_see_the_order_of_keys(request: dict, resolved: dict) -> None:
    """The same request, written down in another order, is the same request."""
    again = dict(reversed(request.items())), dict(reversed(resolved.items()))
    assert canonical_hash("u", request, resolved) == canonical_hash("u", *again)


@given(REQUESTS, REQUESTS, st.text(), JSON)
def test_the_hash_sees_every_value(request: dict, resolved: dict, key: str, value: object) -> None:
    """Any changed or added field gives another hash, in the request and in what it means."""
    before = canonical_hash("u", request, resolved)
    assert canonical_hash("v", request, resolved) != before
    missing = object()
    if repr(request.get(key, missing)) != repr(value):
        assert canonical_hash("u", request | {key: value}, resolved) != before
    if repr(resolved.get(key, missing)) != repr(value):
        assert canonical_hash("u", request, resolved | {key: value}) != before


def test_request_and_meaning_are_told_apart() -> None:
    """A field does not move between what was asked and what it was resolved to."""
    assert canonical_hash("u", {"a": 1}) == canonical_hash("u", {"a": 1}, {})
    assert canonical_hash("u", {"a": 1}, {}) != canonical_hash("u", {}, {"a": 1})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1}, object(), {1: 2, "x": 3}])
def test_what_json_cannot_say_is_bad_input(value: object) -> None:
    """Nobody can approve what cannot be written down."""
    with pytest.raises(InputError, match="cannot be written as JSON"):
        canonical_hash("u", {"overrides": {"learning_rate": value}})


@pytest.mark.parametrize(
    ("approver", "now", "status", "says"),
    [
        ("bob", 199.9, "pending", None),
        ("bob", 200.0, "pending", "has expired"),
        ("  ", 150.0, "pending", "Nobody answers"),
        ("ada", 150.0, "pending", "may not answer"),
        ("bob", 150.0, "approved", "approved already"),
        ("bob", 150.0, "rejected", "rejected already"),
        ("bob", 150.0, "consumed", "consumed already"),
    ],
)
def test_who_may_answer_and_when(approver: str, now: float, status: str, says: str | None) -> None:
    """Somebody else, by name, in time, once."""
    approval = replace(APPROVAL, status=status)
    if says is None:
        check_answerable(approval, approver, now, requester_may_approve=False)
        return
    with pytest.raises(ApprovalDenied, match=says) as caught:
        check_answerable(approval, approver, now, requester_may_approve=False)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("ceiling", "price", "covered"),
    [
        (10.0, 10.0, True),
        (10.0, 0.0, True),
        (10.0, 10.000001, False),
        (10.0, float("nan"), False),
        (10.0, float("inf"), False),
        (float("nan"), 1.0, False),
        (0.0, 0.0, True),
    ],
)
def test_the_price_is_a_ceiling(ceiling: float, price: float, covered: bool) -> None:
    """A higher price, or one that is no number, is not covered."""
    approval = replace(APPROVAL, status="approved", price_ceiling_usd=ceiling)
    given = {"use_case": approval.use_case, "request_hash": approval.request_hash, "who": "ada"}
    if covered:
        check_usable(approval, **given, price_usd=price, now=150.0)
        return
    with pytest.raises(ApprovalDenied, match="Ask again at the new price"):
        check_usable(approval, **given, price_usd=price, now=150.0)


@given(st.text())
def test_what_is_shown_is_one_printable_line(text: str) -> None:
    """Of any text; and showing it again changes nothing."""
    shown = one_line(text)
    assert shown.isprintable()
    assert "  " not in shown
    assert one_line(shown) == shown


@given(st.text(), st.text())
def test_a_name_is_the_same_person_however_it_is_written(one: str, other: str) -> None:
    """Both ways round; and for what a door does to case and spaces."""
    assert same_person(one, other) == same_person(other, one)
    assert same_person(one, f" {one} ")
    assert not same_person(f"a{one}", f"b{one}")


@pytest.mark.parametrize(
    ("status", "now", "standing"),
    [
        ("pending", 199.9, "pending"),
        ("pending", 200.0, "expired"),
        ("approved", 200.0, "expired"),
        ("consumed", 200.0, "consumed"),
        ("rejected", 200.0, "rejected"),
        ("edited", 200.0, "edited"),
        ("cancelled", 200.0, "cancelled"),
    ],
)
def test_only_what_waits_expires(status: str, now: float, standing: str) -> None:
    """What is over stays what it became."""
    assert replace(APPROVAL, status=status).standing(now) == standing
