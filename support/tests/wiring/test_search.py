"""A search with real trainings: the worker's processes, on this machine."""

import asyncio
import shutil

import pytest
from tests.doubles import workshop
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    JobReport,
    MonitorTrainingJob,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.search import (
    SearchHyperparameters,
    SearchStarted,
)
from agent_orchestrator.domain.jobs import TERMINAL
from agent_orchestrator.wiring.embedded import compose

ADA = Caller("ada", "cli", "admin")


@pytest.mark.trainer
@pytest.mark.slow
async def test_real_trials_find_the_rate_that_learns(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of a rate that learns and two that hardly move, the first wins on rows that it never saw.

    The system is composed anew at every look, as after a restart.
    """
    base = workshop.tiny_base(tmp_path_factory.getbasetemp().parent)
    shutil.copytree(base, workspace.state / "artifacts" / "local" / "tiny")
    workspace.variables |= {
        **workshop.environment(),
        "CHEF_TRAINER_PYTHON": str(workshop.trainer_python()),
    }
    dataset = workspace.build_dataset()
    coordinator = compose(workspace.settings()).coordinator
    quick = {"max_steps": 12, "batch_size": 8, "gradient_accumulation": 1, "max_length": 256}
    started = await coordinator.run(
        "search_hyperparameters",
        SearchHyperparameters(
            agent="code_review",
            base_model="local/tiny",
            space={"learning_rate": [3e-3, 1e-7, 2e-7]},
            overrides={**quick, "lora": None},
            rungs=2,
        ),
        ADA,
    )
    assert isinstance(started, SearchStarted)
    assert (started.dataset, started.trials, started.trainings) == (dataset.id, 3, 4)

    def ended() -> JobReport | None:
        jobs = compose(workspace.settings()).job_desk
        report = jobs.report(MonitorTrainingJob(job_id=started.job_id))
        return report if report.status in TERMINAL else None

    report = await eventually(ended, seconds=540.0)
    assert report.status == "completed", report.error
    first, last = report.trials[:3], report.trials[3]
    assert [trial.status for trial in report.trials] == ["completed"] * 4
    assert last.setting == {"learning_rate": 3e-3}
    assert last.value < min(trial.value for trial in first)
    embedded = compose(workspace.settings())
    version = embedded.registry.get_version("code_review", "v1.0.0")
    assert (version.job_id, report.version) == (last.job_id, "v1.0.0")
    weights = workspace.state / "artifacts" / version.model_id / "model.safetensors"
    assert await asyncio.to_thread(weights.exists)
    trials = embedded.jobs.of([trial.job_id for trial in report.trials])
    assert {trial.request["search"] for trial in trials} == {started.job_id}
