"""Carrying a job of a Hub repository: what is printed, what is kept, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from tests.doubles.hub import USER, WRITE, HubDouble

REPO = f"{USER}/code-chef-job-1"
WORKER = """
    import json, pathlib, shutil, signal, sys, time
    folder = pathlib.Path(sys.argv[1])
    steps, seconds, end = int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]

    def tell(event, **values):
        with (folder / "progress.jsonl").open("a") as file:
            file.write(json.dumps({"event": event, "message": event, **values}) + "\\n")

    def checkpoint(step):
        made = folder / "checkpoints" / f"checkpoint-{step}"
        made.mkdir(parents=True)
        (made / "model.safetensors").write_bytes(bytes([step]) * 100)
        (made / "complete").touch()
        tell("checkpoint", step=step)

    def stop(*_):
        checkpoint(step + 100)
        tell("cancelled")
        sys.exit(143)

    if end == "mute":
        time.sleep(60)
    signal.signal(signal.SIGTERM, stop)
    tell("started")
    step = 0
    for step in range(1, steps + 1):
        time.sleep(seconds)
        tell("step", step=step, loss=1 / step)
        checkpoint(step)
    if end == "kill":
        signal.raise_signal(signal.SIGKILL)
    name = "failure" if end == "fail" else "manifest"
    (folder / f"{name}.json").write_text(json.dumps({"kind": "nan_loss"}))
    sys.exit(end == "fail")
"""
LAUNCH = """
    import sys
    from pathlib import Path
    from agent_orchestrator.trainer import hub_job
    folder, repo, after, pause = sys.argv[1:5]
    store = hub_job.Repository(repo, "hf_write", first_pause_s=float(pause))
    command = (sys.executable, *sys.argv[5:])
    told = Path(folder) / "progress.jsonl"

    def clock():
        return float(told.read_bytes().count(b"\\n")) if told.exists() else 0.0

    sys.exit(hub_job.work(Path(folder), store, float(after) or None, command, clock))
"""


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    """Return a Hub with an empty job repository."""
    with HubDouble() as double:
        double.repos.add("dataset", REPO, {"spec.json": "{}"}, private=True)
        yield double


def run(
    hub: HubDouble, folder: Path, *how: str, after: float = 0, pause: float = 0.01
) -> subprocess.Popen[str]:
    """Start the carrier with a worker that goes ``how``: steps, seconds a step, its end.

    Its time is over ``after`` so many events; a clock would run while the worker still starts.
    """
    folder.mkdir(exist_ok=True)
    script = folder.parent / "worker.py"
    script.write_text(textwrap.dedent(WORKER))
    launch = ("-c", textwrap.dedent(LAUNCH), folder, REPO, str(after), str(pause))
    return subprocess.Popen(
        [sys.executable, *launch, script, folder, *how],
        env={**os.environ, **hub.environment(), "HF_HOME": str(folder.parent)},
        stdout=subprocess.PIPE,
        text=True,
    )


def files(hub: HubDouble) -> set[str]:
    """Return what lies in the job's repository."""
    return set(hub.repos.get("dataset", REPO).files) - {".gitattributes", "spec.json"}


def test_progress_is_printed_and_the_outcome_kept(hub: HubDouble, tmp_path: Path):
    """Each event once, marked; in the end the manifest is there, and no checkpoint any more."""
    (tmp_path / "job" / "tensorboard").mkdir(parents=True)
    (tmp_path / "job" / "tensorboard" / "events.1").write_bytes(b"e")
    process = run(hub, tmp_path / "job", "3", "0.05", "end")
    output, _ = process.communicate()
    assert process.returncode == 0
    told = [line.removeprefix("chef-progress ") for line in output.splitlines()]
    events = [json.loads(line)["event"] for line in told]
    assert events == ["started", *["step", "checkpoint"] * 3]
    assert files(hub) == {"manifest.json", "progress.jsonl", "tensorboard/events.1"}


def test_checkpoints_replace_one_another_while_the_training_goes_on(hub: HubDouble, tmp_path: Path):
    """At any time the repository has one whole checkpoint at most, with the progress up to it."""
    process = run(hub, tmp_path / "job", "14", "0.4", "fail")
    process.communicate()
    assert process.returncode == 1
    repo = hub.repos.get("dataset", REPO)
    seen = []
    for commit in repo.commits:
        steps = {path.split("/")[1] for path in commit.files if path.startswith("checkpoints/")}
        assert len(steps) <= 1
        if steps:
            (step,) = steps
            assert f"checkpoints/{step}/complete" in commit.files
            told = commit.files["progress.jsonl"].content.decode()
            assert f'"step": {step.rpartition("-")[2]}' in told
            seen.append(step)
    assert len(set(seen)) >= 2
    assert "failure.json" in files(hub)


def test_when_the_time_is_over_a_checkpoint_is_kept_to_go_on_from(hub: HubDouble, tmp_path: Path):
    """The worker is asked to stop; its last checkpoint goes up, and the status says try again."""
    process = run(hub, tmp_path / "job", "1000", "0.05", "end", after=5)
    process.communicate()
    assert process.returncode == 75
    kept = {path for path in files(hub) if path.endswith("complete")}
    (step,) = (int(path.split("-")[1].split("/")[0]) for path in kept)
    assert step > 100
    assert not {"manifest.json", "failure.json"} & files(hub)


def test_a_worker_that_had_not_begun_when_the_time_was_over_has_not_failed(
    hub: HubDouble, tmp_path: Path
):
    """There is nothing to carry yet; another machine begins."""
    process = run(hub, tmp_path / "job", "0", "0", "mute", after=-1)
    process.communicate()
    assert process.returncode == 75
    assert not files(hub)


def test_a_cancelled_job_keeps_its_checkpoint_too(hub: HubDouble, tmp_path: Path):
    """The signal is passed on to the worker."""
    process = run(hub, tmp_path / "job", "1000", "0.05", "end")
    assert process.stdout is not None
    for line in process.stdout:
        if '"step": 2' in line:
            process.send_signal(signal.SIGTERM)
            break
    process.communicate()
    assert process.returncode == 143
    assert any(path.endswith("complete") for path in files(hub))


def test_a_worker_that_is_killed_is_diagnosed(hub: HubDouble, tmp_path: Path):
    """It had no chance to write why."""
    process = run(hub, tmp_path / "job", "1", "0", "kill")
    process.communicate()
    assert process.returncode == 128 + signal.SIGKILL
    content = hub.repos.get("dataset", REPO).files["failure.json"].content
    assert json.loads(content)["kind"] == "out_of_memory"


def test_a_hub_that_stumbles_is_asked_again(hub: HubDouble, tmp_path: Path):
    """A fault or two do not lose what was trained; a refusal for good ends in the log."""
    hub.fail(500, path="/commit/", times=2)
    process = run(hub, tmp_path / "job", "0", "0", "end")
    process.communicate()
    assert process.returncode == 0
    assert "manifest.json" in files(hub)
    hub.fail(403, path="/preupload/", times=99)
    process = run(hub, tmp_path / "again", "0", "0", "end")
    process.communicate()
    assert process.returncode == 1


def test_another_machine_goes_on(hub: HubDouble, tmp_path: Path):
    """What was told before is not told again, and its checkpoint is replaced by the next."""
    folder = tmp_path / "job"
    process = run(hub, folder, "1000", "0.05", "end", after=5)
    process.communicate()
    elsewhere = tmp_path / "elsewhere"
    HfApi(endpoint=hub.url, token=WRITE).snapshot_download(
        REPO, repo_type="dataset", local_dir=elsewhere
    )
    before = len((elsewhere / "progress.jsonl").read_text().splitlines())
    process = run(hub, elsewhere, "0", "0", "end")
    output, _ = process.communicate()
    assert len(output.splitlines()) == 1
    told = hub.repos.get("dataset", REPO).files["progress.jsonl"].content.splitlines()
    assert len(told) == before + 1
    assert not any(path.startswith("checkpoints/") for path in files(hub))
