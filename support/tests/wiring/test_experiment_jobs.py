"""Experiments as jobs: processes that are followed, cancelled, budgeted, uploaded or kept here."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.langsmith import KEY, LangSmith
from tests.doubles.model_servers import ModelServer
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.costs import ListCosts
from agent_orchestrator.agents.infrastructure.modelops.usecases.experiments import (
    ExperimentResult,
    ExperimentStarted,
    RunExperiment,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    CancelTrainingJob,
    JobReport,
    MonitorTrainingJob,
)
from agent_orchestrator.domain.jobs import TERMINAL
from agent_orchestrator.errors import InputError
from agent_orchestrator.wiring.embedded import Embedded, compose

ADA = Caller("ada", "cli", "admin")
SMALL, LARGE, JUDGE = "acme/cicd", "acme/code_review", "acme/judge"
ROWS = [
    {"id": f"q{n}", "inputs": {"task": f"Question {n}?"}, "outputs": {"answer": "yes"}}
    for n in range(4)
]


@pytest.fixture
async def server(workspace: Workspace) -> AsyncIterator[OpenAIServer]:
    """Return a server of a model that is right and one that is not."""
    right = {SMALL: "no", LARGE: "yes"}
    async with OpenAIServer(lambda body: Reply(right[body["model"]])) as server:
        workspace.serve_elsewhere(cicd=server.url, code_review=server.url)
        yield server


def template(workspace: Workspace, **changes: Any) -> str:
    """Write a template and its examples; return its path."""
    workspace.write_rows(ROWS, "own")
    plain = {"name": "Yes men", "models": [SMALL, LARGE], "examples": "own.jsonl", "agent": "cicd"}
    path = workspace.folder / "mine.yaml"
    path.write_text(json.dumps(plain | changes), encoding="utf-8")
    return str(path)


async def start(embedded: Embedded, path: str, **given: Any) -> ExperimentStarted:
    """Start an experiment."""
    request = RunExperiment(template=path, **given)
    started = await embedded.coordinator.run("run_experiment", request, ADA)
    assert isinstance(started, ExperimentStarted)
    return started


def text(found: ExperimentResult, kind: str) -> str:
    """Return a report."""
    return Path(found.reports[kind]).read_text()


async def report(
    embedded: Embedded, job_id: str, until: Callable[[JobReport], bool] | None = None
) -> JobReport:
    """Wait until a job has ended, or ``until`` holds."""

    def look() -> JobReport | None:
        found = embedded.job_desk.report(MonitorTrainingJob(job_id=job_id))
        return found if (until or (lambda one: one.status in TERMINAL))(found) else None

    return await eventually(look)


async def test_it_is_a_job_that_ends_with_the_finding(
    workspace: Workspace, server: OpenAIServer, langsmith: LangSmith
):
    """At once there is an id; later progress, arms and reports. Without a key all stays here."""
    workspace.variables |= {
        "LANGSMITH_ENDPOINT": langsmith.url,
        "LANGSMITH_TRACING": "true",
        "LANGCHAIN_TRACING_V2": "true",
        "LANGCHAIN_API_KEY": KEY,
    }
    embedded = compose(workspace.settings())
    started = await start(embedded, template(workspace))
    assert (started.agent, started.runs, started.offline) == ("cicd", 8, True)
    found = await report(embedded, started.job_id)
    assert (found.status, found.kind, found.current_step) == ("completed", "experiment", 8)
    assert found.experiment is not None
    scores = {arm.model: arm.scores["accuracy"] for arm in found.experiment.arms}
    assert scores == {SMALL: 0.0, LARGE: 1.0}
    assert all(started.job_id in path for path in found.experiment.reports.values())
    assert langsmith.requests == []
    costs = embedded.job_desk.budget.report(ListCosts())
    assert [job.kind for job in costs.jobs] == ["experiment"]


async def test_what_was_paid_stands_beside_what_it_might_cost(workspace: Workspace):
    """Answers and the judge's verdicts at the listed prices; kept ones are not paid for again."""

    def reply(body: Mapping[str, Any]) -> Reply:
        return Reply('{"better": "tie"}' if body["model"] == JUDGE else body["model"])

    async with ModelServer(reply, kind="openrouter", models=(SMALL, LARGE, JUDGE)) as server:
        workspace.variables |= {"OPENROUTER_BASE_URL": server.url, "OPENROUTER_API_KEY": "or_k"}
        embedded = compose(workspace.settings())
        path = template(workspace, judge={"model": JUDGE})
        first = await report(embedded, (await start(embedded, path)).job_id)
        again = await report(embedded, (await start(embedded, path)).job_id)
    answers, verdicts = 2 * len(ROWS), 2 * len(ROWS)
    cost = answers * (7 * 0.5e-6 + 1 * 1.5e-6) + verdicts * (7 * 0.5e-6 + 2 * 1.5e-6)
    assert first.status == again.status == "completed"
    assert first.actual_cost_usd == pytest.approx(cost)
    assert first.estimated_cost_usd > cost
    assert again.actual_cost_usd == 0.0


async def test_every_arm_is_uploaded_with_its_tags(
    workspace: Workspace, server: OpenAIServer, langsmith: LangSmith
):
    """An experiment each on one data set, every repetition a run, and a page about all."""
    workspace.variables |= {"LANGSMITH_API_KEY": KEY, "LANGSMITH_ENDPOINT": langsmith.url}
    embedded = compose(workspace.settings())
    embedded.registry.add_model_version("cicd", model_id=LARGE)
    started = await start(embedded, template(workspace, repetitions=2))
    assert started.uploads_to == langsmith.url
    found = (await report(embedded, started.job_id)).experiment
    assert found is not None
    assert found.upload_error is None
    [dataset] = langsmith.datasets.values()
    assert len(langsmith.examples) == len(ROWS)
    arms = {
        row["extra"]["metadata"]["model"]: row
        for row in langsmith.sessions.values()
        if row["reference_dataset_id"] == dataset["id"]
    }
    assert all(arm["id"] in str(found.experiment_url) for arm in arms.values())
    for model, version in ((SMALL, ""), (LARGE, "v1.0.0")):
        runs = [r for r in langsmith.runs.values() if r["session_id"] == arms[model]["id"]]
        assert len(runs) == 2 * len(ROWS)
        assert {run["reference_example_id"] for run in runs} == set(langsmith.examples)
        tags = ["agent:cicd", f"model_version:{version}", "experiment_type:model_comparison"]
        assert all(run["tags"] == tags for run in runs)
        scores = [
            row["score"]
            for row in langsmith.feedback.values()
            if row["key"] == "accuracy" and row["session_id"] == arms[model]["id"]
        ]
        assert scores == [float(model == LARGE)] * 2 * len(ROWS)
    assert "Experiments</a>" in text(found, "html")


@pytest.mark.parametrize("kept", ["asked for", "by the configuration"])
async def test_an_offline_experiment_sends_nothing(
    workspace: Workspace, server: OpenAIServer, langsmith: LangSmith, kept: str
):
    """Although there is a key, and everything is to be traced."""
    workspace.variables |= {
        "LANGSMITH_API_KEY": KEY,
        "LANGSMITH_ENDPOINT": langsmith.url,
        "LANGSMITH_TRACING": "true",
    }
    if kept == "by the configuration":
        workspace.variables["LANGSMITH_TRACING"] = "false"
        defaults = workspace.config / "modelops" / "evaluation_defaults.yaml"
        defaults.write_text(defaults.read_text().replace("upload: true", "upload: false"))
    embedded = compose(workspace.settings())
    started = await start(embedded, template(workspace), offline=kept == "asked for")
    found = await report(embedded, started.job_id)
    assert found.status == "completed"
    assert langsmith.requests == []


async def test_a_failing_upload_loses_nothing(
    workspace: Workspace, server: OpenAIServer, langsmith: LangSmith
):
    """The finding is complete, and says what LangSmith did not take."""
    workspace.variables |= {"LANGSMITH_API_KEY": KEY, "LANGSMITH_ENDPOINT": langsmith.url}
    langsmith.failing = 422
    embedded = compose(workspace.settings())
    found = await report(embedded, (await start(embedded, template(workspace))).job_id)
    assert found.experiment is not None
    assert len(found.experiment.arms) == 2
    assert langsmith.url in str(found.experiment.upload_error)
    assert "not uploaded" in text(found.experiment, "markdown")


async def test_it_can_be_cancelled(workspace: Workspace, server: OpenAIServer):
    """In the midst of its calls."""
    server.answer_with(Reply("yes", latency=0.2))
    embedded = compose(workspace.settings())
    started = await start(embedded, template(workspace, repetitions=100))
    await report(embedded, started.job_id, lambda one: bool(one.current_step))
    request = CancelTrainingJob(job_id=started.job_id)
    await embedded.coordinator.run("cancel_training_job", request, ADA)
    assert (await report(embedded, started.job_id)).status == "cancelled"


async def test_the_months_budget_holds_for_it(workspace: Workspace, server: OpenAIServer):
    """Its price at most is reserved, and what does not fit is refused."""
    defaults = workspace.config / "modelops" / "training_defaults.yaml"
    text = defaults.read_text()
    assert "max_usd_per_month: 200" in text
    defaults.write_text(text.replace("max_usd_per_month: 200", "max_usd_per_month: 0.03"))
    embedded = compose(workspace.settings())
    with pytest.raises(InputError, match="month"):
        await start(embedded, template(workspace, models=["openai/gpt-4o", LARGE]))
    assert server.requests == []
