"""An evaluation as a process of its own: through the coordinator, against real HTTP servers."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.doubles.model_servers import ModelServer
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.sources import open_local
from tests.doubles.workspace import LABELS, Workspace, eventually

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.usecases.costs import CostReport, ListCosts
from agent_orchestrator.agents.infrastructure.modelops.usecases.evaluation import (
    EvaluateModelVsBaseline,
    EvaluationResult,
    EvaluationStarted,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    CancelTrainingJob,
    JobReport,
    MonitorTrainingJob,
)
from agent_orchestrator.domain.jobs import TERMINAL
from agent_orchestrator.errors import InputError
from agent_orchestrator.settings import own_python
from agent_orchestrator.wiring.embedded import Embedded, compose

CANDIDATE, BASELINE, JUDGE = "acme/one", "acme/two", "acme/judge"
ADA = Caller("ada", "cli", "admin")


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


@pytest.fixture
def embedded(workspace: Workspace, server: OpenAIServer) -> Embedded:
    """Return the system with a data set and two models elsewhere."""
    workspace.serve_elsewhere(code_review=server.url, cicd=server.url)
    workspace.build_dataset()
    embedded = compose(workspace.settings())
    embedded.registry.add_model_version("code_review", model_id="acme/cicd")
    return embedded


async def start(embedded: Embedded, **request: Any) -> EvaluationStarted:
    """Start an evaluation of v1.0.0 against what serves."""
    given = {"agent": "code_review", "dataset": "reviews", **request}
    result = await embedded.coordinator.run(
        "evaluate_model_vs_baseline", EvaluateModelVsBaseline(**given), ADA
    )
    assert isinstance(result, EvaluationStarted)
    return result


async def finished(embedded: Embedded, job_id: str) -> JobReport:
    """Wait until the job has ended."""

    def look() -> JobReport | None:
        found = embedded.job_desk.report(MonitorTrainingJob(job_id=job_id))
        return found if found.status in TERMINAL else None

    return await eventually(look)


async def test_both_models_are_called_and_compared(embedded: Embedded, server: OpenAIServer):
    """Every held-out example goes to both; scores, reports and the registry agree."""
    started = await start(embedded)
    assert started.estimated_cost_usd == 0.0
    found = await finished(embedded, started.job_id)
    assert found.status == "completed", found
    evaluation = found.evaluation
    assert evaluation is not None
    assert evaluation.scores["candidate"]["accuracy"] == 1.0
    assert 0.2 < evaluation.scores["baseline"]["accuracy"] < 0.5
    assert evaluation.recommendation == "deploy"
    assert evaluation.n_examples == started.n_examples
    assert found.current_step == found.total_steps == 2 * started.n_examples == len(server.requests)
    kinds = {name: Path(path).suffix for name, path in evaluation.reports.items()}
    assert kinds == {"json": ".json", "markdown": ".md", "html": ".html"}
    assert all(started.job_id in path for path in evaluation.reports.values())
    scores = embedded.registry.get_version("code_review", "v1.0.0").eval_scores
    assert (scores.accuracy, scores.recommendation) == (1.0, "deploy")
    assert scores.n_examples == started.n_examples
    assert scores.report_path == evaluation.reports["html"]


@pytest.fixture
async def dear(workspace: Workspace) -> AsyncIterator[OpenAIServer]:
    """Return an OpenRouter with three models that have a price; the last is a judge."""
    models = (CANDIDATE, BASELINE, JUDGE)

    def reply(body: Mapping[str, Any]) -> Reply:
        return Reply('{"better": "tie"}' if body["model"] == JUDGE else body["model"])

    async with ModelServer(reply, kind="openrouter", models=models) as server:
        workspace.variables |= {"OPENROUTER_BASE_URL": server.url, "OPENROUTER_API_KEY": "or_k"}
        workspace.build_dataset()
        with workspace.models_yaml.open("a", encoding="utf-8") as file:
            listed = (f"  {model}: {{provider: openrouter}}" for model in models)
            file.write("\n".join(["", "models:", *listed, ""]))
        yield server


async def judged(embedded: Embedded) -> JobReport:
    """Evaluate on three examples, with a judge; return how it ended."""
    asked = {"candidate": CANDIDATE, "baseline": BASELINE, "judge": JUDGE}
    started = await start(embedded, **asked, max_examples=3)
    assert started.estimated_cost_usd > 0
    return await finished(embedded, started.job_id)


async def test_what_an_evaluation_cost_stands_beside_what_it_might(
    workspace: Workspace, dear: OpenAIServer
):
    """Tokens of all answers at OpenRouter's prices, the judge's among them; the budget has it."""
    embedded = compose(workspace.settings())
    found = await judged(embedded)
    assert found.status == "completed", found
    assert len(dear.requests) == 12
    calls, verdicts = 2 * 3, 2 * 3
    cost = calls * (7 * 0.5e-6 + 1 * 1.5e-6) + verdicts * (7 * 0.5e-6 + 2 * 1.5e-6)
    assert found.actual_cost_usd == pytest.approx(cost)
    assert found.estimated_cost_usd > found.actual_cost_usd
    report = await embedded.coordinator.run("list_costs", ListCosts(), ADA)
    assert isinstance(report, CostReport)
    (spent,) = report.jobs
    assert spent.actual_cost_usd == pytest.approx(cost)
    assert spent.actual_minutes > 0


async def test_an_evaluation_without_an_answer_costs_nothing(
    workspace: Workspace, dear: OpenAIServer
):
    """It has failed, and what it had reserved is free again."""
    dear.answer_with(Reply("broken", status=500))
    embedded = compose(workspace.settings())
    found = await judged(embedded)
    assert (found.status, found.actual_cost_usd) == ("failed", 0.0)
    report = await embedded.coordinator.run("list_costs", ListCosts(), ADA)
    assert isinstance(report, CostReport)
    assert report.spent_usd == 0.0


async def test_models_that_do_not_answer_fail_the_job(embedded: Embedded, server: OpenAIServer):
    """The diagnosis names the model, and no score is written down."""
    server.answer_with(Reply("broken", status=500))
    started = await start(embedded, max_examples=4)
    found = await finished(embedded, started.job_id)
    assert (found.status, found.error.kind) == ("failed", "unavailable")
    assert "calls failed" in found.error.message
    assert found.error.remedy
    assert embedded.registry.get_version("code_review", "v1.0.0").eval_scores is None


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"dataset": "no-such"}, "bad_spec", "no-such"),
        ({"report_dir": "/dev/null/x"}, "disk_full", "/dev/null/x"),
        ({"candidate": 7}, "unknown", "ValidationError"),
    ],
)
async def test_what_goes_wrong_is_diagnosed(
    workspace: Workspace, changes: dict[str, Any], kind: str, said: str, server: OpenAIServer
):
    """Our own errors keep their kind; others are told in one line."""
    endpoint = {"model": "acme/cicd", "provider": "self_hosted", "endpoints": [server.url]}
    spec = {
        "agent": "code_review",
        "dataset": workspace.build_dataset().id,
        "candidate": {"model": "acme/cicd", "version": None},
        "candidate_endpoint": endpoint,
        "baseline": None,
        "baseline_endpoint": None,
        "metrics": ["accuracy"],
        "max_examples": 2,
        "report_dir": str(workspace.state / "reports"),
    }
    folder = workspace.folder / "job"
    folder.mkdir()
    (folder / "spec.json").write_text(json.dumps(spec | changes))
    module = "agent_orchestrator.wiring.evaluation_process"
    process = await asyncio.create_subprocess_exec(
        *(own_python(), "-m", module, folder),
        env=workspace.variables,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 1
    failure = json.loads((folder / "failure.json").read_text())
    assert failure["kind"] == kind
    assert said in failure["message"]
    assert "\n" not in failure["message"]
    assert not (folder / "manifest.json").exists()


@pytest.mark.parametrize("how", ["cancelled", "killed"])
async def test_an_evaluation_that_is_stopped_leaves_no_process_behind(
    workspace: Workspace, embedded: Embedded, how: str
):
    """Its own model server ends with it; SIGKILL leaves it no chance to see to that."""
    workspace.scenario(seconds=30.0)
    workspace.add_artifact("acme/tiny")
    started = await start(embedded, candidate="acme/tiny", baseline="none")
    record = workspace.state / "jobs" / started.job_id / "process.json"
    process = psutil.Process(json.loads(record.read_text())["pid"])
    server = (await eventually(process.children))[0]
    if how == "killed":
        process.send_signal(signal.SIGKILL)
    else:
        cancel = CancelTrainingJob(job_id=started.job_id)
        await embedded.coordinator.run("cancel_training_job", cancel, ADA)
    found = await finished(embedded, started.job_id)
    if how == "killed":
        assert (found.status, found.error.kind) == ("failed", "killed")
    else:
        assert (found.status, found.message) == ("cancelled", "cancelled on request")
    server.wait(60)


async def test_a_judge_compares_the_answers_in_both_orders(
    embedded: Embedded, server: OpenAIServer
):
    """Its preference is reported for both, weighs nothing, and needs a baseline."""

    def judge(body: Mapping[str, Any]) -> Reply:
        if not body["messages"][0]["content"].startswith("You judge"):
            return right(body) if body["model"] == "acme/cicd" else Reply("clean")
        document = json.loads(body["messages"][1]["content"])
        said = [document[side][0]["content"] for side in ("first", "second")]
        return Reply(json.dumps({"better": "first" if said[1] == "clean" else "second"}))

    server.answer_with(judge)
    started = await start(embedded, judge="acme/cicd", max_examples=9)
    found = await finished(embedded, started.job_id)
    assert found.status == "completed", found
    preferred = next(c for c in found.evaluation.changes if c.metric == "preferred")
    assert preferred.candidate + preferred.baseline == pytest.approx(1.0)
    assert preferred.candidate > 0.7
    with pytest.raises(InputError, match="cannot judge without a baseline"):
        await start(embedded, judge="acme/cicd", baseline="none")


async def test_a_second_evaluation_asks_only_what_is_new(embedded: Embedded, server: OpenAIServer):
    """Kept answers are said, cost nothing and have no latency; ``no_cache`` asks anew."""
    first = (await finished(embedded, (await start(embedded, max_examples=4)).job_id)).evaluation
    asked = len(server.requests)
    job = await finished(embedded, (await start(embedded, max_examples=4)).job_id)
    assert len(server.requests) == asked == 8
    second = job.evaluation
    assert second.cached_calls == {"candidate": 4, "baseline": 4}
    assert second.scores["candidate"]["accuracy"] == first.scores["candidate"]["accuracy"]
    assert "latency_threshold" in first.scores["candidate"]
    assert "latency_threshold" not in second.scores["candidate"]
    assert "latency_s" not in {expense.measure for expense in second.expenses}
    assert "kept from an earlier run" in text(second, "markdown")
    twice = await start(embedded, max_examples=4, repetitions=2)
    found = (await finished(embedded, twice.job_id)).evaluation
    assert len(server.requests) == asked + 8
    assert (found.n_examples, found.repetitions) == (4, 2)
    assert found.cached_calls == {"candidate": 4, "baseline": 4}
    await finished(embedded, (await start(embedded, max_examples=4, no_cache=True)).job_id)
    assert len(server.requests) == asked + 16


async def test_a_model_that_was_trained_anew_is_asked_anew(
    embedded: Embedded, server: OpenAIServer
):
    """Its id is the same; its registered weights are not."""
    await finished(embedded, (await start(embedded, max_examples=4, baseline="none")).job_id)
    embedded.registry.add_model_version("code_review", model_id="acme/cicd")
    started = await start(embedded, max_examples=4, baseline="none", candidate="v1.1.0")
    found = (await finished(embedded, started.job_id)).evaluation
    assert found.cached_calls == {"candidate": 0}
    assert len(server.requests) == 8


def text(found: EvaluationResult, kind: str) -> str:
    """Return a report."""
    return Path(found.reports[kind]).read_text()


async def test_tools_are_really_called_over_the_wire(workspace: Workspace, server: OpenAIServer):
    """One model builds and asks for approval, the other only says that it did."""
    names = ("build", "request_approval")
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    rows = [
        {
            "inputs": {
                "task": f"Release build {number} of {'abcdefghij'[number % 10] * 9}{number}.",
                "tools": tools,
                "tool_results": {"build": '{"image": "app:9f3c"}', "request_approval": "yes"},
            },
            "outputs": {"answer": "released"},
            "metadata": {"expected_steps": ["build"], "approval_required": True},
        }
        for number in range(40)
    ]
    source = open_local(workspace.write_rows(rows, "releases"))
    workspace.serve_elsewhere(code_review=server.url, cicd=server.url)
    DatasetStore(workspace.settings().datasets_dir).build("code_review", source)

    def works(body: Mapping[str, Any]) -> Reply:
        if body["model"] != "acme/cicd":
            return Reply("I built app:9f3c, asked for approval and released it.")
        if body["messages"][-1]["role"] == "tool":
            return Reply("released")
        calls = [
            {
                "id": f"call_{name}",
                "type": "function",
                "function": {"name": name, "arguments": "{}"},
            }
            for name in names
        ]
        return Reply("", tool_calls=calls)

    server.answer_with(works)
    embedded = compose(workspace.settings())
    embedded.registry.add_model_version("code_review", model_id="acme/cicd")
    started = await start(embedded, dataset="releases")
    found = await finished(embedded, started.job_id)
    assert found.status == "completed", found
    scores = found.evaluation.scores
    for metric in ("workflow_completeness", "risk_assessment_accuracy"):
        assert (scores["candidate"][metric], scores["baseline"][metric]) == (1.0, 0.0)
    assert scores["candidate"]["mcp_integration_quality"] > 0.0
    assert "mcp_integration_quality" not in scores["baseline"]
