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

#: Runs the worker where more than LIMIT rows at once do not fit, as a GPU would say it.
SMALL_MEMORY = """
import sys
from pathlib import Path

import torch
from transformers import LlamaModel

forward, limit = LlamaModel.forward, int(sys.argv[2])

def run(self, input_ids=None, **kwargs):
    if self.training and input_ids.shape[0] > limit:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return forward(self, input_ids=input_ids, **kwargs)

LlamaModel.forward = run

from agent_orchestrator.trainer.worker import run as work

sys.exit(work(Path(sys.argv[1])))
"""


def run_with_memory_for(rows: int, folder: Path) -> int:
    """Run the worker on a machine whose memory holds so many rows; return its exit status."""
    with (folder / "worker.log").open("wb") as log:
        return subprocess.run(
            [trainer_python(), "-c", SMALL_MEMORY, folder, str(rows)],
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
