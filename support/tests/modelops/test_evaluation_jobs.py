"""From an evaluation request to a priced plan; what a finished one writes down."""

from pathlib import Path
from typing import Any

import pytest
from tests.doubles.model_servers import ModelServer
from tests.doubles.sources import open_local
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import PlannedChange
from agent_orchestrator.agents.infrastructure.modelops.usecases.evaluation import (
    EvaluateModelVsBaseline,
)
from agent_orchestrator.errors import (
    ApprovalRequired,
    ChefError,
    DatasetError,
    InputError,
    UnknownAgentError,
    VersionNotFoundError,
)
from agent_orchestrator.wiring.embedded import Embedded, compose

ADA = Caller("ada", "cli", "admin")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return an installation with a data set of code_review."""
    workspace = Workspace(tmp_path)
    workspace.build_dataset()
    return workspace


@pytest.fixture
def embedded(workspace: Workspace) -> Embedded:
    """Return the system with one trained version whose model is here."""
    embedded = compose(workspace.settings())
    workspace.add_artifact("acme/one")
    config = {"base_model": "acme/base", "training_method": "sft", "training_dataset": "reviews"}
    embedded.registry.add_model_version("code_review", model_id="acme/one", training_config=config)
    return embedded


async def plan(embedded: Embedded, **request: Any) -> PlannedChange:
    """Ask what would happen."""
    given = {"agent": "code_review", "dry_run": True, **request}
    result = await embedded.coordinator.run(
        "evaluate_model_vs_baseline", EvaluateModelVsBaseline(**given), ADA
    )
    assert isinstance(result, PlannedChange)
    return result


async def test_everything_left_out_has_its_default(workspace: Workspace, embedded: Embedded):
    """The newest version against what serves, on the data it was trained with; nothing starts."""
    found = await plan(embedded)
    held_out = found.details["examples"]
    assert found.summary == (
        f"Evaluate v1.0.0 (acme/one) against deepseek/deepseek-chat on {held_out} held-out "
        f"examples of {found.details['dataset']}: at most ${held_out * 0.01:.2f}. The price of "
        "deepseek/deepseek-chat is not known (OpenRouter's list cannot be read): $0.01 a call is "
        "assumed."
    )
    assert not (workspace.state / "jobs").exists()


async def test_only_models_that_others_run_cost_money(embedded: Embedded):
    """One here: half the calls; two elsewhere: all; a number of examples bounds it."""
    held_out = (await plan(embedded)).details["examples"]
    assert (await plan(embedded, baseline="none")).estimated_cost_usd == 0.0
    both = {"candidate": "deepseek/deepseek-chat", "baseline": "google/gemini-2.5-flash"}
    elsewhere = await plan(embedded, **both, dataset="reviews")
    assert elsewhere.estimated_cost_usd == pytest.approx(2 * held_out * 0.01)
    few = await plan(embedded, max_examples=3)
    assert few.details["examples"] == 3
    assert few.estimated_cost_usd == pytest.approx(0.03)


async def test_openrouters_prices_are_those_of_its_list(workspace: Workspace):
    """Prompts and the longest answers at the price of a token; what it has not got is bad input."""
    async with ModelServer(kind="openrouter", models=("deepseek/deepseek-chat",)) as server:
        workspace.variables["OPENROUTER_BASE_URL"] = server.url
        embedded = compose(workspace.settings())
        one = {"candidate": "deepseek/deepseek-chat", "baseline": "none", "dataset": "reviews"}
        found = await plan(embedded, **one, max_examples=10)
        answers = 10 * 512 * 1.5e-6
        assert answers < found.estimated_cost_usd < answers + 10 * 200 * 5e-7
        assert "assumed" not in found.summary
        with pytest.raises(InputError, match=r"OpenRouter has no model 'google/gemini-2.5-flash'"):
            await plan(embedded, **(one | {"candidate": "google/gemini-2.5-flash"}))


async def test_an_expensive_evaluation_needs_an_approval(workspace: Workspace, embedded: Embedded):
    """Above the limit of the training defaults, as any spending."""
    path = workspace.config / "modelops" / "evaluation_defaults.yaml"
    path.write_text(path.read_text().replace("usd_per_call: 0.01", "usd_per_call: 5"))
    dear = compose(workspace.settings())
    assert (await plan(dear)).approval_needed
    with pytest.raises(ApprovalRequired, match="Evaluate v1"):
        await dear.coordinator.run(
            "evaluate_model_vs_baseline", EvaluateModelVsBaseline(agent="code_review"), ADA
        )
    assert not (workspace.state / "jobs").exists()


@pytest.mark.parametrize(
    ("request_", "error", "said"),
    [
        ({"agent": "nobody"}, UnknownAgentError, "nobody"),
        ({"agent": "cicd"}, InputError, "cicd has no trained version"),
        ({"candidate": "v9.0.0"}, VersionNotFoundError, "v9.0.0"),
        ({"candidate": "acme/nowhere"}, VersionNotFoundError, "acme/nowhere"),
        ({"baseline": "v1.0.0"}, InputError, "both candidate and baseline"),
        ({"dataset": "no-such"}, DatasetError, "no-such"),
        ({"metrics": ["beauty"]}, InputError, "beauty"),
        (
            {"candidate": "deepseek/deepseek-chat", "baseline": "none"},
            InputError,
            r"Name one \(dataset\)",
        ),
    ],
)
async def test_what_cannot_be_evaluated_is_said(
    embedded: Embedded, request_: dict[str, Any], error: type[ChefError], said: str
):
    """With what to do instead."""
    with pytest.raises(error, match=said):
        await plan(embedded, **request_)


async def test_the_data_of_another_agent_are_refused(workspace: Workspace, embedded: Embedded):
    """Scores on them would open the way to this agent's traffic."""
    rows = [
        {
            "inputs": {"task": f"Build {n}."},
            "outputs": {"answer": "ok"},
            "metadata": {"agent": "cicd"},
        }
        for n in range(9)
    ]
    source = open_local(workspace.write_rows(rows, "builds"), "cicd")
    DatasetStore(workspace.settings().datasets_dir).build("cicd", source)
    with pytest.raises(DatasetError, match="belongs to cicd, not to code_review") as error:
        await plan(embedded, dataset="builds")
    assert "chef build-dataset code_review" in error.value.remedy


async def test_a_job_that_cannot_be_started_has_failed(workspace: Workspace, embedded: Embedded):
    """The reason goes to whoever asked and stays with the job."""
    (workspace.state / "jobs").write_text("a file stands in the way")
    request = EvaluateModelVsBaseline(agent="code_review", baseline="none")
    with pytest.raises(ChefError, match="jobs"):
        await embedded.coordinator.run("evaluate_model_vs_baseline", request, ADA)
    (job,) = embedded.jobs.newest()
    assert (job.kind, job.status) == ("evaluation", "failed")
    assert job.failure.message
