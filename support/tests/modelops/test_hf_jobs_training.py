"""HF Jobs with real workers: the double runs each job's command as a process of this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.hub import USER, HubDouble
from tests.doubles.hub_workshop import jobs_backend, publish, really_run
from tests.doubles.workshop import autotrain_python, tiny_base, training_spec

from agent_orchestrator.domain.jobs import TERMINAL, Progress
from agent_orchestrator.domain.training import TrainingSpec

pytestmark = [pytest.mark.trainer, pytest.mark.slow]

JOB = "job_2026-11-20_ab12cd34"
BY_EPOCHS = {"max_steps": None, "num_epochs": 2}
REF = {"job_id": JOB}
REPO = f"{USER}/code-chef-job-2026-11-20_ab12cd34"


@pytest.fixture
def hub(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubDouble]:
    """Return a Hub with a base model, whose jobs really run."""
    with HubDouble() as double:
        publish(double, "acme/tiny", tiny_base(tmp_path_factory.getbasetemp().parent))
        really_run(double, tmp_path)
        yield double


def spec(**changes: Any) -> TrainingSpec:
    """Return a training of seconds."""
    given = {"base_model": "acme/tiny", "output_model": f"{USER}/better", "hardware": "t4-small"}
    return training_spec(**{**given, "max_seconds": 3600.0, "card": {"license": "mit"}, **changes})


def wait(look: Callable[[], Progress], until: Callable[[Progress], bool]) -> Progress:
    """Poll until the job stands so."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        progress = look()
        if until(progress):
            return progress
        assert progress.status not in TERMINAL, progress
        time.sleep(0.2)
    pytest.fail("The job did not come so far.")


def has_ended(progress: Progress) -> bool:
    """Tell whether a job has ended."""
    return progress.status in TERMINAL


def test_a_model_is_trained_and_pushed(hub: HubDouble, tmp_path: Path):
    """From submission to a private model repository of safetensors with its card."""
    backend = jobs_backend(hub, tmp_path)
    backend.submit(JOB, spec())
    progress = wait(lambda: backend.poll(REF), has_ended)
    assert progress.status == "completed", (progress, hub.jobs.all()[0].lines[-20:])
    assert progress.result is not None
    assert progress.current_step == progress.total_steps == 5
    assert progress.result["weights_sha256"] != progress.result["base_weights_sha256"]
    assert progress.result["hub_url"] == f"{hub.url}/{USER}/better"
    model = hub.repos.get("model", f"{USER}/better")
    assert model.private
    assert "model.safetensors" in model.files
    assert not any(path.endswith((".bin", ".pt", ".pkl")) for path in model.files)
    card = model.page()["cardData"]
    assert (card["base_model"], card["base_model_relation"]) == ("acme/tiny", "finetune")
    assert (card["license"], card["datasets"]) == ("mit", ["say-it"])
    left = set(hub.repos.get("dataset", REPO).files)
    assert {"manifest.json", "progress.jsonl"} <= left
    assert not any(path.startswith("checkpoints/") for path in left)


def test_autotrain_trains_and_pushes(hub: HubDouble, tmp_path: Path):
    """Its environment reads the job, tells of its progress and publishes, with an old client."""
    really_run(hub, tmp_path, python=autotrain_python())
    backend = jobs_backend(hub, tmp_path)
    backend.submit(JOB, spec(engine="autotrain", hyperparameters=BY_EPOCHS))
    progress = wait(lambda: backend.poll(REF), has_ended)
    assert progress.status == "completed", (progress, hub.jobs.all()[0].lines[-20:])
    assert progress.result is not None
    assert progress.result["engine"] == "autotrain"
    assert progress.current_step == progress.total_steps == 6
    assert progress.result["weights_sha256"] != progress.result["base_weights_sha256"]
    assert "model.safetensors" in hub.repos.get("model", f"{USER}/better").files
    assert "manifest.json" in hub.repos.get("dataset", REPO).files


def test_a_training_whose_machine_is_lost_goes_on_on_another(hub: HubDouble, tmp_path: Path):
    """From the checkpoint in the repository, by another process of ours; to the last step."""
    longer = spec(hyperparameters={"max_steps": 1200, "checkpoint_steps": 100})
    jobs_backend(hub, tmp_path).submit(JOB, longer)
    (first,) = hub.jobs.all()

    def checkpoints() -> set[str]:
        files = hub.repos.get("dataset", REPO).files
        return {path.split("/")[1] for path in files if path.endswith("/complete")}

    backend = jobs_backend(hub, tmp_path)
    wait(lambda: backend.poll(REF), lambda _progress: bool(checkpoints()))
    hub.jobs.overrun(first.id)
    cut_off = wait(lambda: backend.poll(REF), has_ended)
    assert cut_off.failure is not None
    assert cut_off.failure.kind == "timeout"
    assert backend.go_on(REF)
    progress = wait(lambda: backend.poll(REF), has_ended)
    assert progress.status == "completed", (progress, hub.jobs.all()[-1].lines[-20:])
    assert progress.current_step == 1200
    second = hub.jobs.all()[-1]
    told = [json.loads(line[14:]) for line in second.lines if line.startswith("chef-progress ")]
    assert any("resuming from checkpoint-" in event["message"] for event in told)
    assert all(event["step"] > 100 for event in told if event["event"] == "step")


def test_a_running_training_is_cancelled(hub: HubDouble, tmp_path: Path):
    """Its worker is asked to stop, and its checkpoint is kept."""
    backend = jobs_backend(hub, tmp_path)
    backend.submit(JOB, spec(hyperparameters={"max_steps": 100_000}))
    wait(lambda: backend.poll(REF), lambda progress: (progress.current_step or 0) > 2)
    backend.cancel(REF)
    assert wait(lambda: backend.poll(REF), has_ended).status == "cancelled"
    kept = hub.repos.get("dataset", REPO).files
    assert any(path.endswith("/complete") for path in kept)


def test_a_gated_base_is_diagnosed_by_the_worker(hub: HubDouble, tmp_path: Path):
    """What the Hub refuses to the machine arrives here as a failure with its remedy."""
    hub.repos.get("model", "acme/tiny").gated = "manual"
    hub.repos.add("model", "meta/gated", {"config.json": "{}"}, gated="manual")
    backend = jobs_backend(hub, tmp_path)
    backend.submit(JOB, spec(base_model="meta/gated"))
    failure = wait(lambda: backend.poll(REF), has_ended).failure
    assert failure is not None
    assert (failure.kind, "licence" in failure.remedy) == ("gated_model", True)
