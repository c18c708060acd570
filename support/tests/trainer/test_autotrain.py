"""AutoTrain, really training a tiny model in an interpreter of its own."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.doubles.workshop import (
    ROOT,
    autotrain_python,
    environment,
    events,
    job_folder,
    run_worker,
    write_rows,
)

pytestmark = [pytest.mark.trainer, pytest.mark.slow]

QUICK = {"max_steps": None, "num_epochs": 4, "learning_rate": 3e-3}
ADAPTERS = {"rank": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj"]}
PAIRS = [{"prompt": f"Say {number}.", "chosen": "yes", "rejected": "no"} for number in range(8)]


def autotrain_job(folder: Path, base: Path, **changes: Any) -> Path:
    """Make the folder of a job for AutoTrain."""
    hyperparameters = {**QUICK, **changes.pop("hyperparameters", {})}
    return job_folder(folder, base, engine="autotrain", hyperparameters=hyperparameters, **changes)


def run(folder: Path, **variables: str) -> int:
    """Run the worker in AutoTrain's interpreter."""
    return run_worker(folder, python=autotrain_python(), **variables)


def read(folder: Path, name: str) -> dict[str, Any]:
    """Return one of the job's JSON files."""
    data: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return data


@pytest.mark.parametrize(
    ("method", "lora"), [("sft", None), ("sft", ADAPTERS), ("dpo", None), ("orpo", ADAPTERS)]
)
def test_a_method_trains_to_a_whole_model(
    base: Path, tmp_path: Path, method: str, lora: dict[str, Any] | None
):
    """Other weights than the base's, safetensors only, our card, and the gaps in the manifest."""
    folder = autotrain_job(
        tmp_path / "job", base, method=method, hyperparameters={"lora": lora, "adam_beta2": 0.98}
    )
    if method != "sft":
        write_rows(folder / "train.jsonl", PAIRS)
    before = {path.name: path.read_bytes() for path in base.iterdir()}
    assert run(folder) == 0, (folder / "worker.log").read_text()[-3000:]
    manifest = read(folder, "manifest.json")
    assert (manifest["engine"], manifest["method"]) == ("autotrain", method)
    assert manifest["weights_sha256"] != manifest["base_weights_sha256"]
    assert manifest["libraries"]["autotrain-advanced"] == "0.8.36"
    assert manifest["seed"] == 42
    assert any("validation" in note for note in manifest["notes"])
    steps = [event for event in events(folder) if event["event"] == "step"]
    assert steps[-1]["step"] == steps[-1]["total_steps"] == manifest["metrics"]["steps"]
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert list((folder / "tensorboard").rglob("events.out.tfevents.*"))
    names = {path.name for path in (folder / "artifact").iterdir()}
    assert "model.safetensors" in names
    assert not [name for name in names if name.startswith("adapter") or name.endswith(".bin")]
    card = (folder / "artifact" / "README.md").read_text()
    assert f"AutoTrain ({method})" in card
    assert "adam_beta2 = 0.98 was not used" in card
    assert {path.name: path.read_bytes() for path in base.iterdir()} == before
    for path in (folder / "artifact").iterdir():
        assert str(tmp_path).encode() not in path.read_bytes()


def test_its_model_can_be_trained_on_and_served_by_the_other_engine(base: Path, tmp_path: Path):
    """What the older libraries saved, the newer ones read, and the other way round."""
    first = autotrain_job(tmp_path / "first", base)
    assert run(first) == 0
    second = job_folder(tmp_path / "second", first / "artifact")
    assert run_worker(second) == 0
    third = autotrain_job(tmp_path / "third", second / "artifact")
    assert run(third) == 0
    hashes = [read(f, "manifest.json") for f in (first, second, third)]
    assert hashes[1]["base_weights_sha256"] == hashes[0]["weights_sha256"]
    assert hashes[2]["base_weights_sha256"] == hashes[1]["weights_sha256"]


def test_a_loss_that_is_no_number_fails_the_job(base: Path, tmp_path: Path):
    """Although AutoTrain itself ends well."""
    folder = autotrain_job(
        tmp_path / "job", base, hyperparameters={"learning_rate": 1e30, "warmup_ratio": 0.0}
    )
    assert run(folder) == 1
    assert read(folder, "failure.json")["kind"] == "nan_loss"
    assert not (folder / "artifact").exists()


def test_a_failure_inside_autotrain_fails_the_job(base: Path, tmp_path: Path):
    """It ends with status 0; the error in its log is the diagnosis."""
    lora = {"rank": 4, "alpha": 8, "target_modules": ["no_such_module"]}
    folder = autotrain_job(tmp_path / "job", base, hyperparameters={"lora": lora})
    assert run(folder) == 1
    failure = read(folder, "failure.json")
    assert "no_such_module" in failure["message"]
    assert failure["remedy"]


def test_what_it_cannot_do_is_refused_before_anything_slow(base: Path, tmp_path: Path):
    """By the name of the setting."""
    folder = autotrain_job(tmp_path / "job", base, hyperparameters={"max_steps": 5})
    assert run(folder) == 1
    assert "max_steps" in read(folder, "failure.json")["message"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_ends_takes_autotrain_with_it(base: Path, tmp_path: Path, number: int):
    """Cancelled or killed: no process trains on; started again, the job begins anew."""
    folder = autotrain_job(tmp_path / "job", base, hyperparameters={"num_epochs": 100_000})
    with subprocess.Popen(
        [autotrain_python(), "-m", "agent_orchestrator.trainer", folder],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as worker:
        (child,) = wait(lambda: stepping(folder) and psutil.Process(worker.pid).children())
        os.kill(worker.pid, number)
        worker.wait(60)
        wait(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    assert (events(folder)[-1]["event"] == "cancelled") == (number == signal.SIGTERM)
    spec = read(folder, "spec.json")
    spec["hyperparameters"]["num_epochs"] = 1
    (folder / "spec.json").write_text(json.dumps(spec))
    assert run(folder) == 0


def stepping(folder: Path) -> bool:
    """Tell whether the job has told of a step."""
    progress = folder / "progress.jsonl"
    return progress.exists() and '"event": "step"' in progress.read_text()


def wait(look: Any) -> Any:
    """Look until there is something."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    pytest.fail("Nothing came.")


def test_the_environment_of_the_engine_is_the_one_that_is_documented():
    """Its requirements' pins are those that the manifest will name."""
    text = (ROOT / "agent_orchestrator/trainer/requirements-autotrain.txt").read_text()
    code = "import importlib.metadata as m; print(m.version('transformers'), m.version('trl'))"
    shown = subprocess.run(
        [autotrain_python(), "-c", code], capture_output=True, text=True, check=True
    )
    transformers, trl = shown.stdout.split()
    assert f"transformers=={transformers}\n" in text
    assert f"trl=={trl}\n" in text
