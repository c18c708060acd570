"""Outcomes and feedback in the database, in the order in which they came in."""

import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.doubles.splits import pair

from agent_orchestrator.domain.latencies import latencies
from agent_orchestrator.domain.outcomes import Feedback, Judged, Outcome, Recorded
from agent_orchestrator.domain.rollout import RolloutPolicy, RolloutState
from agent_orchestrator.errors import ConflictError, InputError, NotFoundError
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.outcomes import ArmCount, OutcomeStore
from agent_orchestrator.stores.rollouts import RolloutStore

OUTCOME = Outcome(
    request_id="r1",
    attempt=0,
    at=100.0,
    agent="feature_dev",
    task_id="t1",
    model="a/b",
    arm="candidate",
    version="v1.1.0",
    rollout_id="ro_1",
    latency_ms=12.5,
    valid_output=True,
    prompt_tokens=3,
)
FAILED = replace(OUTCOME, error="timeout", valid_output=None, prompt_tokens=None)
ANSWERED = replace(OUTCOME, attempt=1, arm="stable", version="v1.0.0")


@pytest.fixture
def store(database: Database) -> OutcomeStore:
    """Return an empty store."""
    return OutcomeStore(database)


def test_outcomes_come_back_in_order_and_once(store: OutcomeStore) -> None:
    """A batch that is sent again adds only what was not there."""
    assert store.append_many([]) == 0
    assert store.append_many([FAILED, ANSWERED]) == 2
    other = replace(OUTCOME, request_id="r2", rollout_id=None)
    last = replace(OUTCOME, request_id="r3")
    assert store.append_many([ANSWERED, other, last, last]) == 2
    kept = store.outcomes_after("ro_1", 0, 10)
    assert [recorded.outcome for recorded in kept] == [FAILED, ANSWERED, last]
    first, second, third = (recorded.seq for recorded in kept)
    assert 0 < first < second < third
    assert store.outcomes_after("ro_1", first, 1) == [Recorded(second, ANSWERED)]
    assert store.position() == (third, 0)


@settings(max_examples=25, deadline=None)
@given(st.text())
def test_any_task_id_can_be_stored(task_id: str) -> None:
    """No client's text keeps an outcome, or those beside it, out of the store."""
    database = Database("sqlite://")
    store = OutcomeStore(database)
    assert store.append_many([replace(OUTCOME, task_id=task_id)]) == 1
    assert len(store.outcomes_after("ro_1", 0, 10)[0].outcome.task_id) <= max(1, len(task_id))
    database.close()


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "naïve \udfff", "\u0001 \uffff 😀 \x7f"])
def test_a_text_that_a_database_does_not_take_costs_no_outcome(
    store: OutcomeStore, text: str
) -> None:
    """A zero byte or half a character is replaced in a task id, and refused in a judgement."""
    assert store.append_many([replace(OUTCOME, task_id=text)]) == 1
    [kept] = store.outcomes_after("ro_1", 0, 10)
    if set(text) & set("\0\ud800\udfff"):
        assert kept.outcome.task_id != text
        with pytest.raises(InputError, match="source is"):
            store.add_feedback(Feedback("r1", 1.0, text, 1.0))
    else:
        assert kept.outcome.task_id == text
        store.add_feedback(Feedback("r1", 1.0, text, 1.0))


def test_judgements_are_kept_together_and_refused_each_for_itself(store: OutcomeStore) -> None:
    """In one batch the good ones are kept, in order; of two of the same source the first."""
    store.append_many([replace(OUTCOME, request_id=f"r{number}") for number in range(4)])
    refused = store.add_feedback_many(
        [
            Feedback("r2", 0.5, "user", 1.0),
            Feedback("r9", 0.5, "user", 1.0),
            Feedback("r1", 1.0, "user", 1.0),
            Feedback("r2", 0.0, "user", 1.0),
            Feedback("r3", 7.0, "user", 1.0),
        ]
    )
    assert [type(error) for error in refused] == [
        type(None),
        NotFoundError,
        type(None),
        ConflictError,
        InputError,
    ]
    assert [judged.score for judged in store.feedback_after("ro_1", 0, 10)] == [0.5, 1.0]


def test_a_reader_never_finds_a_number_before_one_it_has_read(store: OutcomeStore) -> None:
    """While several write, a reader that follows by number sees every outcome exactly once."""
    total = 4 * 50
    seen: list[Recorded] = []
    writers = [
        threading.Thread(
            target=lambda n=n: [
                store.append_many([replace(OUTCOME, request_id=f"{n}-{i}")]) for i in range(50)
            ]
        )
        for n in range(4)
    ]
    for writer in writers:
        writer.start()
    while len(seen) < total and any(writer.is_alive() for writer in writers):
        seen += store.outcomes_after("ro_1", seen[-1].seq if seen else 0, 7)
    for writer in writers:
        writer.join()
    while batch := store.outcomes_after("ro_1", seen[-1].seq if seen else 0, 100):
        seen += batch
    assert [found.seq for found in seen] == list(range(1, total + 1))


def test_feedback_belongs_to_the_attempt_that_answered(store: OutcomeStore) -> None:
    """After a failover the judgement counts for the arm whose answer was seen."""
    store.append_many([FAILED, ANSWERED])
    store.add_feedback(Feedback("r1", 0.25, "tests", 101.0))
    store.add_feedback(Feedback("r1", 1.0, "user", 102.0))
    first = Judged(
        seq=1,
        outcome_seq=2,
        arm="stable",
        version="v1.0.0",
        score=0.25,
        at=101.0,
        after_outcome=2,
    )
    second = replace(first, seq=2, score=1.0, at=102.0)
    assert store.feedback_after("ro_1", 0, 10) == [
        first,
        second,
    ]
    assert store.feedback_after("ro_1", 1, 10) == [second]
    assert store.position() == (2, 2)


def test_a_preference_belongs_to_the_arm_that_it_names(store: OutcomeStore) -> None:
    """The answer of a shadow is judged beside the served one, and each arm once by each source."""
    mirrored = replace(ANSWERED, attempt=2, arm="candidate", role="mirror")
    store.append_many([FAILED, ANSWERED, mirrored])
    store.add_feedback(Feedback("r1", 1.0, "judge", 101.0, "preference", "candidate"))
    store.add_feedback(Feedback("r1", 0.0, "user", 102.0))
    preference, quality = store.feedback_after("ro_1", 0, 10)
    assert (preference.arm, preference.kind, preference.outcome_seq) == (
        "candidate",
        "preference",
        3,
    )
    assert (quality.arm, quality.kind, quality.outcome_seq) == ("stable", "quality", 2)
    with pytest.raises(ConflictError):
        store.add_feedback(Feedback("r1", 0.5, "judge", 103.0, "preference", "candidate"))
    with pytest.raises(NotFoundError):
        store.add_feedback(Feedback("r1", 0.5, "judge", 103.0, "preference", "challenger"))


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_judgement_lies_between_bad_and_good(store: OutcomeStore, score: float) -> None:
    """A score outside 0..1 is bad input."""
    store.append_many([OUTCOME])
    with pytest.raises(InputError, match="score is"):
        store.add_feedback(Feedback("r1", score, "user", 1.0))


def test_a_judgement_needs_an_answer_and_comes_once_from_each_source(store: OutcomeStore) -> None:
    """Unknown requests, requests that nobody answered and second judgements are refused."""
    store.append_many([FAILED])
    for request in ("r1", "r9"):
        with pytest.raises(NotFoundError, match=f"No answered request '{request}'"):
            store.add_feedback(Feedback(request, 1.0, "user", 1.0))
    store.append_many([ANSWERED])
    store.add_feedback(Feedback("r1", 1.0, "user", 1.0))
    with pytest.raises(ConflictError, match="'user' has judged request 'r1' already"):
        store.add_feedback(Feedback("r1", 0.0, "user", 2.0))


def test_arms_are_counted_by_first_attempts(store: OutcomeStore) -> None:
    """A failed-over request counts once, for the arm that was chosen."""
    store.append_many([FAILED, ANSWERED, replace(OUTCOME, request_id="r2")])
    assert store.arm_counts("ro_1") == {"candidate": ArmCount(2, 1)}


def test_latencies_are_the_exact_quantiles_of_an_arms_answers(store: OutcomeStore) -> None:
    """Since a place in the order; failures have none, nor has an arm without an answer."""
    values = [float(n * 37 % 100) for n in range(100)]
    store.append_many([replace(OUTCOME, request_id="early", latency_ms=9e9)])
    after, _ = store.position()
    store.append_many(
        [replace(OUTCOME, request_id=f"r{n}", latency_ms=value) for n, value in enumerate(values)]
        + [
            replace(FAILED, request_id="f1", latency_ms=5e9),
            replace(FAILED, request_id="f2", arm="stable"),
            replace(OUTCOME, request_id="other", rollout_id="ro_2", latency_ms=1e9),
        ]
    )
    assert store.latencies("ro_1", after) == {OUTCOME.arm: latencies(values)}
    assert store.latencies("ro_1", 10_000) == {}


def test_pruning_spares_what_an_open_rollout_needs(store: OutcomeStore, database: Database) -> None:
    """Old records go, numbers are never given twice, and an open rollout keeps all of its own."""
    rollouts = RolloutStore(database)
    state = RolloutState(
        id="ro_1",
        agent="feature_dev",
        strategy="canary",
        policy=RolloutPolicy(),
        arms=pair(stable=("a/b", None), candidate=("a/c", None)),
        started_at=50.0,
        step_started_at=50.0,
    )
    rollouts.save(state, 50.0)
    store.append_many([OUTCOME, replace(OUTCOME, request_id="r2", rollout_id=None)])
    store.add_feedback(Feedback("r1", 1.0, "user", 101.0))
    store.add_feedback(Feedback("r2", 1.0, "user", 101.0))
    highest, _ = store.position()
    assert store.prune(before=100.0) == 0
    assert store.prune(before=200.0) == 2
    assert len(store.outcomes_after("ro_1", 0, 10)) == 1
    rollouts.save(replace(state, phase="promoted", ended_at=150.0), 150.0)
    assert store.prune(before=200.0) == 2
    store.append_many([replace(OUTCOME, request_id="r3")])
    assert store.position()[0] > highest


@pytest.mark.parametrize("batch", [3, 1000])
def test_pruning_goes_in_small_steps(store: OutcomeStore, batch: int) -> None:
    """However many rows a transaction takes, exactly the old ones go, in order or not quite."""
    times = [1.0, 2.0, 9.0, 3.0, 8.0, 4.0, *(float(at) for at in range(10, 20))]
    store.append_many(
        [replace(OUTCOME, request_id=f"r{number}", at=at) for number, at in enumerate(times)]
    )
    assert store.prune(before=6.0, batch=batch, rest=lambda: None) == 4
    kept = [recorded.outcome.at for recorded in store.outcomes_after("ro_1", 0, 100)]
    assert kept == [at for at in times if at >= 6.0]


def test_others_write_while_pruning_rests(store: OutcomeStore) -> None:
    """The one writer's place is free between two steps."""
    store.append_many([replace(OUTCOME, request_id=f"r{number}", at=1.0) for number in range(4)])
    rests: list[int] = []

    def write() -> None:
        rests.append(store.append_many([replace(OUTCOME, request_id=f"n{len(rests)}", at=3.0)]))

    assert store.prune(before=2.0, batch=2, rest=write) == 4
    assert rests == [1, 1]
    assert [r.outcome.request_id for r in store.outcomes_after("ro_1", 0, 9)] == ["n0", "n1"]


def test_copies_and_members_count_for_their_arm(store: OutcomeStore) -> None:
    """Their attempts come after the serving ones, and were asked for all the same."""
    mirrored = replace(OUTCOME, attempt=1, arm="shadow", role="mirror")
    member = replace(OUTCOME, attempt=2, arm="member_1", role="member", error="timeout")
    store.append_many([OUTCOME, mirrored, replace(member, valid_output=None)])
    counts = store.arm_counts("ro_1")
    assert (counts["shadow"], counts["member_1"]) == (ArmCount(1, 0), ArmCount(1, 1))
