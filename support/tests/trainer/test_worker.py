"""The worker, really training a tiny model in the trainer's interpreter."""

import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.workshop import (
    ROWS,
    environment,
    events,
    job_folder,
    run_worker,
    trainer_python,
    write_rows,
)

pytestmark = pytest.mark.trainer


def read(folder: Path, name: str) -> dict[str, Any]:
    """Return one of the job's JSON files."""
    data: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return data


def failure_of(folder: Path, **variables: str) -> dict[str, Any]:
    """Run a job that fails; return its diagnosis."""
    assert run_worker(folder, **variables) == 1
    assert not (folder / "manifest.json").exists()
    assert not (folder / "artifact").exists()
    return read(folder, "failure.json")


@pytest.fixture(scope="module")
def done(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a job that was completed."""
    folder = job_folder(
        tmp_path_factory.mktemp("jobs") / "job_done",
        base,
        dataset={"train": "train.jsonl", "validation": "validation.jsonl", "name": "say-it"},
        hyperparameters={"checkpoint_steps": 3},
    )
    write_rows(folder / "validation.jsonl", ROWS[:4])
    assert run_worker(folder) == 0, (folder / "worker.log").read_text()
    return folder


def test_a_job_tells_what_it_does_from_the_first_second(done: Path):
    """The first line stands before the slow imports, and the steps count up to their total."""
    told = events(done)
    assert [event["event"] for event in told][:2] == ["started", "loading"]
    assert told[-1]["event"] == "completed"
    steps = [event for event in told if event["event"] == "step"]
    assert steps[0]["step"] == 1
    assert steps[-1]["step"] == steps[-1]["total_steps"] == 5
    assert steps[-1]["eta_seconds"] == 0
    assert all(step["loss"] > 0 for step in steps)


def test_the_manifest_vouches_for_the_artifact(done: Path):
    """Every file is listed with its hash, and nothing else is in the folder."""
    manifest = read(done, "manifest.json")
    listed = {entry["path"]: entry for entry in manifest["files"]}
    assert set(listed) == {path.name for path in (done / "artifact").iterdir()}
    weights = listed["model.safetensors"]
    content = (done / "artifact" / "model.safetensors").read_bytes()
    assert weights["sha256"] == hashlib.sha256(content).hexdigest()
    assert weights["bytes"] == len(content)


def test_training_changes_the_weights(done: Path, base: Path):
    """The manifest's two hashes differ, and so do the files."""
    manifest = read(done, "manifest.json")
    assert manifest["status"] == "completed"
    assert manifest["weights_sha256"] != manifest["base_weights_sha256"]
    assert (base / "model.safetensors").read_bytes() != (
        done / "artifact" / "model.safetensors"
    ).read_bytes()


def test_the_manifest_says_what_was_measured_and_with_what(done: Path):
    """Loss, steps, tokens, the held-out loss, library versions and seed."""
    manifest = read(done, "manifest.json")
    metrics = manifest["metrics"]
    assert metrics["steps"] == 5
    assert metrics["examples"] == len(ROWS)
    assert metrics["tokens"] > 0
    assert 0 < metrics["train_loss_final"] < 10
    assert 0 < metrics["validation_loss"] < 10
    assert manifest["seed"] == 0
    assert {"torch", "transformers", "trl", "python"} <= set(manifest["libraries"])


def test_nothing_is_pickled(done: Path):
    """Artifact and checkpoints are safetensors; a checkpoint stands where it was asked for."""
    assert (done / "checkpoints" / "checkpoint-3" / "model.safetensors").is_file()
    assert not [path for path in done.rglob("*") if path.suffix in {".bin", ".pt", ".pth", ".pkl"}]


def test_tensorboard_can_follow_a_job(done: Path):
    """Event files lie where the job's folder promises them."""
    assert list((done / "tensorboard").glob("events.out.tfevents.*"))


def test_the_artifact_says_nothing_of_this_machine(done: Path, base: Path):
    """No path of the job or the base model is published with the model."""
    for path in (done / "artifact").iterdir():
        content = path.read_bytes()
        assert str(base).encode() not in content
        assert str(done).encode() not in content


def test_a_second_worker_leaves_a_job_alone(base: Path, tmp_path: Path):
    """Two processes never work on one job: the second ends and touches nothing."""
    folder = job_folder(tmp_path / "job", base, hyperparameters={"max_steps": 10_000})
    first = start(folder)
    try:
        wait_for(folder, "started")
        before = len(events(folder))
        assert run_worker(folder) == 1
        assert [event["event"] for event in events(folder)[before:]].count("started") == 0
        assert not (folder / "failure.json").exists()
    finally:
        first.kill()
        first.wait()


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start the worker and return at once."""
    return subprocess.Popen(
        [trainer_python(), "-m", "agent_orchestrator.trainer", folder],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(folder: Path, event: str) -> None:
    """Wait until the job has told of the event."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if (folder / "progress.jsonl").exists() and any(
            told["event"] == event for told in whole_events(folder)
        ):
            return
        time.sleep(0.05)
    pytest.fail(f"No {event!r} event came.")


def whole_events(folder: Path) -> list[dict[str, Any]]:
    """Return the progress lines that are written out."""
    text = (folder / "progress.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def test_a_cancelled_training_leaves_a_checkpoint(base: Path, tmp_path: Path):
    """SIGTERM between two steps: the weights so far are kept, no artifact appears."""
    folder = job_folder(tmp_path / "job", base, hyperparameters={"max_steps": 10_000})
    process = start(folder)
    wait_for(folder, "step")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    told = events(folder)
    assert [event["event"] for event in told][-2:] == ["checkpoint", "cancelled"]
    step = told[-2]["step"]
    assert (folder / "checkpoints" / f"checkpoint-{step}" / "model.safetensors").is_file()
    assert not (folder / "manifest.json").exists()
    assert not (folder / "artifact").exists()


@pytest.mark.parametrize(
    "lora", [pytest.param(None, marks=pytest.mark.slow), {"rank": 4, "alpha": 8}]
)
def test_a_killed_training_resumes_as_if_nothing_had_happened(
    base: Path, tmp_path: Path, lora: dict[str, int] | None
):
    """Started again in its folder it ends with the very weights of one that was left alone."""
    parameters = {"max_steps": 300, "checkpoint_steps": 7, "lora": lora}
    killed, alone = (
        job_folder(tmp_path / name, base, hyperparameters=parameters) for name in ("job", "alone")
    )
    process = start(killed)
    wait_for(killed, "checkpoint")
    process.kill()
    process.wait(60)
    at = max(event["step"] for event in whole_events(killed) if event["event"] == "checkpoint")
    assert at < 300
    assert [run_worker(folder) for folder in (killed, alone)] == [0, 0]
    assert any("resuming from" in event["message"] for event in events(killed))
    one, two = (read(folder, "manifest.json") for folder in (killed, alone))
    assert one["weights_sha256"] == two["weights_sha256"]
    for name in ("steps", "tokens", "train_loss_first", "train_loss_final"):
        assert one["metrics"][name] == two["metrics"][name]
    kept = sorted(path.name for path in (killed / "checkpoints").glob("checkpoint-*"))
    assert kept == ["checkpoint-287", "checkpoint-294"]
    pickles = {".bin", ".pt", ".pth", ".pkl"}
    assert not [path for path in killed.rglob("*") if path.suffix in pickles]


def test_a_job_can_be_cancelled_while_it_loads(base: Path, tmp_path: Path):
    """Before the training there is nothing to keep: the job ends at once."""
    folder = job_folder(tmp_path / "job", base, hyperparameters={"max_steps": 10_000})
    process = start(folder)
    wait_for(folder, "loading")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert events(folder)[-1]["event"] == "cancelled"
    assert not (folder / "failure.json").exists()


def test_lora_trains_and_is_merged(base: Path, tmp_path: Path):
    """With tied embeddings beside the adapters, the artifact is one whole model."""
    lora = {"rank": 4, "alpha": 8, "modules_to_save": ["embed_tokens"]}
    folder = job_folder(tmp_path / "job", base, hyperparameters={"lora": lora})
    assert run_worker(folder) == 0, (folder / "worker.log").read_text()
    assert not list((folder / "artifact").glob("adapter*"))
    manifest = read(folder, "manifest.json")
    assert manifest["weights_sha256"] != manifest["base_weights_sha256"]
    sizes = [(f / "model.safetensors").stat().st_size for f in (folder / "artifact", base)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_a_bad_column_is_found_before_anything_slow(base: Path, tmp_path: Path):
    """Column and row are named."""
    folder = job_folder(tmp_path / "job", base)
    write_rows(folder / "train.jsonl", [ROWS[0], {"question": "?"}])
    failure = failure_of(folder)
    assert failure["kind"] == "bad_column"
    assert "row 2" in failure["message"]
    assert [event["event"] for event in events(folder)] == ["started", "failed"]


def test_an_unknown_folder_as_base_model_fails_the_job(tmp_path: Path):
    """The path that is not there is named."""
    failure = failure_of(job_folder(tmp_path / "job", tmp_path / "nothing"))
    assert failure["kind"] == "unknown_base_model"
    assert "nothing" in failure["message"]


def test_an_unknown_name_as_base_model_fails_the_job(tmp_path: Path):
    """A Hub id that is neither in the cache nor to be had."""
    folder = job_folder(tmp_path / "job", "nobody/no-such-model")
    assert failure_of(folder, HF_HOME=str(tmp_path))["kind"] == "unknown_base_model"


def test_a_loss_that_is_no_number_stops_the_training(base: Path, tmp_path: Path):
    """An absurd learning rate ends as a diagnosis, not as a model."""
    parameters = {"learning_rate": 1e30, "max_steps": 50, "warmup_ratio": 0.0}
    failure = failure_of(job_folder(tmp_path / "job", base, hyperparameters=parameters))
    assert failure["kind"] == "nan_loss"
    assert "step" in failure["message"]


def test_weights_that_did_not_change_are_no_result(base: Path, tmp_path: Path):
    """A training that did nothing is a failure, never a completed job."""
    parameters = {"learning_rate": 1e-30, "max_steps": 1}
    failure = failure_of(job_folder(tmp_path / "job", base, hyperparameters=parameters))
    assert failure["message"] == "The weights did not change."


def test_the_time_limit_ends_a_job(base: Path, tmp_path: Path):
    """``max_seconds`` end a training that would go on for days."""
    endless = {"max_steps": 10_000_000}
    folder = job_folder(tmp_path / "job", base, hyperparameters=endless, max_seconds=2.0)
    assert failure_of(folder)["kind"] == "timeout"


def test_the_time_limit_counts_from_the_start_of_the_worker(base: Path, tmp_path: Path):
    """The engine's imports, which alone take longer than this, are part of ``max_seconds``."""
    endless = {"max_steps": 10_000_000}
    folder = job_folder(tmp_path / "job", base, hyperparameters=endless, max_seconds=0.1)
    assert run_worker(folder, python=trainer_python()) == 1
    assert read(folder, "failure.json")["kind"] == "timeout"
    assert "step" not in {event["event"] for event in events(folder)}


def test_a_disk_that_is_full_from_the_start_fails_the_job(base: Path, tmp_path: Path):
    """When not even the first progress line can be written, the diagnosis still is."""
    folder = job_folder(tmp_path / "job", base)
    (folder / "progress.jsonl").symlink_to("/dev/full")
    assert failure_of(folder)["kind"] == "disk_full"


def test_a_disk_that_fills_up_while_saving_fails_the_job(base: Path, tmp_path: Path):
    """The half-written artifact is gone, and the diagnosis is there."""
    folder = job_folder(tmp_path / "job", base)
    limit = (base / "model.safetensors").stat().st_size // 2 // 512
    command = 'ulimit -f "$0" && exec "$@"'
    worker = (trainer_python(), "-m", "agent_orchestrator.trainer", folder)
    done = subprocess.run(
        ["sh", "-c", command, str(limit), *worker],
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr.decode()
    assert read(folder, "failure.json")["kind"] == "disk_full"
    assert events(folder)[-2]["event"] == "saving"
    assert not [path for path in folder.iterdir() if "artifact" in path.name]


def test_pushing_without_a_token_is_refused_before_training(base: Path, tmp_path: Path):
    """No hour of training is lost to a missing key."""
    folder = job_folder(tmp_path / "job", base, push_to_hub={"repo": "owner/name"})
    failure = failure_of(folder)
    assert failure["kind"] == "bad_spec"
    assert "HUGGINGFACE_TOKEN" in failure["message"]


def test_a_hub_that_does_not_answer_costs_no_model(base: Path, tmp_path: Path):
    """The job fails, for it was to push; the trained model is kept and the message says where."""
    folder = job_folder(tmp_path / "job", base, push_to_hub={"repo": "owner/name"})
    assert run_worker(folder, HUGGINGFACE_TOKEN="hf_none", HF_HUB_OFFLINE="1") == 1
    assert read(folder, "failure.json")["kind"] == "unavailable"
    assert (folder / "artifact" / "model.safetensors").is_file()
    assert "hf_none" not in "".join(
        path.read_text() for path in (folder / "failure.json", folder / "worker.log")
    )


def test_the_same_seed_gives_the_same_weights(done: Path, base: Path, tmp_path: Path):
    """A job can be repeated to the bit on the same machine."""
    again = job_folder(tmp_path / "job", base)
    assert run_worker(again) == 0
    one, two = (read(folder, "manifest.json")["weights_sha256"] for folder in (done, again))
    assert one == two


def test_a_job_needs_nothing_of_the_orchestrator(done: Path):
    """The worker's modules import none of ours but their own."""
    code = (
        "import sys, agent_orchestrator.trainer.worker, agent_orchestrator.trainer.sft\n"
        "names = [n for n in sys.modules if n.startswith('agent_orchestrator.')]\n"
        "print([n for n in names if not n.startswith('agent_orchestrator.trainer')])"
    )
    shown = subprocess.run(
        [trainer_python(), "-c", code], env=dict(os.environ), capture_output=True, check=True
    )
    assert shown.stdout.decode().strip() == "[]"
