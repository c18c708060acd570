"""A training that runs out of memory, and one that has learnt all it can."""

import json
import subprocess
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

#: Runs the worker where, from one forward pass on, no more rows fit, as a GPU would say it.
SMALL_MEMORY = """
import sys
from pathlib import Path

import torch
from transformers import LlamaModel

forward, limit, passes = LlamaModel.forward, int(sys.argv[2]), int(sys.argv[3])

def run(self, input_ids=None, **kwargs):
    global passes
    passes -= self.training
    if self.training and passes < 0 and input_ids.shape[0] > limit:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return forward(self, input_ids=input_ids, **kwargs)

LlamaModel.forward = run

from agent_orchestrator.trainer.worker import run as work

sys.exit(work(Path(sys.argv[1])))
"""


def run_with_memory_for(rows: int, folder: Path, after: int = 0) -> int:
    """Run the worker on a machine whose memory holds so many rows; return its exit status.

    The first ``after`` forward passes find room for all.
    """
    with (folder / "worker.log").open("wb") as log:
        return subprocess.run(
            [trainer_python(), "-c", SMALL_MEMORY, folder, str(rows), str(after)],
            env=environment(),
            stdout=log,
            stderr=log,
            check=False,
        ).returncode


def read(folder: Path, name: str) -> dict[str, Any]:
    """Return one of the job's JSON files."""
    data: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return data


def test_a_batch_that_does_not_fit_is_halved_until_it_does(base: Path, tmp_path: Path):
    """The steps stay the same, and the progress, the manifest and the model card say it."""
    folder = job_folder(tmp_path / "job", base, hyperparameters={"batch_size": 8})
    assert run_with_memory_for(3, folder) == 0, (folder / "worker.log").read_text()[-2000:]
    manifest = read(folder, "manifest.json")
    said = "trained with batch_size 2 and gradient_accumulation 4"
    assert any(said in note for note in manifest["notes"])
    assert said in (folder / "artifact" / "README.md").read_text()
    assert manifest["hyperparameters"]["batch_size"] == 8
    assert manifest["metrics"]["steps"] == 5
    told = [event["message"] for event in events(folder) if "out of memory" in event["message"]]
    assert len(told) == 2
    assert told[-1].endswith("going on with 2, gradient_accumulation 4")
    assert read(folder, "batch.json") == {"batch_size": 2, "gradient_accumulation": 4}


@pytest.mark.slow
def test_memory_that_runs_out_in_the_midst_changes_nothing_else(base: Path, tmp_path: Path):
    """The training goes on from its last checkpoint and ends as one with more memory does."""
    parameters = {"batch_size": 8, "max_steps": 9, "checkpoint_steps": 2}
    short, ample = (
        job_folder(tmp_path / name, base, hyperparameters=parameters) for name in ("one", "two")
    )
    assert [run_with_memory_for(4, short, after=5), run_with_memory_for(8, ample)] == [0, 0]
    assert any("resuming from checkpoint-4" in event["message"] for event in events(short))
    one, two = (read(folder, "manifest.json")["metrics"] for folder in (short, ample))
    assert one["steps"] == two["steps"]
    assert one["tokens"] == two["tokens"]
    assert one["train_loss_final"] == pytest.approx(two["train_loss_final"], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"batch_size": 1}, {"auto_batch_size": False}])
def test_a_memory_that_holds_nothing_fails_the_job(
    base: Path, tmp_path: Path, changes: dict[str, Any]
):
    """The diagnosis names the setting to change."""
    folder = job_folder(tmp_path / "job", base, hyperparameters=changes)
    assert run_with_memory_for(0, folder) == 1
    failure = read(folder, "failure.json")
    assert failure["kind"] == "out_of_memory"
    assert "batch_size" in failure["remedy"]
    assert "max_length" in failure["remedy"]


def test_a_training_ends_when_it_has_learnt_all_it_can(base: Path, tmp_path: Path):
    """On rows of noise the validation loss soon rises: the best weights are the result."""
    parameters = {
        "max_steps": 60,
        "learning_rate": 3e-2,
        "early_stopping": 2,
        "eval_steps": 4,
        "checkpoint_steps": 4,
    }
    files = {"train": "train.jsonl", "validation": "validation.jsonl"}
    folder = job_folder(tmp_path / "job", base, dataset=files, hyperparameters=parameters)
    write_rows(folder / "train.jsonl", ROWS[:6])
    write_rows(folder / "validation.jsonl", ROWS[12:])
    assert run_worker(folder) == 0, (folder / "worker.log").read_text()[-2000:]
    measured = read(folder, "manifest.json")["metrics"]
    seen = [(e["step"], e["loss"]) for e in events(folder) if e["event"] == "validation"]
    best_step, best = min(seen, key=lambda pair: pair[1])
    assert measured["best_step"] == best_step
    assert measured["steps"] == seen[-1][0] == best_step + 8 < 60
    assert measured["validation_loss"] == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({}, "needs dataset.validation"), ({"method": "grpo"}, "grpo has no validation loss")],
)
def test_early_stopping_needs_a_validation_loss(
    base: Path, tmp_path: Path, changes: dict[str, Any], said: str
):
    """It is refused where there would be none."""
    dataset = {"train": "train.jsonl", **({"validation": "v.jsonl"} if changes else {})}
    parameters = {"early_stopping": 1}
    folder = job_folder(
        tmp_path / "job", base, dataset=dataset, hyperparameters=parameters, **changes
    )
    assert run_worker(folder) == 1
    assert said in read(folder, "failure.json")["message"]
