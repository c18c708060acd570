"""Every method of both engines, really trained on a Space of this machine, by ``chef`` alone."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Chef, SpaceFor
from tests.doubles import workshop
from tests.doubles.space import RunningSpace
from tests.doubles.workspace import Workspace

pytestmark = [pytest.mark.trainer, pytest.mark.slow]

TRAIN = ("train", "code_review", "--base-model")
TINY = "local/tiny-code"
ADAPTERS = '{"rank": 8, "alpha": 16, "target_modules": ["q_proj", "v_proj"]}'
QUICK = ("num_epochs=4", "batch_size=8", "learning_rate=0.003", "max_length=128")


@pytest.fixture
def space(
    workspace: Workspace, space_for_chef: SpaceFor, monkeypatch: pytest.MonkeyPatch
) -> RunningSpace:
    """Run the Space's app with both engines, and let ``chef`` use it; rows for all methods."""
    rows = [
        {
            "inputs": {"task": f"Say {word} {number}."},
            "outputs": {"answer": "yes", "chosen": "yes", "rejected": "no"},
            "metadata": {"agent": "code_review", "success": True, "group": f"g{number}"},
        }
        for number in range(16)
        for word in ("yes", "no", "maybe")
    ]
    monkeypatch.setenv("SOURCE", str(workspace.write_rows(rows)))
    return space_for_chef({"CHEF_AUTOTRAIN_PYTHON": str(workshop.autotrain_python())})


def options(*overrides: str) -> list[str]:
    """Return hyperparameters as options."""
    return [word for override in (*QUICK, *overrides) for word in ("--overrides", override)]


def trained(chef: Chef, workspace: Workspace, *arguments: str) -> dict[str, Any]:
    """Train to the end; return the manifest of what was fetched from the Space."""
    done = chef(*arguments, "--wait", "--json")
    assert done.code == 0, done.err
    report = done.json
    assert report["status"] == "completed"
    assert report["current_step"] == report["total_steps"]
    assert "loss" in done.err
    weights = workspace.state / "artifacts" / report["hub_repo"] / "model.safetensors"
    assert weights.stat().st_size > 0
    job = next(job for job in chef("jobs", "--json").json if job["id"] == report["job_id"])
    manifest: dict[str, Any] = job["result"]["manifest"]
    assert manifest["weights_sha256"] != manifest["base_weights_sha256"]
    return manifest


@pytest.mark.parametrize(
    ("method", "lora"), [("sft", "null"), ("sft", ADAPTERS), ("dpo", "null"), ("orpo", ADAPTERS)]
)
def test_autotrain(chef: Chef, workspace: Workspace, space: RunningSpace, method: str, lora: str):
    """Its gaps are part of the result; orpo chooses it by itself."""
    assert chef("build-dataset", "code_review", "--source", os.environ["SOURCE"]).code == 0
    engine = [] if method == "orpo" else ["--engine", "autotrain"]
    settings = options(f"lora={lora}", "gradient_accumulation=1")
    manifest = trained(chef, workspace, *TRAIN, TINY, "--method", method, *engine, *settings)
    assert (manifest["engine"], manifest["method"]) == ("autotrain", method)
    assert any("validation" in note for note in manifest["notes"])


def test_trl(chef: Chef, workspace: Workspace, space: RunningSpace):
    """Each method goes on from the model that the one before it made."""
    assert chef("build-dataset", "code_review", "--source", os.environ["SOURCE"]).code == 0
    settings = options("lora=null", "gradient_accumulation=1", "max_steps=60")
    first = trained(chef, workspace, *TRAIN, TINY, *settings)
    adapted = options(f"lora={ADAPTERS}", "gradient_accumulation=1", "early_stopping=2")
    second = trained(chef, workspace, *TRAIN, "v1.0.0", "--method", "dpo", *adapted)
    rewarded = options("lora=null", "max_steps=2", "max_completion_length=8")
    third = trained(chef, workspace, *TRAIN, "v1.1.0", "--method", "grpo", *rewarded)
    assert [m["method"] for m in (first, second, third)] == ["sft", "dpo", "grpo"]
    assert second["base_weights_sha256"] == first["weights_sha256"]
    assert third["base_weights_sha256"] == second["weights_sha256"]
    assert second["metrics"]["best_step"] > 0
    assert third["metrics"]["reward_final"] > 0


def test_a_loss_that_is_no_number(chef: Chef, space: RunningSpace):
    """The diagnosis is in the report, with what to change."""
    assert chef("build-dataset", "code_review", "--source", os.environ["SOURCE"]).code == 0
    settings = options("lora=null", "learning_rate=1e30", "warmup_ratio=0")
    done = chef(*TRAIN, TINY, *settings, "--wait", "--json")
    assert done.code == 1
    assert done.json["error"]["kind"] == "nan_loss"
    assert "learning rate" in done.json["error"]["remedy"]


def begun(chef: Chef, jobs: Path) -> tuple[str, Path]:
    """Start a training that takes a while; return its id and folder after its first checkpoint."""
    assert chef("build-dataset", "code_review", "--source", os.environ["SOURCE"]).code == 0
    settings = options("lora=null", "max_steps=400", "checkpoint_steps=5")
    job_id = chef(*TRAIN, TINY, *settings, "--json").json["job_id"]
    folder = jobs / job_id
    while not list((folder / "checkpoints").glob("*/complete")):
        assert chef("job", job_id, "--json").json["status"] in {"pending", "running"}
    return job_id, folder


def killed(folder: Path) -> None:
    """Kill a job's worker."""
    os.kill(json.loads((folder / "process.json").read_text())["pid"], 9)


def test_a_training_on_the_space_is_killed_and_goes_on(
    chef: Chef, workspace: Workspace, space: RunningSpace
):
    """A worker that is lost is diagnosed; resumed, it starts from its last checkpoint."""
    job_id, folder = begun(chef, space.jobs)
    killed(folder)
    assert chef("job", job_id, "--follow", "--json").json["error"]["kind"] == "killed"
    trained(chef, workspace, "resume", job_id)
    assert "resuming from checkpoint-" in (folder / "progress.jsonl").read_text()


def test_a_training_on_the_space_is_cancelled_and_goes_on(
    chef: Chef, workspace: Workspace, space: RunningSpace
):
    """Cancelling leaves a checkpoint and no model; resuming makes the model of it."""
    job_id, folder = begun(chef, space.jobs)
    assert chef("cancel", job_id).code == 0
    report = chef("job", job_id, "--follow", "--json").json
    assert report["status"] == "cancelled"
    assert not (workspace.state / "artifacts" / report["hub_repo"]).exists()
    trained(chef, workspace, "resume", job_id)
    assert "resuming from checkpoint-" in (folder / "progress.jsonl").read_text()


def test_a_training_on_this_machine_is_killed_and_goes_on(
    chef: Chef,
    workspace: Workspace,
    space: RunningSpace,
    monkeypatch: pytest.MonkeyPatch,
):
    """From its last checkpoint, under its own id."""
    monkeypatch.setenv("CHEF_BACKEND", "local")
    monkeypatch.setenv("CHEF_TRAINER_PYTHON", str(workshop.trainer_python()))
    shutil.copytree(space.artifacts / TINY, workspace.state / "artifacts" / TINY)
    job_id, folder = begun(chef, workspace.state / "jobs")
    killed(folder)
    assert chef("job", job_id, "--follow", "--json").json["error"]["kind"] == "killed"
    trained(chef, workspace, "resume", job_id)
    assert "resuming from checkpoint-" in (folder / "progress.jsonl").read_text()
