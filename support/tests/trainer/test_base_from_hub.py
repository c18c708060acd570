"""Base models of the Hub, for both engines: trained from there, or gated and explained."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.hub import READ, HubDouble
from tests.doubles.workshop import autotrain_python, job_folder, run_worker, trainer_python

pytestmark = [pytest.mark.trainer, pytest.mark.slow]

ENGINES = {"trl": trainer_python, "autotrain": autotrain_python}


@pytest.fixture
def hub(base: Path) -> Iterator[HubDouble]:
    """Return a Hub with an open and a gated model."""
    files = {path.name: path.read_bytes() for path in base.iterdir()}
    with HubDouble() as hub:
        hub.repos.add("model", "other/open", files)
        hub.repos.add("model", "other/gated", files, gated="manual")
        yield hub


def run(hub: HubDouble, folder: Path, engine: str) -> int:
    """Run the worker with this Hub; return its exit status."""
    variables = {**hub.environment(READ), "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "0"}
    return run_worker(folder, python=ENGINES[engine](), **variables)


def job(folder: Path, base: str, engine: str) -> Path:
    """Make the folder of a short training."""
    steps: dict[str, Any] = {"max_steps": None, "num_epochs": 2} if engine == "autotrain" else {}
    return job_folder(folder, base, engine=engine, hyperparameters=steps)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_base_model_is_taken_from_the_hub(hub: HubDouble, tmp_path: Path, engine: str):
    """By its name, and the card names it."""
    folder = job(tmp_path / "job", "other/open", engine)
    assert run(hub, folder, engine) == 0, (folder / "worker.log").read_text()[-3000:]
    assert 'base_model: "other/open"' in (folder / "artifact" / "README.md").read_text()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_gated_base_model_is_explained(hub: HubDouble, tmp_path: Path, engine: str):
    """What to accept and which token to set; the token itself is nowhere."""
    folder = job(tmp_path / "job", "other/gated", engine)
    assert run(hub, folder, engine) == 1
    failure = json.loads((folder / "failure.json").read_text())
    assert failure["kind"] == "gated_model", failure
    assert "HUGGINGFACE_TOKEN" in failure["remedy"]
    assert READ not in (folder / "worker.log").read_text()
