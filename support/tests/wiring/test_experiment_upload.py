"""Evaluations whose experiments go to LangSmith, and those that stay on this machine."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.langsmith import KEY, LangSmith
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import LABELS, Workspace, eventually

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.evaluation import (
    EvaluateModelVsBaseline,
    EvaluationResult,
    EvaluationStarted,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    JobReport,
    MonitorTrainingJob,
)
from agent_orchestrator.domain.jobs import TERMINAL
from agent_orchestrator.wiring.embedded import Embedded, compose

EXAMPLES = 4
#: What people set to have LangChain and LangSmith trace everything.
TRACED = {"LANGSMITH_TRACING": "true", "LANGCHAIN_TRACING_V2": "true", "LANGSMITH_PROJECT": "all"}


def right(body: Mapping[str, Any]) -> Reply:
    """Answer as the data set does."""
    number = int(body["messages"][-1]["content"].rstrip(".").split()[-1])
    return Reply(LABELS[number % 3])


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    """Return a server whose cicd model knows the answers and whose other always says clean."""
    replies = {"acme/cicd": right, "acme/code_review": lambda _: Reply("clean")}
    async with OpenAIServer(lambda body: replies[body["model"]](body)) as server:
        yield server


def installed(workspace: Workspace, server: OpenAIServer, **variables: str) -> Embedded:
    """Return the system with a data set, two models elsewhere and these variables."""
    workspace.variables.update(variables)
    workspace.serve_elsewhere(code_review=server.url, cicd=server.url)
    workspace.build_dataset()
    embedded = compose(workspace.settings())
    embedded.registry.add_model_version("code_review", model_id="acme/cicd")
    return embedded


async def evaluate(embedded: Embedded, **request: Any) -> tuple[JobReport, EvaluationResult]:
    """Evaluate v1.0.0 against what serves; return the finished job and what it found."""
    given = {"agent": "code_review", "dataset": "reviews", "max_examples": EXAMPLES, **request}
    started = await embedded.coordinator.run(
        "evaluate_model_vs_baseline",
        EvaluateModelVsBaseline(**given),
        Caller("ada", "cli", "admin"),
    )
    assert isinstance(started, EvaluationStarted)

    def look() -> JobReport | None:
        found = embedded.job_desk.report(MonitorTrainingJob(job_id=started.job_id))
        return found if found.status in TERMINAL else None

    found = await eventually(look)
    assert found.status == "completed", found
    assert found.evaluation is not None
    return found, found.evaluation


def report(found: EvaluationResult, name: str) -> str:
    """Return a report's text."""
    return Path(found.reports[name]).read_text()


async def test_both_arms_are_uploaded(
    workspace: Workspace, server: OpenAIServer, langsmith: LangSmith
):
    """With a key, each arm is an experiment of the data set's, and a page compares them."""
    embedded = installed(workspace, server, LANGSMITH_API_KEY=KEY, LANGSMITH_ENDPOINT=langsmith.url)
    job, found = await evaluate(embedded)
    assert found.upload_error is None

    [dataset] = langsmith.datasets.values()
    assert dataset["name"].startswith("reviews-")
    assert len(langsmith.examples) == EXAMPLES
    arms = {
        row["extra"]["metadata"]["arm"]: row
        for row in langsmith.sessions.values()
        if row["reference_dataset_id"] == dataset["id"]
    }
    assert arms.keys() == {"candidate", "baseline"}
    for arm, project in arms.items():
        metadata = project["extra"]["metadata"]
        assert metadata["agent"] == "code_review"
        assert metadata["experiment_type"] == "baseline_vs_candidate"
        assert metadata["model_version"] == ("v1.0.0" if arm == "candidate" else "")
        assert metadata["dataset_hash"] == dataset["metadata"]["dataset_hash"]
        assert metadata["job_id"] == job.job_id
        runs = [run for run in langsmith.runs.values() if run["session_id"] == project["id"]]
        assert {run["reference_example_id"] for run in runs} == set(langsmith.examples)
        assert all("experiment_type:baseline_vs_candidate" in run["tags"] for run in runs)
        scores = [
            row["score"]
            for row in langsmith.feedback.values()
            if row["key"] == "accuracy" and row["session_id"] == project["id"]
        ]
        assert sum(scores) / EXAMPLES == pytest.approx(found.scores[arm]["accuracy"])
        assert project["end_time"]

    [comparative] = langsmith.comparatives.values()
    assert set(comparative["experiment_ids"]) == {arm["id"] for arm in arms.values()}
    preferred = [row for row in langsmith.feedback.values() if row["key"] == "more_correct"]
    assert len(preferred) == 2 * EXAMPLES
    assert all(row["comparative_experiment_id"] == comparative["id"] for row in preferred)
    assert sum(row["score"] for row in preferred) == EXAMPLES

    assert comparative["id"] in found.experiment_url
    recorded = embedded.registry.get_version("code_review", "v1.0.0").eval_scores
    assert recorded.langsmith_experiment_url == found.experiment_url
    assert "Experiment" in report(found, "html")


async def test_a_data_set_is_uploaded_once(
    workspace: Workspace, server: OpenAIServer, langsmith: LangSmith
):
    """A second evaluation finds the data set by its hash, and adds only examples that are new."""
    embedded = installed(workspace, server, LANGSMITH_API_KEY=KEY, LANGSMITH_ENDPOINT=langsmith.url)
    await evaluate(embedded)
    _, found = await evaluate(embedded, max_examples=EXAMPLES + 2)
    assert found.upload_error is None
    assert len(langsmith.datasets) == 1
    assert len(langsmith.examples) == EXAMPLES + 2
    assert len(langsmith.comparatives) == 2


async def test_a_candidate_alone_is_uploaded(
    workspace: Workspace, server: OpenAIServer, langsmith: LangSmith
):
    """Without a baseline there is one experiment and nothing to compare it with."""
    embedded = installed(workspace, server, LANGSMITH_API_KEY=KEY, LANGSMITH_ENDPOINT=langsmith.url)
    _, found = await evaluate(embedded, baseline="none")
    assert found.experiment_url is not None
    assert langsmith.comparatives == {}


@pytest.mark.parametrize("fault", ["refuses", "is away", "knows another key"])
async def test_a_failing_upload_loses_nothing(
    workspace: Workspace, server: OpenAIServer, langsmith: LangSmith, fault: str
):
    """What LangSmith does not take is reported; scores, report and registry are complete."""
    url = "http://127.0.0.1:9" if fault == "is away" else langsmith.url
    key = "lsv2_pt_other" if fault == "knows another key" else KEY
    langsmith.failing = 422 if fault == "refuses" else None
    embedded = installed(workspace, server, LANGSMITH_API_KEY=key, LANGSMITH_ENDPOINT=url)
    _, found = await evaluate(embedded)
    assert url in found.upload_error
    assert found.experiment_url is None
    assert found.scores["candidate"]["accuracy"] == 1.0
    scores = embedded.registry.get_version("code_review", "v1.0.0").eval_scores
    assert scores.accuracy == 1.0
    assert scores.langsmith_experiment_url is None
    assert "not uploaded" in report(found, "markdown")
    assert "not uploaded" in report(found, "html")


@pytest.mark.parametrize(
    ("request_", "variables"),
    [
        ({"offline": True}, {"LANGSMITH_API_KEY": KEY}),
        ({"offline": True}, {"LANGSMITH_API_KEY": KEY, **TRACED}),
        ({}, {}),
        ({}, {**TRACED, "LANGCHAIN_API_KEY": KEY}),
    ],
    ids=["asked for", "asked for, tracing on", "no key", "another library's key, tracing on"],
)
async def test_an_offline_evaluation_sends_nothing(
    workspace: Workspace,
    server: OpenAIServer,
    langsmith: LangSmith,
    request_: dict[str, Any],
    variables: dict[str, str],
):
    """Whatever the environment asks for, not one request leaves an offline evaluation."""
    embedded = installed(
        workspace,
        server,
        LANGSMITH_ENDPOINT=langsmith.url,
        LANGCHAIN_ENDPOINT=langsmith.url,
        **variables,
    )
    _, found = await evaluate(embedded, **request_)
    assert langsmith.requests == []
    assert (found.experiment_url, found.upload_error) == (None, None)


async def test_the_configuration_can_keep_everything_here(
    workspace: Workspace, server: OpenAIServer, langsmith: LangSmith
):
    """``upload: false`` in evaluation_defaults.yaml keeps every experiment on this machine."""
    defaults = workspace.config / "modelops" / "evaluation_defaults.yaml"
    defaults.write_text(defaults.read_text().replace("upload: true", "upload: false"))
    embedded = installed(workspace, server, LANGSMITH_API_KEY=KEY, LANGSMITH_ENDPOINT=langsmith.url)
    await evaluate(embedded)
    assert langsmith.requests == []
