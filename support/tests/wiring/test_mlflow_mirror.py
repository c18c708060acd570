"""The mirror in a real MLflow server: idempotent, patient with outages, written by the timer."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from tests.doubles.mlflow_server import MlflowServer, mlflow_server
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.mlflow_mirror.mirror import MlflowMirror
from agent_orchestrator.agents.infrastructure.modelops.mlflow_mirror.records import (
    ModelRecord,
    RunRecord,
    VersionRecord,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import (
    TrainingStarted,
    TrainSubagentModel,
)
from agent_orchestrator.wiring import timer_process
from agent_orchestrator.wiring.embedded import compose

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """Return a running server."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as server:
        server.start()
        yield server


def run_record(folder: Path, key: str = "job_1", **changes: Any) -> RunRecord:
    """Return a training as a run."""
    report = folder / "report.html"
    report.write_text("<p>Better.</p>")
    given = {
        "key": key,
        "experiment": "code-chef/cicd",
        "name": f"training {key}",
        "status": "RUNNING",
        "started_at": 100.0,
        "ended_at": None,
        "params": {"learning_rate": "0.003"},
        "metrics": {"accuracy": 0.9},
        "curves": {"loss": tuple((step, 1.0 / step) for step in range(1, 1201))},
        "tags": {"chef.kind": "training"},
        "files": (report,),
    }
    return RunRecord(**{**given, **changes})


def model(name: str, count: int, **aliases: str) -> ModelRecord:
    """Return a registered model with so many versions."""
    versions = tuple(
        VersionRecord(
            version=f"v1.{number}.0",
            source=f"code-chef://acme/one-{number}",
            job_id=None,
            tags={"chef.version": f"v1.{number}.0", "chef.status": "not_deployed"},
            description="sft",
        )
        for number in range(count)
    )
    return ModelRecord(name=name, versions=versions, aliases=aliases)


def test_what_is_written_twice_is_there_once(server: MlflowServer, tmp_path: Path):
    """A new mirror, as after a restart, finds its runs and versions and only adds what changed."""
    client = MlflowClient(server.uri)
    run, agent = run_record(tmp_path), model("code-chef.cicd", 2, current="v1.0.0")
    MlflowMirror(server.uri, lambda: ([run], [agent])).tick()
    ended = replace(run, status="FINISHED", ended_at=200.0, metrics={"accuracy": 0.9, "steps": 5.0})
    promoted = model("code-chef.cicd", 3, current="v1.1.0", canary="v1.2.0")
    MlflowMirror(server.uri, lambda: ([ended], [promoted])).tick()

    experiment = client.get_experiment_by_name("code-chef/cicd")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.status, found.info.end_time) == ("FINISHED", 200_000)
    assert found.data.params == {"learning_rate": "0.003"}
    assert found.data.metrics["steps"] == 5.0
    losses = client.get_metric_history(found.info.run_id, "loss")
    assert sorted({point.step for point in losses}) == list(range(1, 1201))
    assert [file.path for file in client.list_artifacts(found.info.run_id)] == ["report.html"]
    registered = client.get_registered_model("code-chef.cicd")
    versions = client.search_model_versions("name = 'code-chef.cicd'")
    by_number = {int(version.version): version.tags["chef.version"] for version in versions}
    assert by_number == {1: "v1.0.0", 2: "v1.1.0", 3: "v1.2.0"}
    served = {alias: by_number[int(number)] for alias, number in registered.aliases.items()}
    assert served == {"current": "v1.1.0", "canary": "v1.2.0"}

    MlflowMirror(server.uri, lambda: ([ended], [model("code-chef.cicd", 3)])).tick()
    assert client.get_registered_model("code-chef.cicd").aliases == {}


def test_what_mlflow_refuses_holds_nothing_else_up(
    server: MlflowServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """It is said once and left; the rest is written."""
    bad = model("code-chef.refused", 1)
    bad = replace(bad, versions=(replace(bad.versions[0], source="no/scheme"),))
    mirror = MlflowMirror(server.uri, lambda: ([], [bad, model("code-chef.taken", 1)]))
    mirror.tick()
    mirror.tick()
    client = MlflowClient(server.uri)
    assert len(client.search_model_versions("name = 'code-chef.taken'")) == 1
    assert caplog.text.count("MLflow does not take code-chef.refused") == 1


def test_an_outage_is_waited_for_and_caught_up_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Nothing is raised, it is said once, the pauses grow; then everything is written."""
    now = [0.0]
    runs = [run_record(tmp_path)]
    with mlflow_server(tmp_path) as server, caplog.at_level(logging.WARNING):
        mirror = MlflowMirror(server.uri, lambda: (runs, []), clock=lambda: now[0])
        for at in (0.0, 1.0, 6.0, 20.0):
            now[0] = at
            mirror.tick()
        assert len([r for r in caplog.records if server.uri in r.getMessage()]) == 1
        runs.append(run_record(tmp_path, "job_2"))
        server.start()
        now[0] = 1000.0
        mirror.tick()
        client = MlflowClient(server.uri)
        experiment = client.get_experiment_by_name("code-chef/cicd")
        assert len(client.search_runs([experiment.experiment_id])) == 2
        assert "caught up" in caplog.text


async def test_the_timer_mirrors_what_happens_here(server: MlflowServer, tmp_path: Path):
    """A training that ends while the timer runs becomes a run and a version with its lineage."""
    workspace = Workspace(tmp_path)
    workspace.build_dataset()
    workspace.add_artifact("acme/base")
    workspace.variables["MLFLOW_TRACKING_URI"] = server.uri
    settings = workspace.settings()
    embedded = compose(settings)
    request = TrainSubagentModel(agent="code_review", base_model="tiny-code")
    started = await embedded.coordinator.run(
        "train_subagent_model", request, Caller("ada", "cli", "admin")
    )
    assert isinstance(started, TrainingStarted)
    stop = threading.Event()
    timer = threading.Thread(target=timer_process.run, args=(settings, stop))
    timer.start()
    client = MlflowClient(server.uri)

    def registered() -> Any:
        found = client.search_model_versions("name = 'code-chef.code_review'")
        return found[0] if found else None

    try:
        version = await eventually(registered)
        assert version.tags["chef.job"] == started.job_id
        experiment = client.get_experiment_by_name("code-chef/code_review")
        (run,) = client.search_runs([experiment.experiment_id])
        assert run.data.tags["chef.id"] == started.job_id
    finally:
        stop.set()
        timer.join(30)
