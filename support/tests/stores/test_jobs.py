"""Jobs in the database: created once, changed while they run, final when they ended."""

from dataclasses import replace

import pytest

from agent_orchestrator.domain.jobs import Failure, Job
from agent_orchestrator.errors import ConflictError, NotFoundError
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.job_events import JobEventStore
from agent_orchestrator.stores.jobs import JobStore

JOB = Job(
    id="job_1",
    kind="training",
    agent="feature_dev",
    status="pending",
    backend="local",
    request={"dataset": "ds_1", "overrides": {"seed": 1}},
    requester="ada",
    created_at=100.0,
    updated_at=100.0,
    estimated_cost_usd=0.5,
)


@pytest.fixture
def store(database: Database) -> JobStore:
    """Return a store with one job."""
    store = JobStore(database)
    store.create(JOB)
    return store


def test_a_job_comes_back_as_it_was_given(store: JobStore) -> None:
    """Every field survives the database."""
    assert store.get("job_1") == JOB
    with pytest.raises(ConflictError, match="exists already"):
        store.create(JOB)
    with pytest.raises(NotFoundError, match="No job 'x'"):
        store.get("x")


def test_a_job_runs_and_ends_once(store: JobStore) -> None:
    """A job that ended does not change any more, whoever tries."""
    running = store.update("job_1", at=101.0, status="running", ref={"pid": 7})
    assert running == replace(JOB, status="running", ref={"pid": 7}, updated_at=101.0)
    ended = store.update(
        "job_1", at=102.0, status="completed", result={"version": "v1.0.0"}, actual_cost_usd=0.4
    )
    assert (ended.finished_at, ended.actual_cost_usd) == (102.0, 0.4)
    for status in ("running", "failed", "completed"):
        with pytest.raises(ConflictError, match="has ended already: completed"):
            store.update("job_1", at=103.0, status=status)
    assert store.get("job_1") == ended
    with pytest.raises(NotFoundError):
        store.update("x", at=103.0, status="running")


def test_a_failure_keeps_its_diagnosis(store: JobStore) -> None:
    """What went wrong is stored with its remedy."""
    failure = Failure("bad_column", "No column 'text'.", "Rename it.")
    store.update("job_1", at=101.0, status="failed", failure=failure)
    assert store.get("job_1").failure == failure


def test_jobs_are_found_by_agent_kind_and_status(store: JobStore) -> None:
    """Lists are newest first; the latest is one of them."""
    store.create(replace(JOB, id="job_2", kind="evaluation", created_at=200.0))
    store.create(replace(JOB, id="job_3", agent="cicd", created_at=300.0))
    store.update("job_3", at=301.0, status="running")
    assert [job.id for job in store.newest()] == ["job_3", "job_2", "job_1"]
    assert [job.id for job in store.newest(limit=1)] == ["job_3"]
    assert [job.id for job in store.newest(agent="feature_dev")] == ["job_2", "job_1"]
    assert [job.id for job in store.newest(status="running")] == ["job_3"]
    assert store.latest_for_agent("feature_dev").id == "job_2"
    assert store.latest_for_agent("feature_dev", "training").id == "job_1"
    assert store.latest_for_agent("nobody") is None


def test_only_a_job_that_failed_or_was_cancelled_runs_again(store: JobStore) -> None:
    """Its end is forgotten, and it can end once more."""
    with pytest.raises(ConflictError, match="nothing to resume"):
        store.reopen("job_1", at=100.5)
    store.update("job_1", at=101.0, status="failed", failure=Failure("killed", "Gone."))
    again = store.reopen("job_1", at=102.0)
    assert (again.status, again.failure, again.finished_at) == ("running", None, None)
    assert store.update("job_1", at=103.0, status="completed").finished_at == 103.0
    with pytest.raises(ConflictError, match="is completed"):
        store.reopen("job_1", at=104.0)
    with pytest.raises(NotFoundError):
        store.reopen("x", at=104.0)


def test_every_status_a_job_comes_to_is_an_event(store: JobStore, database: Database) -> None:
    """In order, with the diagnosis or the version; what changes no status is none."""
    events = JobEventStore(database)
    assert [event.status for event in events.after(0)] == ["pending"]
    seen = events.last()
    store.update("job_1", at=101.0, status="running", ref={"pid": 7})
    store.update("job_1", at=102.0, actual_cost_usd=0.1)
    store.update("job_1", at=103.0, status="running")
    store.update("job_1", at=104.0, status="completed", result={"version": "v1.0.0"})
    with pytest.raises(ConflictError):
        store.update("job_1", at=105.0, status="failed")
    told = events.after(seen)
    assert [(event.at, event.status, event.message) for event in told] == [
        (101.0, "running", ""),
        (104.0, "completed", "registered as v1.0.0"),
    ]
    assert (told[0].job_id, told[0].agent, told[0].requester) == ("job_1", "feature_dev", "ada")
    assert events.after(events.last()) == []


def test_events_are_there_for_whoever_asked(store: JobStore, database: Database) -> None:
    """A person reads what became of their own jobs, an agent's owner what became of the agent's."""
    store.create(replace(JOB, id="job_2", requester="grace", agent="cicd"))
    failure = Failure("out_of_memory", "The memory was not enough.", "Lower batch_size.")
    store.update("job_2", at=101.0, status="failed", failure=failure)
    events = JobEventStore(database)
    (_, failed) = events.after(0, requester="grace")
    assert failed.message == "out_of_memory: The memory was not enough. Lower batch_size."
    assert [event.job_id for event in events.after(0, agent="feature_dev")] == ["job_1"]
    assert [event.job_id for event in events.after(0, limit=1)] == ["job_1"]


def test_a_change_that_is_rolled_back_is_no_event(store: JobStore, database: Database) -> None:
    """State and event stand or fall together."""
    with pytest.raises(ConflictError):
        store.create(JOB)
    with pytest.raises(NotFoundError):
        store.update("job_9", at=1.0, status="running")
    assert [event.job_id for event in JobEventStore(database).after(0)] == ["job_1"]
