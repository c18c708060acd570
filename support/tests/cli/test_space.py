"""Training on a Space, from the command line to the registered version."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Chef
from tests.doubles import workshop
from tests.doubles.hub import ORG, HubDouble
from tests.doubles.space import TOKEN, RunningSpace, running_space
from tests.doubles.workspace import Workspace

from agent_orchestrator.settings import own_python

TRAIN = ("train", "code_review", "--base-model", "local/tiny-code", "--backend", "hf_space")


def use(space: RunningSpace, monkeypatch: pytest.MonkeyPatch) -> RunningSpace:
    """Let ``chef`` find a Space."""
    monkeypatch.setenv("MODELOPS_SPACE_URL", space.url)
    monkeypatch.setenv("MODELOPS_SPACE_TOKEN", TOKEN)
    return space


@pytest.fixture(autouse=True)
def dataset(workspace: Workspace) -> None:
    """Build a data set in every workspace."""
    workspace.build_dataset()


@pytest.fixture
def space(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningSpace]:
    """Return a Space whose jobs take no time."""
    python = workspace.settings().trainer_python
    with running_space(tmp_path / "space", python) as space:
        yield use(space, monkeypatch)


def test_a_training_on_a_space_is_followed_to_its_version(
    chef: Chef, space: RunningSpace, workspace: Workspace
):
    """The model that stayed there is fetched and registered; the job ran there and nowhere else."""
    done = chef(*TRAIN, "--wait", "--json")
    assert done.code == 0, done.err
    report = done.json
    assert (report["status"], report["version"]) == ("completed", "v1.0.0")
    model = workspace.state / "artifacts" / report["hub_repo"]
    theirs = space.artifacts / report["hub_repo"]
    assert sorted(p.name for p in model.iterdir()) == ["config.json", "model.safetensors"]
    assert (model / "model.safetensors").read_bytes() == (theirs / "model.safetensors").read_bytes()
    assert [path.name for path in space.jobs.iterdir()] == [report["job_id"]]
    assert not (workspace.state / "jobs").exists()
    (job,) = chef("jobs", "--json").json
    assert (job["backend"], job["estimated_cost_usd"] > 0) == ("hf_space", True)
    assert TOKEN not in done.out + done.err + json.dumps(job) + "".join(space.log)


def test_jobs_go_to_the_space_where_that_is_wished(
    chef: Chef, space: RunningSpace, monkeypatch: pytest.MonkeyPatch
):
    """MODELOPS_USE_SPACE makes it the backend of requests that name none."""
    monkeypatch.setenv("MODELOPS_USE_SPACE", "true")
    plan = chef(*TRAIN[:4], "--dry-run", "--json").json
    assert plan["details"]["backend"] == "hf_space"
    here = chef(*TRAIN[:4], "--backend", "local", "--dry-run", "--json").json
    assert here["details"]["backend"] == "local"


def test_without_a_space_the_refusal_says_what_to_set(chef: Chef):
    """Before anything is started."""
    refused = chef(*TRAIN)
    assert refused.code == 1
    assert "MODELOPS_SPACE_URL" in refused.err


def test_a_space_that_does_not_answer_fails_the_job_at_once(
    chef: Chef, space: RunningSpace, monkeypatch: pytest.MonkeyPatch
):
    """A wrong token: the sentence says which variable to correct, and the job is on record."""
    monkeypatch.setenv("MODELOPS_SPACE_TOKEN", "wrong")
    refused = chef(*TRAIN)
    assert refused.code == 2
    assert "MODELOPS_SPACE_TOKEN" in refused.err
    (job,) = chef("jobs", "--json").json
    assert job["status"] == "failed"
    assert not list(space.jobs.glob("*"))


@pytest.mark.parametrize(
    "kind",
    ["bad_column", "gated_model", "out_of_memory", "timeout", "disk_full", "nan_loss"],
)
def test_a_diagnosis_comes_all_the_way_with_its_remedy(
    chef: Chef, space: RunningSpace, workspace: Workspace, kind: str
):
    """What the worker found is what the person reads, and what the store keeps."""
    failure = {"kind": kind, "message": f"It was {kind}.", "remedy": f"Change {kind}."}
    workspace.scenario(failure=failure)
    done = chef(*TRAIN, "--wait", "--json")
    assert done.code == 1
    assert (done.json["status"], done.json["error"]) == ("failed", failure)
    assert done.err.splitlines()[-1].endswith(f"It was {kind}. Change {kind}.")
    (job,) = chef("jobs", "--json").json
    assert job["failure"] == failure


def test_a_job_on_a_space_can_be_cancelled(chef: Chef, space: RunningSpace, workspace: Workspace):
    """By the same command as any other."""
    workspace.scenario(steps=100_000, seconds=0.05)
    job_id = chef(*TRAIN, "--json").json["job_id"]
    assert chef("cancel", job_id, "--json").code == 0
    done = chef("job", job_id, "--follow", "--json")
    assert (done.code, done.json["status"]) == (1, "cancelled")


@pytest.mark.trainer
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["trl", "autotrain"])
def test_a_real_worker_trains_on_a_space(
    *,
    engine: str,
    chef: Chef,
    workspace: Workspace,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
):
    """Either engine behind the app: progress, a loss that falls, other weights than the base's."""
    base = workshop.tiny_base(tmp_path_factory.getbasetemp().parent)
    environment = workshop.environment()
    offline = {name: environment[name] for name in ("OMP_NUM_THREADS", "HF_HUB_OFFLINE")}
    offline["CHEF_AUTOTRAIN_PYTHON"] = str(workshop.autotrain_python())
    with running_space(tmp_path / "space", workshop.trainer_python(), variables=offline) as space:
        use(space, monkeypatch)
        shutil.copytree(base, space.artifacts / "local" / "tiny-code")
        done = chef(*TRAIN, "--engine", engine, "--wait", "--json")
        assert done.code == 0, done.err
        report = done.json
        weights = workspace.state / "artifacts" / report["hub_repo"] / "model.safetensors"
        assert weights.read_bytes() != (base / "model.safetensors").read_bytes()
        (job,) = chef("jobs", "--json").json
        metrics = job["result"]["manifest"]["metrics"]
        assert metrics["train_loss_final"] < metrics["train_loss_first"]
        assert report["current_step"] == report["total_steps"] == metrics["steps"]
        assert "loss" in done.err


def test_a_space_is_deployed_after_a_person_has_agreed(workspace: Workspace, tmp_path: Path):
    """A dry run says the price; without an answer nothing is made; with it, the Space is there."""
    with HubDouble() as hub:
        environment = (
            workspace.variables
            | hub.environment()
            | {
                "HF_HOME": str(tmp_path / "hf"),
                "MODELOPS_SPACE_TOKEN": TOKEN,
                "MODELOPS_HUB_ORG": ORG,
            }
        )

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = (own_python(), "-m", "agent_orchestrator", "space", *arguments, "--json")
            return subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )

        plan = json.loads(run("deploy", "--dry-run").stdout)
        assert (plan["approval_needed"], plan["estimated_cost_usd"]) == (True, 0.4)
        waits = run("deploy")
        assert waits.returncode == 3, waits.stderr
        assert not hub.repos.ids("space")
        done = run("deploy", "--yes")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report["url"] == "https://acme-org-modelops-trainer.hf.space"
        assert hub.spaces.get(report["space"]).secrets["MODELOPS_SPACE_TOKEN"] == TOKEN
        paused = json.loads(run("pause").stdout)
        assert paused["stage"] == "PAUSED"
        assert (
            TOKEN not in plan["summary"] + waits.stdout + waits.stderr + done.stdout + done.stderr
        )
