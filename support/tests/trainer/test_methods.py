"""Preference and reward training, really done on a tiny model that already answers in words."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.workshop import job_folder, run_worker, write_rows

pytestmark = pytest.mark.trainer

WORDS = ("yes", "no", "maybe", "1")
ASKED = [f"Say a word {number}." for number in range(8)]


def train(folder: Path, base: Path, rows: Sequence[Mapping[str, Any]], **spec: Any) -> int:
    """Run a job on ``rows``, of which some are held out; return its exit status."""
    files = {"train": "train.jsonl", "validation": "validation.jsonl"}
    job_folder(folder, base, dataset=files, **spec)
    write_rows(folder / "train.jsonl", rows)
    write_rows(folder / "validation.jsonl", rows[:4])
    return run_worker(folder)


def metrics(folder: Path) -> dict[str, Any]:
    """Return what a completed job measured."""
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())["metrics"]
    return found


@pytest.fixture(scope="module")
def speaker(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that answers with one of four words, each about as often."""
    folder = tmp_path_factory.mktemp("speaker") / "job_speaker"
    rows = [{"prompt": asked, "completion": word} for asked in ASKED for word in WORDS]
    parameters = {"max_steps": 150, "learning_rate": 1e-2}
    assert train(folder, base, rows, hyperparameters=parameters) == 0
    return folder / "artifact"


@pytest.mark.parametrize("lora", [None, {"rank": 8, "alpha": 16}])
def test_dpo_teaches_to_prefer_the_chosen_answer(
    speaker: Path, tmp_path: Path, lora: dict[str, int] | None
):
    """With all weights, and with adapters that are merged."""
    rows = [{"prompt": asked, "chosen": "yes", "rejected": "no"} for asked in ASKED]
    parameters = {"max_steps": 20, "learning_rate": 1e-2, "lora": lora}
    folder = tmp_path / "job_dpo"
    assert train(folder, speaker, rows, method="dpo", hyperparameters=parameters) == 0
    measured = metrics(folder)
    assert measured["preference_accuracy_final"] == 1.0
    assert measured["reward_margin_first"] == 0.0
    assert measured["reward_margin_final"] > 0.01
    assert measured["validation_loss"] < measured["train_loss_first"]
    assert not list((folder / "artifact").glob("*adapter*"))


def test_grpo_raises_the_reward(speaker: Path, tmp_path: Path):
    """From one answer in four to most, by comparing answers of its own."""
    rows = [{"problem": asked, "solution": "yes"} for asked in ASKED]
    parameters = {
        "max_steps": 25,
        "batch_size": 16,
        "learning_rate": 3e-3,
        "max_completion_length": 8,
    }
    folder = tmp_path / "job_grpo"
    assert train(folder, speaker, rows, method="grpo", hyperparameters=parameters) == 0
    measured = metrics(folder)
    assert measured["reward_first"] < 0.6
    assert measured["validation_reward"] > 0.7
    assert measured["tokens"] > 0


def test_grpo_that_earns_nothing_is_no_training(base: Path, tmp_path: Path):
    """The failure says what to try instead."""
    rows = [{"problem": asked, "solution": "something it never says"} for asked in ASKED]
    parameters = {"max_steps": 2, "max_completion_length": 4}
    folder = tmp_path / "job_grpo"
    assert train(folder, base, rows, method="grpo", hyperparameters=parameters) == 1
    failure = json.loads((folder / "failure.json").read_text())
    assert failure["kind"] == "no_reward"
    assert "exact_match" in failure["message"]


@pytest.mark.parametrize(
    ("method", "row", "column"),
    [
        ("dpo", {"prompt": "Say.", "chosen": "yes"}, "'rejected'"),
        ("dpo", {"prompt": "Say.", "chosen": "yes", "rejected": "yes"}, "'rejected'"),
        ("dpo", {"chosen": "yes", "rejected": "no"}, "'prompt'"),
        ("grpo", {"problem": "Say."}, "'solution'"),
        ("grpo", {"solution": "yes"}, "'problem'"),
    ],
)
def test_a_row_that_does_not_fit_the_method_is_found_first(
    base: Path, tmp_path: Path, method: str, row: dict[str, str], column: str
):
    """Before anything slow, by its column."""
    folder = tmp_path / "job_bad"
    assert train(folder, base, [row], method=method) == 1
    failure = json.loads((folder / "failure.json").read_text())
    assert failure["kind"] == "bad_column"
    assert column in failure["message"]
