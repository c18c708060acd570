"""Jobs in the database: created once, changed while they run, final when they ended."""

from dataclasses import replace

import pytest

from agent_orchestrator.domain.jobs import Failure, Job
from agent_orchestrator.errors import ConflictError, NotFoundError
from agent_orchestrator.stores.database import Database
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
