"""Conversions to GGUF as jobs: what is planned, what is registered, what is published."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.doubles.hub import ORG, HubDouble
from tests.doubles.sources import open_local
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import PlannedChange
from agent_orchestrator.agents.infrastructure.modelops.usecases.conversion import (
    ConversionStarted,
    ConvertModelToGguf,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    CancelTrainingJob,
    JobReport,
    MonitorTrainingJob,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import TrainSubagentModel
from agent_orchestrator.errors import (
    ChefError,
    ConfigurationError,
    ConflictError,
    InputError,
    ModelIdError,
    UnknownAgentError,
    VersionNotFoundError,
)
from agent_orchestrator.wiring.embedded import Embedded, compose

ADA = Caller("ada", "cli", "admin")
TRAINED = {"base_model": "acme/base", "training_method": "sft", "training_dataset": "reviews"}


def rows(right: int) -> list[dict[str, Any]]:
    """Return 60 examples of which ``right`` in ten have the answer that the models give."""
    return [
        {
            "inputs": {"task": f"Name the defect in function number {number}."},
            "outputs": {"answer": "clean" if number % 10 < right else "bare-except"},
            "metadata": {"agent": "code_review", "success": True, "group": f"f{number}"},
        }
        for number in range(60)
    ]


def install(folder: Path, *, right: int = 9) -> Workspace:
    """Return an installation with llama.cpp, a data set and a model of code_review."""
    workspace = Workspace(folder)
    tools = folder / "llama.cpp"
    tools.mkdir()
    (tools / "ready").touch()
    workspace.variables["CHEF_LLAMA_CPP"] = str(tools)
    source = open_local(workspace.write_rows(rows(right)))
    DatasetStore(workspace.settings().datasets_dir).build("code_review", source)
    workspace.add_artifact("acme/one")
    return workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return an installation whose models are right nine times in ten."""
    return install(tmp_path)


@pytest.fixture
def embedded(workspace: Workspace) -> Embedded:
    """Return the system with one trained version."""
    return with_version(workspace)


def with_version(workspace: Workspace) -> Embedded:
    """Compose the system and register v1.0.0."""
    embedded = compose(workspace.settings())
    embedded.registry.add_model_version("code_review", model_id="acme/one", training_config=TRAINED)
    return embedded


async def plan(embedded: Embedded, **request: Any) -> PlannedChange:
    """Ask what would happen."""
    asked = ConvertModelToGguf(**{"agent": "code_review", "dry_run": True, **request})
    result = await embedded.coordinator.run("convert_model_to_gguf", asked, ADA)
    assert isinstance(result, PlannedChange)
    return result


async def start(embedded: Embedded, **request: Any) -> ConversionStarted:
    """Start a conversion."""
    asked = ConvertModelToGguf(**{"agent": "code_review", **request})
    result = await embedded.coordinator.run("convert_model_to_gguf", asked, ADA)
    assert isinstance(result, ConversionStarted)
    return result


async def look(embedded: Embedded, job_id: str) -> JobReport:
    """Return how a job stands."""
    request = MonitorTrainingJob(job_id=job_id)
    report = await embedded.coordinator.run("monitor_training_job", request, ADA)
    assert isinstance(report, JobReport)
    return report


async def convert(embedded: Embedded, **request: Any) -> JobReport:
    """Convert and wait for the end."""
    started = await start(embedded, **request)
    report = await look(embedded, started.job_id)
    while report.status in {"pending", "running"}:
        await asyncio.sleep(0.1)
        report = await look(embedded, started.job_id)
    return report


async def test_everything_left_out_has_its_default(workspace: Workspace, embedded: Embedded):
    """The newest trained version as Q4_K_M, evaluated on its own data; nothing starts."""
    found = await plan(embedded)
    assert found.summary == (
        "Convert v1.0.0 (acme/one) to GGUF (Q4_K_M) as local/one-Q4_K_M-GGUF, evaluate it on "
        f"{found.details['dataset']}."
    )
    assert not found.approval_needed
    assert not (workspace.state / "jobs").exists()


@pytest.mark.parametrize(
    ("request_", "error", "said"),
    [
        ({"agent": "nobody"}, UnknownAgentError, "nobody"),
        ({"agent": "cicd"}, InputError, "cicd has no trained version"),
        ({"agent": None}, InputError, "Which model"),
        ({"version": "v9.0.0"}, VersionNotFoundError, "v9.0.0"),
        ({"version": "v1.0.0", "model": "acme/one"}, InputError, "Both a model and a version"),
        ({"model": "../one"}, ModelIdError, "Not a model id"),
        ({"output_repo": "no-owner"}, ModelIdError, "names no owner"),
        ({"output_repo": "acme/one-GGUF"}, ConfigurationError, "HUGGINGFACE_TOKEN"),
    ],
)
async def test_what_cannot_be_converted_is_said(
    embedded: Embedded, request_: dict[str, Any], error: type[ChefError], said: str
):
    """Before anything starts, with what to do instead."""
    with pytest.raises(error, match=said):
        await plan(embedded, **request_)


async def test_without_llama_cpp_the_way_to_get_it_is_told(workspace: Workspace):
    """The make target is named."""
    shutil.rmtree(workspace.settings().llama_cpp)
    with pytest.raises(ConfigurationError, match="CHEF_LLAMA_CPP") as refused:
        await plan(with_version(workspace))
    assert refused.value.remedy == "Run `make setup-gguf`."


async def test_a_conversion_becomes_a_version_beside_its_parent(embedded: Embedded):
    """Registered with lineage and scores; the job tells files, usage and the comparison."""
    report = await convert(embedded, quantization="q8_0")
    assert (report.status, report.version) == ("completed", "v1.0.1")
    made = report.conversion
    assert made.model == "local/one-Q8_0-GGUF"
    assert {file.path for file in made.files} == {"one.Q8_0.gguf", "Modelfile", "README.md"}
    assert made.usage["llama.cpp"] == "llama-server --model one.Q8_0.gguf"
    beside = made.beside_parent
    assert (beside.answers_equal, beside.answers_compared) == (beside.n_examples, beside.n_examples)
    assert beside.bytes[0] == 100
    assert report.evaluation.baseline == "v1.0.0"
    version = embedded.registry.get_version("code_review", "v1.0.1")
    assert (version.parent_version, version.quantization) == ("v1.0.0", "Q8_0")
    assert version.tags == ("gguf", "Q8_0")
    assert version.eval_scores.accuracy > 0.5
    assert "answers equal" in await anyio.Path(made.folder, "README.md").read_text()
    again = await look(embedded, report.job_id)
    assert again.version == "v1.0.1"
    assert len(embedded.registry.list_versions("code_review")) == 2


async def test_a_gguf_file_is_an_end(embedded: Embedded):
    """It is not made twice, not quantised anew, and training goes on from its parent."""
    report = await convert(embedded, dataset="none")
    assert (report.evaluation, report.conversion.not_evaluated) == (None, "not evaluated, as asked")
    with pytest.raises(ConflictError, match="local/one-Q4_K_M-GGUF exists already"):
        await plan(embedded)
    with pytest.raises(InputError, match="is a GGUF file already"):
        await plan(embedded, version="v1.0.1")
    assert "v1.0.0 (acme/one)" in (await plan(embedded, quantization="F16")).summary
    asked = TrainSubagentModel(agent="code_review", base_model="v1.0.1", dry_run=True)
    with pytest.raises(ChefError, match="acme/one"):  # it has no weights in this test
        await embedded.coordinator.run("train_subagent_model", asked, ADA)


async def test_a_model_of_no_agent_becomes_a_file_but_no_version(
    workspace: Workspace, embedded: Embedded
):
    """Without an agent there is no data set and no registry entry."""
    workspace.add_artifact("acme/other")
    report = await convert(embedded, agent=None, model="acme/other")
    assert (report.status, report.version, report.evaluation) == ("completed", None, None)
    assert report.conversion.not_evaluated == "not evaluated: it is of no agent"
    assert len(embedded.registry.list_versions("code_review")) == 1


async def test_a_model_of_one_agent_needs_no_agent_named(embedded: Embedded):
    """The agent whose registry has the model is meant."""
    assert "v1.0.0 (acme/one)" in (await plan(embedded, agent=None, model="acme/one")).summary


async def test_the_workers_diagnosis_is_the_jobs(workspace: Workspace, embedded: Embedded):
    """What the worker found wrong is told as it told it; nothing is registered."""
    failure = {"kind": "unknown_architecture", "message": "Who is OurOwnLM?", "remedy": "Ask."}
    workspace.scenario(failure=failure)
    report = await convert(embedded)
    assert report.status == "failed"
    assert report.error.model_dump() == failure
    assert len(embedded.registry.list_versions("code_review")) == 1


async def test_a_conversion_can_be_cancelled(workspace: Workspace, embedded: Embedded):
    """The worker is stopped with the job."""
    workspace.scenario(seconds=600)
    started = await start(embedded)
    folder = workspace.settings().jobs_dir / started.job_id / "worker"
    await eventually(lambda: (folder / "progress.jsonl").exists() or None)
    await embedded.coordinator.run(
        "cancel_training_job", CancelTrainingJob(job_id=started.job_id), ADA
    )
    report = await look(embedded, started.job_id)
    while report.status == "running":
        await asyncio.sleep(0.1)
        report = await look(embedded, started.job_id)
    assert report.status == "cancelled"
    assert "cancelled on request" in (folder / "progress.jsonl").read_text()


@pytest.mark.parametrize("right", [9, 1])
async def test_what_the_evaluation_rejects_is_not_published(tmp_path: Path, right: int):
    """The files go to the asked repository, card and all, unless the models answer wrongly."""
    with HubDouble() as hub:
        workspace = install(tmp_path, right=right)
        workspace.variables |= hub.environment()
        repo = f"{ORG}/one-GGUF"
        report = await convert(with_version(workspace), output_repo=repo)
        assert report.status == "completed", report
        if right == 1:
            assert report.evaluation.recommendation == "reject"
            assert report.conversion.not_published == "the evaluation rejects it"
            assert hub.repos.ids("model") == []
            return
        assert report.conversion.hub_url == f"{hub.url}/{repo}"
        assert {"one.Q4_K_M.gguf", "Modelfile"} <= set(hub.repos.get("model", repo).files)
