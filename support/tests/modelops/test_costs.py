"""The month's budget: reserved by estimates, settled by what jobs really cost."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.backends.fake import FakeBackend, Scenario
from agent_orchestrator.agents.infrastructure.modelops.jobs.costs import (
    Budget,
    actual_usd,
    charges,
    priced,
    with_seconds,
)
from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs
from agent_orchestrator.agents.infrastructure.modelops.usecases.costs import ListCosts
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import ResumeTrainingJob
from agent_orchestrator.domain.budget import MonthlyLimits, Spending
from agent_orchestrator.domain.cost import Estimate
from agent_orchestrator.domain.jobs import Failure, Job, Progress
from agent_orchestrator.domain.training import TrainingSpec
from agent_orchestrator.errors import ChefError, InputError, UnavailableError
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.jobs import JobStore

ADA = Caller("ada", "cli")
LIMITS = MonthlyLimits(max_usd=10.0, max_hours=100.0)
NOVEMBER = datetime(2026, 11, 21, tzinfo=UTC).timestamp()
SPEC = TrainingSpec(
    agent="code_review",
    method="sft",
    base_model="a/b-1b",
    output_model="acme/out",
    rows=[{"prompt": "a", "completion": "b"}],
    dataset="ds_1",
    hyperparameters={},
)
ESTIMATE = Estimate(
    cost_usd=4.0,
    cost_range_usd=(2.0, 8.0),
    minutes=120.0,
    minutes_range=(60.0, 240.0),
    hardware="t4-medium",
    usd_per_hour=2.0,
    uncalibrated_minutes=120.0,
)


def job(number: int, at: float = NOVEMBER) -> Job:
    """Return a training that is estimated at two hours and $4."""
    return Job(
        id=f"job_{number}",
        kind="training",
        agent="code_review",
        status="pending",
        backend="fake",
        request=priced({"request": {"method": "sft"}}, ESTIMATE, "a/b-1b"),
        requester="ada",
        created_at=at,
        updated_at=at,
        estimated_cost_usd=ESTIMATE.cost_usd,
        estimated_minutes=ESTIMATE.minutes,
    )


class Resumable(FakeBackend):
    """A backend whose jobs may run again; ``refuses`` is what it raises instead."""

    refuses: ChefError | None = None

    def resume(self, ref: Mapping[str, Any]) -> None:
        """Start anew."""
        if self.refuses is not None:
            raise self.refuses
        again = self._find(ref)
        again.started, again.cancelled = self._clock(), None


@dataclass
class Desk:
    """A desk whose jobs run on rented machines, by a clock that the test turns."""

    folder: Path
    scenario: Scenario = Scenario(seconds=3600.0)  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        self.at = NOVEMBER
        database = Database(f"sqlite:///{self.folder / 'state.db'}")
        self.store = JobStore(database)
        self.budget = Budget(self.store, LIMITS, clock=lambda: self.at)
        self.backend = Resumable(self.scenario, clock=lambda: self.at)
        self.jobs = Jobs(
            self.store,
            {"fake": self.backend},
            {"training": settle},
            AuditLog(database),
            budget=self.budget,
            clock=lambda: self.at,
        )

    def start(self, number: int) -> None:
        """Start a job."""
        wanted = job(number, self.at)
        self.jobs.start(wanted, lambda: self.backend.submit(wanted.id, SPEC))


def settle(job: Job, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """Register nothing."""
    del job
    return {"manifest": dict(manifest)}


def test_a_job_reserves_its_estimate_until_it_is_known_what_it_cost(tmp_path: Path):
    """Two of $4 leave $2; when one took an hour instead of two, $4 are left."""
    desk = Desk(tmp_path)
    desk.start(1)
    desk.start(2)
    assert desk.budget.left() == Spending(usd=2.0, hours=96.0)
    with pytest.raises(InputError, match=r"\$4\.00; \$2\.00 of \$10\.00 are left in 2026-11"):
        desk.start(3)
    desk.at += 3600.0
    ended, _ = desk.jobs.refresh("job_1")
    assert (ended.estimated_cost_usd, ended.actual_cost_usd) == (4.0, 2.0)
    assert desk.budget.left() == Spending(usd=4.0, hours=97.0)
    desk.start(3)
    assert [found.id for found in desk.store.newest()] == ["job_3", "job_2", "job_1"]


def test_a_cancelled_job_costs_what_it_ran(tmp_path: Path):
    """A quarter of an hour."""
    desk = Desk(tmp_path)
    desk.start(1)
    desk.at += 900.0
    desk.backend.cancel({"job_id": "job_1"})
    desk.at += 900.0
    assert desk.jobs.refresh("job_1")[0].actual_cost_usd == 0.5


def test_a_failed_job_costs_what_it_ran(tmp_path: Path):
    """The machine was rented all the same."""
    failure = Failure("out_of_memory", "Too big.")
    desk = Desk(tmp_path, Scenario(seconds=1800.0, failure=failure))
    desk.start(1)
    desk.at += 1800.0
    ended, _ = desk.jobs.refresh("job_1")
    assert (ended.status, ended.actual_cost_usd) == ("failed", 1.0)


def test_a_job_that_was_never_submitted_costs_nothing(tmp_path: Path):
    """What it had reserved is free again."""
    desk = Desk(tmp_path)

    def refuse() -> Mapping[str, Any]:
        raise UnavailableError("Not now.")

    with pytest.raises(UnavailableError):
        desk.jobs.start(job(1), refuse)
    assert desk.budget.left() == Spending(usd=10.0, hours=100.0)


def test_a_new_month_has_a_budget_of_its_own(tmp_path: Path):
    """What November spent stays in November's report."""
    desk = Desk(tmp_path)
    desk.start(1)
    desk.start(2)
    desk.at = datetime(2026, 12, 1, 0, 0, 1, tzinfo=UTC).timestamp()
    desk.start(3)
    november = desk.budget.report(ListCosts(month="2026-11"))
    assert [cost.job_id for cost in november.jobs] == ["job_2", "job_1"]
    december = desk.budget.report(ListCosts())
    assert (december.month, december.spent_usd, december.left_usd) == ("2026-12", 4.0, 6.0)
    assert december.limit_hours - december.left_hours == december.spent_hours == 2.0


def test_the_report_has_estimate_and_actual_side_by_side(tmp_path: Path):
    """One agent's jobs on request; the budget stays everybody's."""
    desk = Desk(tmp_path)
    desk.start(1)
    desk.at += 3600.0
    desk.jobs.refresh("job_1")
    other = replace(job(2, desk.at), agent="cicd")
    desk.jobs.start(other, lambda: desk.backend.submit(other.id, SPEC))
    report = desk.budget.report(ListCosts(agent="code_review"))
    (cost,) = report.jobs
    assert (cost.estimated_cost_usd, cost.actual_cost_usd) == (4.0, 2.0)
    assert (cost.estimated_minutes, cost.actual_minutes) == (120.0, 60.0)
    assert cost.hardware == "t4-medium"
    assert report.spent_usd == 6.0


def test_a_job_that_goes_on_costs_both_parts_and_teaches_nothing(tmp_path: Path):
    """While it runs again its estimate is reserved once more; its whole time is nobody's record."""
    desk = Desk(tmp_path)
    cancel_after(desk, 1, seconds=1800.0)
    desk.at += 60.0
    again = desk.budget.readmit("job_1", desk.at)
    assert (again.status, again.actual_cost_usd) == ("running", None)
    assert desk.budget.left().usd == 10.0 - 1.0 - 4.0
    assert actual_usd(again, Progress("failed", seconds=3600.0), desk.at) == 3.0
    assert actual_usd(again, Progress("failed"), desk.at + 3600.0) == 3.0
    assert with_seconds(again, {"version": "v1.0.0"}, 3600.0) == {"version": "v1.0.0"}
    desk.store.update("job_1", at=desk.at, status="failed", actual_cost_usd=3.0)
    assert [charge.usd for charge in charges(desk.store.get("job_1"))] == [1.0, 2.0]
    assert desk.budget.left() == Spending(usd=7.0, hours=98.5)


def test_a_job_that_goes_on_counts_in_the_month_in_which_it_does(tmp_path: Path):
    """The month in which it began keeps what it cost then; two are more than $7 of room hold."""
    desk = Desk(tmp_path)
    for number in (1, 2):
        cancel_after(desk, number, seconds=1800.0)
    desk.budget.limits = replace(LIMITS, max_usd=7.0)
    desk.at = datetime(2026, 12, 2, tzinfo=UTC).timestamp()
    desk.budget.readmit("job_1", desk.at)
    assert desk.budget.left().usd == 3.0
    with pytest.raises(InputError, match=r"\$3\.00 of \$7\.00 are left in 2026-12"):
        desk.budget.readmit("job_2", desk.at)
    assert desk.store.get("job_2").status == "cancelled"
    november, december = (
        desk.budget.report(ListCosts(month=month)) for month in ("2026-11", "2026-12")
    )
    assert (november.spent_usd, december.spent_usd) == (2.0, 4.0)
    assert [cost.job_id for cost in december.jobs] == ["job_1"]


async def test_what_cannot_be_resumed_reserves_nothing(tmp_path: Path):
    """The backend refuses: the job has failed again, at no further cost, and may be resumed."""
    desk = Desk(tmp_path)
    cancel_after(desk, 1, seconds=1800.0)
    plan = desk.jobs.plan_resume(ResumeTrainingJob(job_id="job_1"), ADA)
    desk.backend.refuses = UnavailableError("The Space does not answer.")
    with pytest.raises(UnavailableError):
        await plan.act(None)
    assert desk.store.get("job_1").status == "failed"
    assert desk.budget.left().usd == 9.0
    desk.backend.refuses = None
    await desk.jobs.plan_resume(ResumeTrainingJob(job_id="job_1"), ADA).act(None)
    assert desk.budget.left().usd == 5.0


async def test_a_budget_that_is_spent_since_the_plan_was_made_is_kept(tmp_path: Path):
    """Two plans to go on with a job each; there is room for one."""
    desk = Desk(tmp_path)
    for number in (1, 2):
        cancel_after(desk, number, seconds=1800.0)
    desk.start(3)
    plans = [desk.jobs.plan_resume(ResumeTrainingJob(job_id=f"job_{n}"), ADA) for n in (1, 2)]
    await plans[0].act(None)
    with pytest.raises(InputError, match="are left in 2026-11"):
        await plans[1].act(None)
    assert desk.store.get("job_2").status == "cancelled"


def cancel_after(desk: Desk, number: int, *, seconds: float) -> None:
    """Start a job and let it be cancelled after a while."""
    desk.start(number)
    desk.at += seconds
    desk.backend.cancel({"job_id": f"job_{number}"})
    desk.jobs.refresh(f"job_{number}")


RACER = """
import sys
from pathlib import Path
from tests.modelops.test_costs import LIMITS, NOVEMBER, job
from agent_orchestrator.agents.infrastructure.modelops.jobs.costs import Budget
from agent_orchestrator.errors import InputError
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.jobs import JobStore

budget = Budget(JobStore(Database(f"sqlite:///{sys.argv[1]}")), LIMITS, clock=lambda: NOVEMBER)
sys.stdin.readline()
mine = int(sys.argv[2])
attempts = [lambda: budget.readmit(f"job_{mine}", NOVEMBER)]
attempts += [lambda n=n: budget.admit(job(n)) for n in (10 + mine, 20 + mine)]
for attempt in attempts:
    try:
        attempt()
    except InputError:
        print("refused")
    else:
        print("admitted")
"""


def test_processes_that_start_and_resume_jobs_at_once_never_spend_more_together(tmp_path: Path):
    """Four processes want two new jobs of $4 and an old one each; $10 are enough for two."""
    store = JobStore(Database(f"sqlite:///{tmp_path / 'state.db'}"))
    for number in range(4):
        store.create(job(number))
        store.update(f"job_{number}", at=NOVEMBER, status="cancelled", actual_cost_usd=0.0)
    tests = str(Path(__file__).resolve().parents[2])
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path / "state.db"), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PYTHONPATH": tests},
            text=True,
        )
        for number in range(4)
    ]
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [line for racer in racers for line in racer.communicate(timeout=120)[0].split()]
    assert sorted(said) == ["admitted"] * 2 + ["refused"] * 10
