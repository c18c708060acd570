"""A search: trials that are jobs, started by whoever looks, within a budget."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.modelops.test_training import ADA, EXAMPLES, School

from agent_orchestrator.agents.infrastructure.modelops.backends import FollowsJobs
from agent_orchestrator.agents.infrastructure.modelops.backends.fake import FakeBackend, Scenario
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Source
from agent_orchestrator.agents.infrastructure.modelops.jobs.costs import Budget
from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs, Settler
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.training.search import (
    BACKEND,
    Searches,
    settle_trial,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    CancelTrainingJob,
    JobReport,
    MonitorTrainingJob,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.search import (
    SearchHyperparameters,
    SearchStarted,
)
from agent_orchestrator.domain.budget import MonthlyLimits
from agent_orchestrator.domain.jobs import Failure, Job, JobKind
from agent_orchestrator.errors import DatasetError, InputError, UnavailableError
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.jobs import JobStore

RATES = [1e-4, 1e-3, 4e-3, 1e-2]
BEST = 4e-3
UNLIMITED = MonthlyLimits(max_usd=1e6, max_hours=1e6)


def loss(hyperparameters: Mapping[str, Any]) -> float:
    """Return what a rate reaches: the nearer to the best one, and the longer, the lower."""
    distance = abs(math.log(hyperparameters["learning_rate"] / BEST))
    return distance + 1.0 / float(hyperparameters["num_epochs"])


class Moody(FakeBackend):
    """A backend that can be down before a job is submitted."""

    mood: UnavailableError | None = None

    def check(self, *_: object) -> None:
        """See ``ChecksFirst``."""
        if self.mood is not None:
            raise self.mood


@dataclass
class Laboratory:
    """A school with searches; the clock is the test's."""

    folder: Path
    scenario: Scenario = field(default_factory=lambda: Scenario(seconds=60.0, validation_loss=loss))
    limits: MonthlyLimits = UNLIMITED
    trainer: str = "fake"
    """Name of the backend; that of a rented one has a price."""

    def __post_init__(self) -> None:
        self.at = 1e9
        self.discarded: list[str] = []
        self.school = School(self.folder)
        self.school.build()
        self.backend = FakeBackend(self.scenario, clock=lambda: self.at)
        self.searches = self.open()

    def open(self) -> Searches:
        """Compose it all anew, as after a restart; the backend's jobs go on."""
        database = Database(f"sqlite:///{self.folder / 'search.db'}")
        self.store = JobStore(database)
        followed: dict[str, FollowsJobs] = {self.trainer: self.backend}
        settlers: dict[JobKind, Settler] = {"trial": settle_trial}
        budget = Budget(self.store, self.limits, clock=lambda: self.at)
        self.jobs = Jobs(
            self.store,
            followed,
            settlers,
            AuditLog(database),
            budget=budget,
            clock=lambda: self.at,
        )
        backends = {self.trainer: self.backend}
        preparation = self.school.preparation(
            backends, jobs=self.jobs, default_backend=self.trainer
        )
        training = self.school.make(backends, preparation, jobs=self.jobs, clock=lambda: self.at)
        searches = Searches(
            jobs=self.jobs,
            store=self.store,
            preparation=preparation,
            training=training,
            follow=lambda job_id: {"followed": job_id},
            discard=self.discard,
            clock=lambda: self.at,
        )
        followed[BACKEND] = searches
        settlers["search"] = searches.settle
        return searches

    def discard(self, trial: Job) -> bool:
        """Note which models were to be removed; one of them cannot be."""
        self.discarded.append(trial.id)
        return not trial.id.endswith("t1")

    def plan(self, **fields: Any) -> Plan:
        """Plan a search for the rate."""
        given = {
            "agent": "code_review",
            "base_model": "local/tiny-code",
            "space": {"learning_rate": RATES},
            **fields,
        }
        return self.searches.plan(SearchHyperparameters(**given), ADA)

    async def start(self, **fields: Any) -> str:
        """Start a search; return its id."""
        started = await self.plan(**fields).act(None)
        assert isinstance(started, SearchStarted)
        return started.job_id

    def look(self, search: str) -> JobReport:
        """Look a minute later."""
        self.at += 60.0
        return self.jobs.report(MonitorTrainingJob(job_id=search))

    def until_over(self, search: str, looks: int = 40) -> JobReport:
        """Look until it has ended."""
        for _ in range(looks):
            report = self.look(search)
            if report.status not in {"pending", "running"}:
                return report
        raise AssertionError(report)

    def trials(self, search: str) -> dict[str, str]:
        """Return trial → status."""
        found = [job for job in self.store.since(0.0) if job.request.get("search") == search]
        return {job.id.removeprefix(f"{search}-"): job.status for job in found}


async def test_the_best_trial_becomes_the_version_and_the_others_are_kept(tmp_path: Path):
    """One version, trained at the best rate; every trial with its setting and what it reached."""
    lab = Laboratory(tmp_path)
    search = await lab.start()
    report = lab.until_over(search)
    assert (report.status, report.version) == ("completed", "v1.0.0")
    assert len(report.trials) == 4
    best = min(report.trials, key=lambda trial: trial.value or math.inf)
    assert best.setting == {"learning_rate": BEST}
    version = lab.school.registry.get_version("code_review", "v1.0.0")
    assert version.job_id == best.job_id
    assert version.training_config is not None
    assert version.training_config.learning_rate == BEST
    assert len(lab.school.registry.list_versions("code_review")) == 1
    assert f"best validation_loss {best.value:.4f} with" in report.message


async def test_of_those_that_lost_no_model_is_kept(tmp_path: Path):
    """Their numbers are; a model that could not be removed is still named."""
    lab = Laboratory(tmp_path)
    search = await lab.start(space={"learning_rate": [BEST, 1e-4, 1e-2]})
    report = lab.until_over(search)
    best = min(report.trials, key=lambda trial: trial.value or math.inf)
    losers = [trial for trial in report.trials if trial != best]
    assert sorted(lab.discarded) == sorted(trial.job_id for trial in losers)
    kept = {trial.job_id for trial in report.trials if trial.model}
    assert kept == {best.job_id, f"{search}-r1t1"}
    assert all(trial.value is not None for trial in losers)


async def test_all_models_are_kept_on_request(tmp_path: Path):
    """Then each names its own."""
    lab = Laboratory(tmp_path)
    report = lab.until_over(await lab.start(keep="all"))
    assert lab.discarded == []
    assert all(trial.model for trial in report.trials)


async def test_a_cancelled_search_removes_nothing(tmp_path: Path):
    """There is no winner whose place the others lost."""
    lab = Laboratory(tmp_path)
    search = await lab.start()
    lab.look(search)
    await lab.jobs.plan_cancel(CancelTrainingJob(job_id=search), ADA).act(None)
    assert lab.until_over(search).status == "cancelled"
    assert lab.discarded == []


async def test_one_trial_runs_at_a_time_or_as_many_as_are_wanted(tmp_path: Path):
    """The next one starts when somebody looks and one has ended."""
    lab = Laboratory(tmp_path)
    search = await lab.start(parallel=2)
    assert list(lab.trials(search).values()) == ["running"] * 2
    lab.jobs.refresh(search)
    assert len(lab.trials(search)) == 2
    lab.look(search)
    assert sorted(lab.trials(search).values()) == ["completed"] * 2 + ["running"] * 2


async def test_halving_trains_the_better_ones_for_longer(tmp_path: Path):
    """Four for a third of the epochs, the better two for all of them."""
    lab = Laboratory(tmp_path)
    search = await lab.start(rungs=2, overrides={"num_epochs": 6})
    report = lab.until_over(search)
    assert [trial.rung for trial in report.trials] == [1, 1, 1, 1, 2, 2]
    second = {trial.setting["learning_rate"] for trial in report.trials if trial.rung == 2}
    assert second == {BEST, 1e-2}
    epochs = {
        trial.rung: lab.store.get(trial.job_id).request["training_config"]["num_epochs"]
        for trial in report.trials
    }
    assert epochs == {1: 2.0, 2: 6.0}


async def test_a_restart_of_our_side_changes_nothing(tmp_path: Path):
    """Trials go on; whoever looks next starts what is due, each once."""
    lab = Laboratory(tmp_path)
    search = await lab.start()
    seen = []
    for _ in range(10):
        lab.searches = lab.open()
        seen.append(lab.look(search).status)
        if seen[-1] == "completed":
            break
    assert seen[-1] == "completed"
    assert sorted(lab.trials(search)) == ["r1t1", "r1t2", "r1t3", "r1t4"]


async def test_cancelling_stops_every_trial(tmp_path: Path):
    """Those that run are asked to stop, no other starts, and nothing is registered."""
    lab = Laboratory(tmp_path)
    search = await lab.start(parallel=2)
    lab.at += 30.0
    plan = lab.jobs.plan_cancel(CancelTrainingJob(job_id=search), ADA)
    await plan.act(None)
    assert lab.until_over(search).status == "cancelled"
    assert list(lab.trials(search).values()) == ["cancelled"] * 2
    assert lab.school.registry.list_versions("code_review") == []


async def test_the_budget_is_checked_before_each_trial(tmp_path: Path):
    """What two trials may cost is enough for two: the better one of them wins, and it is said."""
    lab = Laboratory(tmp_path, trainer="hf_jobs")
    each = lab.plan(trials=1).cost_usd
    assert each > 0
    lab.backend._scenario = replace(lab.scenario, seconds=each / 0.75 * 3600)  # as estimated
    search = await lab.start(max_cost_usd=2.5 * each)
    for _ in range(10):
        lab.at += each / 0.75 * 3600
        report = lab.look(search)
    assert report.status == "completed"
    assert len(lab.trials(search)) == 2
    assert "Stopped: " in report.message
    spent = sum(trial.cost_usd for trial in report.trials)
    assert spent <= 2.5 * each
    assert lab.school.registry.get_version("code_review", "v1.0.0")


async def test_a_month_that_is_spent_stops_a_search(tmp_path: Path):
    """Its trials are jobs like others; the best of those that there was room for wins."""
    lab = Laboratory(tmp_path, trainer="hf_jobs")
    search_plan = lab.plan()
    lab.limits = MonthlyLimits(max_usd=lab.plan(trials=1).cost_usd * 1.5, max_hours=1e6)
    lab.searches = lab.open()
    search = await lab.start()
    assert search_plan.cost_usd > lab.limits.max_usd
    lab.look(search)
    report = lab.until_over(search)
    assert report.status == "completed"
    assert "are left in" in report.message
    assert len(lab.trials(search)) == 1


async def test_a_backend_that_cannot_be_asked_now_is_asked_again(tmp_path: Path):
    """A search does not end by a service that is down for a minute."""
    lab = Laboratory(tmp_path)
    lab.backend = Moody(lab.scenario, clock=lambda: lab.at)
    lab.searches = lab.open()
    search = await lab.start()
    assert lab.trials(search) == {"r1t1": "running"}
    lab.backend.mood = UnavailableError("Down.")
    with pytest.raises(UnavailableError, match="Down"):
        lab.look(search)
    lab.backend.mood = None
    assert lab.until_over(search).status == "completed"
    assert len(lab.trials(search)) == 4


async def test_when_every_trial_fails_the_search_has_failed(tmp_path: Path):
    """With the diagnosis of the last one."""
    failure = Failure("out_of_memory", "Too big.", "Use a smaller batch.")
    lab = Laboratory(tmp_path, Scenario(seconds=60.0, failure=failure))
    report = lab.until_over(await lab.start())
    assert report.status == "failed"
    assert report.error is not None
    assert report.error.message == "No trial was completed. The last: Too big."
    assert report.error.kind == "out_of_memory"


async def test_the_search_itself_takes_nothing_from_the_month(tmp_path: Path):
    """Its trials do, each as it starts."""
    lab = Laboratory(tmp_path, trainer="hf_jobs")
    before = lab.jobs.budget.left().usd
    search = await lab.start()
    (trial,) = [job for job in lab.store.since(0.0) if job.kind == "trial"]
    assert before - lab.jobs.budget.left().usd == pytest.approx(trial.estimated_cost_usd)
    assert lab.jobs.find(None, "code_review").id == search


def test_a_plan_names_its_settings_and_what_they_may_cost(tmp_path: Path):
    """The ceiling is what is approved: the estimates, or what the request allows."""
    lab = Laboratory(tmp_path, trainer="hf_jobs")
    plan = lab.plan(rungs=2)
    assert "Search learning_rate for code_review: 6 trainings of local/tiny-code" in plan.summary
    assert plan.cost_usd == pytest.approx(plan.details["estimated_cost_usd"], abs=0.01)
    assert lab.plan(max_cost_usd=3).cost_usd == 3
    assert lab.plan().resolved["settings"] == lab.plan().resolved["settings"]


def test_a_setting_that_is_not_allowed_is_refused_before_anything_runs(tmp_path: Path):
    """The message names the space's key; so does one for a name that is none."""
    lab = Laboratory(tmp_path)
    with pytest.raises(InputError, match="batch_size"):
        lab.plan(space={"batch_size": [4, 0]})
    with pytest.raises(InputError, match="Did you mean 'learning_rate'"):
        lab.plan(space={"learning_rat": [1, 2]})


async def test_trials_are_compared_on_rows_that_none_was_trained_on(tmp_path: Path):
    """A tenth, the same for all; of too few rows none can be spared."""
    lab = Laboratory(tmp_path)
    search = await lab.start(parallel=2)
    specs = [lab.backend._jobs[f"{search}-{trial}"].spec for trial in lab.trials(search)]
    first, second = specs
    assert first.validation_rows == second.validation_rows
    held = [str(row) for row in first.validation_rows]
    assert not set(held) & {str(row) for row in first.rows}
    assert len(held) == math.ceil(0.1 * (len(first.rows) + len(held)))


def test_of_too_few_examples_none_can_be_spared(tmp_path: Path):
    """That is said before anything runs."""
    lab = Laboratory(tmp_path)
    few = lab.school.datasets.build("code_review", Source("few", "made", EXAMPLES[:9]), name="few")
    with pytest.raises(DatasetError, match="too few to keep some back"):
        lab.plan(dataset=few.id)
