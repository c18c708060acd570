"""Approvals in the database: answered once, spent once, closed in doubt."""

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from agent_orchestrator.domain.approvals import Approval, canonical_hash
from agent_orchestrator.errors import ApprovalDenied, ChefError, NotFoundError
from agent_orchestrator.stores.approvals import ApprovalStore
from agent_orchestrator.stores.database import Database

USE_CASE = "train_subagent_model"
REQUEST = {"agent": "feature_dev", "overrides": {"seed": 1}}
HASH = canonical_hash(USE_CASE, REQUEST)
APPROVAL = Approval(
    id="ap_1",
    use_case=USE_CASE,
    request=REQUEST,
    request_hash=HASH,
    summary="Train feature_dev.",
    price_ceiling_usd=15.0,
    requester="ada",
    created_at=100.0,
    expires_at=200.0,
)


@pytest.fixture
def store(database: Database) -> ApprovalStore:
    """Return a store with one pending approval."""
    store = ApprovalStore(database)
    store.create(APPROVAL)
    return store


def answer(store: ApprovalStore, *, approve: bool = True, **changes: object) -> Approval:
    """Answer the approval as bob."""
    given = {"approver": "bob", "reason": "fine", "now": 110.0, "requester_may_approve": False}
    return store.answer("ap_1", approve=approve, **given | changes)


def consume(store: ApprovalStore, approval_id: str = "ap_1", **changes: object) -> Approval:
    """Spend the approval as ada, for what it covers."""
    given = {"by": "ada", "use_case": USE_CASE, "request_hash": HASH, "price_usd": 1.0}
    return store.consume(approval_id, **given | {"now": 120.0} | changes)


def race(actions: list[Callable[[], object]]) -> list[object]:
    """Run the actions at once and return what each gave or raised."""
    barrier, results = threading.Barrier(len(actions)), []

    def run(action: Callable[[], object]) -> None:
        barrier.wait()
        try:
            results.append(action())
        except ChefError as error:
            results.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_an_approval_is_answered_and_spent(store: ApprovalStore) -> None:
    """The usual way: pending, approved by another, consumed by the request it covers."""
    assert store.get("ap_1") == APPROVAL
    assert store.pending(now=110.0) == [APPROVAL]
    approved = answer(store)
    assert approved == replace(
        APPROVAL, status="approved", approver="bob", reason="fine", answered_at=110.0
    )
    assert store.pending(now=110.0) == []
    spent = consume(store, price_usd=15.0)
    assert spent == replace(approved, status="consumed", consumed_at=120.0) == store.get("ap_1")
    with pytest.raises(ApprovalDenied, match="is consumed"):
        consume(store, now=121.0)


def test_of_many_answers_and_uses_at_once_one_wins(store: ApprovalStore) -> None:
    """Eight people who answer, then eight processes that spend: one of each succeeds."""
    answers = race([partial(answer, store, approve=bool(n % 2)) for n in range(8)])
    winners = [found for found in answers if isinstance(found, Approval)]
    assert len(winners) == 1
    assert store.get("ap_1") == winners[0]
    if winners[0].status == "rejected":
        store.create(replace(APPROVAL, id="ap_2", status="approved"))
    name = "ap_1" if winners[0].status == "approved" else "ap_2"
    uses = race([partial(consume, store, name)] * 8)
    assert sum(isinstance(found, Approval) for found in uses) == 1


def test_a_rejected_approval_covers_nothing(store: ApprovalStore) -> None:
    """A rejection is final."""
    assert answer(store, approve=False, reason="too dear").reason == "too dear"
    with pytest.raises(ApprovalDenied, match="is rejected"):
        consume(store)
    with pytest.raises(ApprovalDenied, match="rejected already"):
        answer(store)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"approver": ""}, "Nobody answers"),
        ({"approver": "ada"}, "may not answer"),
    ],
)
def test_not_everybody_may_answer_at_any_time(
    store: ApprovalStore, changes: dict, says: str
) -> None:
    """Unsigned or by the requester: no answer, and the approval still waits; later it is void."""
    with pytest.raises(ApprovalDenied, match=says):
        answer(store, **changes)
    assert store.get("ap_1") == APPROVAL
    assert store.pending(now=199.0) == [APPROVAL]
    assert store.pending(now=200.0) == []
    with pytest.raises(ApprovalDenied, match="has expired"):
        answer(store, now=200.0)
    assert store.get("ap_1").status == "expired"


def test_the_only_user_may_approve_where_it_is_configured(store: ApprovalStore) -> None:
    """The embedded mode has one user, who asks and answers."""
    assert answer(store, approver="ada", requester_may_approve=True).status == "approved"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"use_case": "deploy_model_to_agent"}, "another request"),
        ({"request_hash": canonical_hash(USE_CASE, {})}, "another request"),
        ({"by": "eve"}, "was given to 'ada', not to 'eve'"),
        ({"price_usd": 15.01}, r"covers \$15\.00, the request costs \$15\.01"),
        ({"price_usd": float("nan")}, "the request costs"),
    ],
)
def test_an_approval_covers_one_request_at_its_price_in_time(
    store: ApprovalStore, asked: dict[str, object], says: str
) -> None:
    """Any difference between what was approved and what is done closes the door."""
    with pytest.raises(ApprovalDenied, match="is pending"):
        consume(store)
    approved = answer(store)
    with pytest.raises(ApprovalDenied, match=says):
        consume(store, **asked)
    assert store.get("ap_1") == approved


def test_what_has_expired_stays_so_when_the_clock_is_set_back(store: ApprovalStore) -> None:
    """Whoever touches it too late marks it, whatever they wanted; other times change nothing."""
    answer(store)
    store.create(replace(APPROVAL, id="ap_2", created_at=150.0, expires_at=250.0))
    with pytest.raises(ApprovalDenied, match="has expired"):
        consume(store, now=200.0)
    assert store.get("ap_1").status == "expired"
    with pytest.raises(ApprovalDenied, match="has expired"):
        consume(store, now=120.0)
    assert [found.id for found in store.pending(now=120.0)] == ["ap_2"]
    store.create(replace(APPROVAL, id="ap_3", created_at=260.0, expires_at=360.0))
    assert [found.status for found in store.recent(3)] == ["pending", "expired", "expired"]


def test_an_edited_approval_gives_way_to_another(store: ApprovalStore) -> None:
    """Both say so; the old one can be neither answered, edited, cancelled nor spent."""
    edited = replace(
        APPROVAL,
        id="ap_2",
        created_at=110.0,
        editors=("bob",),
        edited_from="ap_1",
        details={"n": 1},
    )
    assert store.replace("ap_1", edited, editor="bob", reason="less") == edited == store.get("ap_2")
    old = store.get("ap_1")
    assert (old.status, old.replaced_by, old.approver, old.reason) == (
        "edited",
        "ap_2",
        "bob",
        "less",
    )
    assert store.pending(now=120.0) == [edited]
    for act in (
        lambda: answer(store),
        lambda: consume(store),
        lambda: store.cancel("ap_1", by="ada", administers=True, reason="", now=120.0),
        lambda: store.replace("ap_1", replace(edited, id="ap_3"), editor="bob", reason=""),
    ):
        with pytest.raises(ApprovalDenied, match="was edited: ap_2 stands in its place"):
            act()
    assert len(store.recent(9)) == 2


@pytest.mark.parametrize(
    ("by", "administers", "may"),
    [("ada", False, True), ("bob", False, True), ("eve", False, False), ("eve", True, True)],
)
def test_who_may_take_an_approval_back(
    store: ApprovalStore, by: str, administers: bool, may: bool
) -> None:
    """Who asked, who approved, and administrators; then it covers nothing any more."""
    answer(store)
    given = {"by": by, "administers": administers, "reason": "no need", "now": 120.0}
    if not may:
        with pytest.raises(ApprovalDenied, match="'eve' did not ask for ap_1"):
            store.cancel("ap_1", **given)
        assert store.get("ap_1").status == "approved"
        return
    cancelled = store.cancel("ap_1", **given)
    assert (cancelled.status, cancelled.reason) == ("cancelled", "no need")
    with pytest.raises(ApprovalDenied, match="is cancelled"):
        consume(store)


def test_an_unknown_approval_is_bad_input(store: ApprovalStore) -> None:
    """An id that does not exist is named."""
    for act in (
        lambda: store.get("ap_9"),
        lambda: consume(store, "ap_9"),
        lambda: store.answer(
            "ap_9", approve=True, approver="b", reason="", now=1.0, requester_may_approve=True
        ),
    ):
        with pytest.raises(NotFoundError, match="No approval 'ap_9'"):
            act()


def test_the_hash_sees_every_value_and_no_order() -> None:
    """The same request in another order is the same; another value, type or use case is not."""
    same = {"overrides": {"seed": 1}, "agent": "feature_dev"}
    assert canonical_hash(USE_CASE, same) == HASH
    others = [
        canonical_hash("deploy_model_to_agent", REQUEST),
        canonical_hash(USE_CASE, REQUEST | {"agent": "cicd"}),
        canonical_hash(USE_CASE, REQUEST | {"extra": None}),
        canonical_hash(USE_CASE, REQUEST | {"overrides": {"seed": "1"}}),
    ]
    assert len({HASH, *others}) == 5
