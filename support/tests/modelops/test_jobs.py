"""The desk of jobs: started once, followed from anywhere, settled once, whoever dies meanwhile."""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.workshop import training_spec

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.backends import Ref
from agent_orchestrator.agents.infrastructure.modelops.backends.fake import FakeBackend, Scenario
from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    CancelTrainingJob,
    MonitorTrainingJob,
)
from agent_orchestrator.domain.jobs import Failure, Job, Progress
from agent_orchestrator.errors import (
    ConfigurationError,
    ConflictError,
    InputError,
    NotAvailable,
    NotFoundError,
    RegistryError,
    StorageError,
    UnavailableError,
    VersionNotFoundError,
)
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.jobs import JobStore

ADA = Caller("ada", "cli", "admin")
JOB = Job(
    id="job_1",
    kind="training",
    agent="code_review",
    status="pending",
    backend="fake",
    request={"hub_repo": "local/better"},
    requester="ada",
    created_at=1000.0,
    updated_at=1000.0,
    estimated_cost_usd=0.5,
)


@dataclass
class Clock:
    """A clock that tests turn."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@dataclass
class Office:
    """A desk with everything around it, and a second one as another process has it."""

    url: str
    clock: Clock = field(default_factory=Clock)
    scenario: Scenario = field(default_factory=lambda: Scenario(steps=4, seconds=10.0))
    settled: list[Mapping[str, Any]] = field(default_factory=list)
    fault: Exception | None = None
    """What settling raises."""

    def __post_init__(self) -> None:
        self.backend = FakeBackend(self.scenario, clock=self.clock)
        self.store = JobStore(Database(self.url))
        self.audit = AuditLog(Database(self.url))

    def desk(self, **changes: Any) -> Jobs:
        """Return a desk of its own connection to the database."""
        backends = {"fake": self.backend}
        store = JobStore(Database(self.url))
        parts = {"backends": backends, "settlers": {"training": self._settle}, **changes}
        return Jobs(store, audit=self.audit, clock=self.clock, **parts)

    def _settle(self, job: Job, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.fault is not None:
            raise self.fault
        self.settled.append(manifest)
        return {"version": "v1.0.0"}

    def submit(self) -> Mapping[str, Any]:
        """Hand the job to the backend."""
        return self.backend.submit("job_1", training_spec())


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """Return an office whose fake jobs take ten seconds."""
    return Office(f"sqlite:///{tmp_path / 'state.db'}")


def raising(error: Exception) -> Callable[[], Mapping[str, Any]]:
    """Return a submission that fails."""

    def submit() -> Mapping[str, Any]:
        raise error

    return submit


# -- starting -------------------------------------------------------------------------------------


def test_a_started_job_runs_and_is_in_the_audit_log(office: Office):
    """The store knows where it went, the log who asked."""
    job = office.desk().start(JOB, office.submit)
    assert (job.status, job.ref) == ("running", {"job_id": "job_1"})
    entry = office.audit.tail(1)[0]
    assert (entry.actor, entry.action, entry.detail) == ("ada", "job_started", {"job": "job_1"})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConfigurationError("No interpreter.", remedy="Run make."), "bad_spec"),
        (StorageError("The disk is full.", remedy="Free some."), "disk_full"),
        (UnavailableError("No answer.", remedy="Try later."), "unavailable"),
    ],
)
def test_a_job_that_cannot_be_submitted_has_failed(office: Office, error: Any, kind: str):
    """The error goes to whoever asked, and the job keeps it with its remedy."""
    with pytest.raises(type(error)):
        office.desk().start(JOB, raising(error))
    job = office.store.get("job_1")
    assert job.status == "failed"
    assert job.failure == Failure(kind, error.message, error.remedy)
    assert office.desk().report(MonitorTrainingJob(job_id="job_1")).error.kind == kind


def test_job_ids_say_the_day_and_differ(office: Office):
    """An id is made of the date, UTC, and a random part."""
    desk = office.desk()
    ids = {desk.new_id() for _ in range(50)}
    assert len(ids) == 50
    assert all(name.startswith("job_1970-01-01_") for name in ids)


def test_a_job_that_ended_before_its_start_was_written_down_stays_ended(office: Office):
    """Another process may settle a quick job while its starter still waits for the database."""

    def submit() -> Mapping[str, Any]:
        ref = office.submit()
        office.clock.now += 20
        office.desk().refresh("job_1")
        return ref

    assert office.desk().start(JOB, submit).status == "completed"


# -- following ------------------------------------------------------------------------------------


def test_a_report_has_everything_that_is_known(office: Office):
    """A running job: step, loss, time left; what is unknown is null."""
    desk = office.desk()
    desk.start(JOB, office.submit)
    office.clock.now += 5
    report = desk.report(MonitorTrainingJob(agent="code_review"))
    assert report.model_dump(exclude_defaults=True) == {
        "job_id": "job_1",
        "kind": "training",
        "agent": "code_review",
        "status": "running",
        "message": "step 2 of 4",
        "progress_pct": 50.0,
        "current_step": 2,
        "total_steps": 4,
        "current_loss": pytest.approx(1.6),
        "eta_minutes": pytest.approx(5 / 60),
        "hub_repo": "local/better",
        "estimated_cost_usd": 0.5,
        "requester": "ada",
        "backend": "fake",
        "started_at": 1000.0,
    }


def test_a_completed_job_is_settled_by_whoever_looks_next(office: Office):
    """The settler gets the manifest; the report names the version."""
    office.desk().start(JOB, office.submit)
    office.clock.now += 20
    report = office.desk().report(MonitorTrainingJob(job_id="job_1"))
    assert (report.status, report.progress_pct, report.version) == ("completed", 100.0, "v1.0.0")
    assert [manifest["job_id"] for manifest in office.settled] == ["job_1"]
    office.desk().refresh_all()
    assert len(office.settled) == 1


def test_two_who_settle_at_once_agree(office: Office):
    """Both get the settled job; it ends once in the store."""
    office.desk().start(JOB, office.submit)
    office.clock.now += 20
    together = threading.Barrier(2)

    def look(_: int) -> Job:
        desk = office.desk(settlers={"training": meet})
        return desk.refresh("job_1")[0]

    def meet(_job: Job, _manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        together.wait(60)
        return {"version": "v1.0.0"}

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(look, range(2))
    assert first == second == office.store.get("job_1")
    assert first.result == {"version": "v1.0.0", "seconds": 10.0}


def test_a_job_that_could_not_be_settled_is_settled_later(office: Office):
    """A broken registry stops the settling, not the job."""
    desk = office.desk()
    desk.start(JOB, office.submit)
    office.clock.now += 20
    office.fault = RegistryError("torn", remedy="restore")
    with pytest.raises(RegistryError):
        desk.refresh("job_1")
    assert office.store.get("job_1").status == "running"
    office.fault = None
    assert desk.refresh("job_1")[0].status == "completed"


def test_a_job_whose_result_nobody_can_take_has_failed(office: Office):
    """The version it was for is gone, say: another look would find nothing else."""
    desk = office.desk()
    desk.start(JOB, office.submit)
    office.clock.now += 20
    office.fault = VersionNotFoundError("No version.", remedy="See `chef models`.")
    job, progress = desk.refresh("job_1")
    assert (job.status, progress.status) == ("failed", "failed")
    assert progress.failure == Failure("bad_spec", "No version.", "See `chef models`.")


def test_a_failed_job_keeps_its_diagnosis(tmp_path: Path):
    """What the backend says is stored and shown again."""
    failure = Failure("unknown_base_model", "No such model.", "Name another.")
    office = Office(f"sqlite:///{tmp_path}/s.db", scenario=Scenario(seconds=1.0, failure=failure))
    office.desk().start(JOB, office.submit)
    office.clock.now += 2
    report = office.desk().report(MonitorTrainingJob(job_id="job_1"))
    assert (report.status, report.error.remedy) == ("failed", "Name another.")
    assert office.store.get("job_1").failure == failure
    assert office.settled == []


def test_a_job_is_found_by_id_or_as_the_agents_newest(office: Office):
    """Neither given is bad input; no job is said with what to do."""
    desk = office.desk()
    with pytest.raises(InputError, match="Which job"):
        desk.find(None, None)
    with pytest.raises(NotFoundError, match="chef train code_review"):
        desk.find(None, "code_review")
    with pytest.raises(NotFoundError, match="No job 'job_9'"):
        desk.find("job_9", None)


# -- when somebody died ---------------------------------------------------------------------------


def test_a_job_that_was_never_submitted_fails_after_a_while(office: Office):
    """Its orchestrator died between writing the job down and submitting it."""
    office.store.create(JOB)
    office.clock.now += 30
    assert office.desk().refresh("job_1")[0].status == "pending"
    office.clock.now += 60
    office.desk().refresh_all()
    job = office.store.get("job_1")
    assert (job.status, job.failure.kind) == ("failed", "killed")
    assert job.failure.remedy == "Start it again."


def test_a_job_whose_submitter_died_is_taken_over(tmp_path: Path):
    """The backend has it, though nobody wrote down where it went."""
    office = Office(f"sqlite:///{tmp_path}/s.db", scenario=Scenario(seconds=1000.0))
    office.store.create(JOB)
    office.submit()
    assert office.desk().refresh("job_1")[0].status == "pending"
    office.clock.now += 100
    job, progress = office.desk().refresh("job_1")
    assert (job.status, progress.status) == ("running", "running")
    assert office.store.get("job_1").ref == {"job_id": "job_1"}


def test_an_ended_job_is_reported_when_its_backend_forgot_it(office: Office):
    """Old folders may be removed, backends taken out of a build: the store remembers."""
    office.desk().start(JOB, office.submit)
    office.clock.now += 20
    office.desk().refresh("job_1")
    for backends in ({"fake": FakeBackend()}, {}):
        report = office.desk(backends=backends).report(MonitorTrainingJob(job_id="job_1"))
        assert (report.status, report.version) == ("completed", "v1.0.0")


def test_a_running_job_that_its_backend_lost_has_failed(office: Office):
    """Nobody would ever end it otherwise."""
    office.desk().start(JOB, office.submit)
    job, _ = office.desk(backends={"fake": FakeBackend()}).refresh("job_1")
    assert (job.status, job.failure.kind) == ("failed", "unknown")


def test_a_running_job_of_a_backend_that_is_not_there_is_left_alone(office: Office):
    """Another build may know the backend: the job does not end."""
    office.desk().start(JOB, office.submit)
    with pytest.raises(NotAvailable, match="'fake'"):
        office.desk(backends={}).refresh("job_1")
    assert office.store.get("job_1").status == "running"


def test_one_job_that_cannot_be_looked_at_does_not_hold_up_the_others(
    office: Office, caplog: pytest.LogCaptureFixture
):
    """The timer settles what it can and says what it could not."""
    office.store.create(replace(JOB, id="job_2", backend="elsewhere", created_at=2000.0))
    office.store.update("job_2", status="running", at=2000.0)
    office.desk().start(JOB, office.submit)
    office.clock.now += 20
    with caplog.at_level(logging.WARNING):
        office.desk().refresh_all()
    assert office.store.get("job_1").status == "completed"
    assert "job_2" in caplog.text


# -- cancelling -----------------------------------------------------------------------------------


async def test_a_running_job_is_cancelled_and_audited(office: Office):
    """A plan changes nothing; carrying it out stops the job."""
    desk = office.desk()
    desk.start(JOB, office.submit)
    plan = desk.plan_cancel(CancelTrainingJob(job_id="job_1"), ADA)
    assert desk.refresh("job_1")[0].status == "running"
    result = await plan.act(None)
    assert result.model_dump() == {"job_id": "job_1", "status": "cancelled"}
    assert office.store.get("job_1").status == "cancelled"
    assert office.audit.tail(1)[0].action == "job_cancelled"


def test_an_ended_job_cannot_be_cancelled(office: Office):
    """It says how it ended."""
    desk = office.desk()
    desk.start(JOB, office.submit)
    office.clock.now += 20
    with pytest.raises(ConflictError, match="completed"):
        desk.plan_cancel(CancelTrainingJob(agent="code_review"), ADA)


async def test_a_job_that_finished_before_it_was_stopped_is_completed(office: Office):
    """Between the plan and its act the job may end by itself."""
    desk = office.desk()
    desk.start(JOB, office.submit)
    plan = desk.plan_cancel(CancelTrainingJob(job_id="job_1"), ADA)
    office.clock.now += 20
    assert (await plan.act(None)).model_dump()["status"] == "completed"
    assert len(office.settled) == 1


def test_progress_is_a_percentage_only_when_the_total_is_known():
    """Before the first step nothing is guessed."""
    assert Progress(status="running").progress_pct is None
    assert Progress(status="completed").progress_pct == 100.0


class _CutOff(FakeBackend):
    """A backend whose machine is lost once; the next one does the rest."""

    machines = 1
    may_go_on = True

    def poll(self, ref: Ref) -> Progress:
        """See ``TrainerBackend``."""
        if self.machines == 1:
            return Progress("failed", failure=Failure("timeout", "Its time was over."))
        return super().poll(ref)

    def go_on(self, ref: Ref) -> bool:
        """See ``GoesOn``."""
        self.machines += self.may_go_on
        return self.may_go_on


def test_a_job_that_was_cut_off_goes_on_where_its_backend_can(office: Office):
    """It has not failed; its end is settled once."""
    backend = _CutOff(office.scenario, clock=office.clock)
    desk = office.desk(backends={"fake": backend})
    desk.start(JOB, lambda: backend.submit("job_1", training_spec()))
    job, progress = desk.refresh("job_1")
    assert (job.status, progress.status) == ("running", "pending")
    assert "goes on from its last checkpoint" in progress.message
    office.clock.now += 20
    assert desk.refresh("job_1")[0].status == "completed"
    assert len(office.settled) == 1


def test_a_job_that_must_not_go_on_has_failed(office: Office):
    """The backend says so; its reason is kept."""
    backend = _CutOff(office.scenario, clock=office.clock)
    backend.may_go_on = False
    desk = office.desk(backends={"fake": backend})
    desk.start(JOB, lambda: backend.submit("job_1", training_spec()))
    job, _ = desk.refresh("job_1")
    assert job.status == "failed"
    assert job.failure is not None
    assert job.failure.kind == "timeout"
