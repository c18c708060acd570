"""Jobs on this machine as processes: killed, restarted around, out of room, found again."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.doubles import workshop
from tests.doubles.workshop import local_backend, training_spec

from agent_orchestrator.agents.infrastructure.modelops.backends import job_folder
from agent_orchestrator.agents.infrastructure.modelops.backends.job_folder import JobFolder
from agent_orchestrator.agents.infrastructure.modelops.backends.local import LocalBackend
from agent_orchestrator.domain.jobs import TERMINAL, Progress
from agent_orchestrator.errors import (
    ConfigurationError,
    InputError,
    ModelIdError,
    NotFoundError,
    StorageError,
)

STEP = {"event": "step", "step": 3, "total_steps": 9, "loss": 0.5, "learning_rate": 1e-3}


def script(folder: Path, text: str) -> Path:
    """Write a program that stands in for the interpreter and gets ``-m …trainer JOB_DIR``."""
    path = folder / "interpreter"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def backend(folder: Path, program: str) -> LocalBackend:
    """Return a backend whose worker is a shell program; ``$3`` is the job's folder."""
    return LocalBackend(
        jobs_dir=folder / "jobs",
        artifacts_dir=folder / "artifacts",
        trainer_python=script(folder, program),
        environment={"PATH": os.environ["PATH"], "SECRET": "s", "HUGGINGFACE_TOKEN": "hf_x"},
    )


def wait(poll: Callable[[], Progress], until: Callable[[Progress], bool]) -> Progress:
    """Poll until the job stands so."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        progress = poll()
        if until(progress):
            return progress
        time.sleep(0.02)
    pytest.fail(f"The job did not come so far: {progress}")


def ended(progress: Progress) -> bool:
    """Tell whether the job has ended."""
    return progress.status in TERMINAL


def process_of(folder: Path) -> psutil.Process:
    """Return a job's process."""
    return psutil.Process(json.loads((folder / "process.json").read_text())["pid"])


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of jobs; what still runs in the end is killed."""
    yield tmp_path / "jobs"
    for record in (tmp_path / "jobs").glob("*/process.json"):
        try:
            os.killpg(json.loads(record.read_text())["pid"], signal.SIGKILL)
        except ProcessLookupError:
            continue


# -- with a real worker ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a base model that trains in seconds."""
    return workshop.tiny_base(tmp_path_factory.getbasetemp().parent)


ENDLESS: dict[str, Any] = {"hyperparameters": {"max_steps": 100_000}}


@pytest.mark.trainer
def test_a_worker_killed_while_training_fails_its_job(base: Path, tmp_path: Path, jobs: Path):
    """Kill -9 in the middle of a step: failed, killed, no artifact."""
    backend = local_backend(tmp_path, base)
    ref = backend.submit("job_1", training_spec(**ENDLESS))
    wait(lambda: backend.poll(ref), lambda progress: bool(progress.current_step))
    process_of(jobs / "job_1").kill()
    progress = wait(lambda: backend.poll(ref), ended)
    assert progress.status == "failed"
    assert progress.failure is not None
    assert progress.failure.kind == "killed"
    assert not (tmp_path / "artifacts" / "local" / "better").exists()


@pytest.mark.trainer
def test_a_job_outlives_the_process_that_submitted_it(base: Path, tmp_path: Path, jobs: Path):
    """Another process submits and ends; this one follows the job to its manifest."""
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.doubles.workshop import local_backend, training_spec\n"
        "backend = local_backend(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "backend.submit('job_1', training_spec())\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, tmp_path, base],
        env={**os.environ, "PYTHONPATH": str(workshop.ROOT / "support")},
        check=True,
    )
    backend = local_backend(tmp_path, base)
    progress = wait(lambda: backend.poll({"folder": str(jobs / "job_1")}), ended)
    assert progress.status == "completed", progress
    assert (tmp_path / "artifacts" / "local" / "better" / "model.safetensors").is_file()


@pytest.mark.trainer
def test_a_cancelled_worker_leaves_its_checkpoint(base: Path, tmp_path: Path, jobs: Path):
    """Cancelling lets the worker save what it has."""
    backend = local_backend(tmp_path, base)
    ref = backend.submit("job_1", training_spec(**ENDLESS))
    wait(lambda: backend.poll(ref), lambda progress: bool(progress.current_step))
    backend.cancel(ref)
    assert wait(lambda: backend.poll(ref), ended).status == "cancelled"
    assert list((jobs / "job_1" / "checkpoints").glob("checkpoint-*/model.safetensors"))


@pytest.mark.slow
@pytest.mark.trainer
def test_a_killed_job_is_resumed_under_its_own_id(base: Path, tmp_path: Path, jobs: Path):
    """From its last checkpoint; while it runs, and once it is completed, nothing is started."""
    backend = local_backend(tmp_path, base)
    steps = {"max_steps": 400, "checkpoint_steps": 5}
    ref = backend.submit("job_1", training_spec(hyperparameters=steps))
    checkpoints = jobs / "job_1" / "checkpoints"
    wait(lambda: backend.poll(ref), lambda _: bool(list(checkpoints.glob("*/complete"))))
    process_of(jobs / "job_1").kill()
    assert wait(lambda: backend.poll(ref), ended).status == "failed"
    backend.resume({"job_id": "job_1"})
    process = process_of(jobs / "job_1")
    backend.resume(ref)
    assert process_of(jobs / "job_1") == process
    progress = wait(lambda: backend.poll(ref), ended)
    assert (progress.status, progress.failure) == ("completed", None)
    assert [step for step, _ in progress.losses] == sorted({step for step, _ in progress.losses})
    told = (jobs / "job_1" / "progress.jsonl").read_text()
    assert "resuming from checkpoint-" in told
    backend.resume(ref)
    assert (jobs / "job_1" / "progress.jsonl").read_text() == told
    with pytest.raises(NotFoundError):
        backend.resume({"job_id": "job_2"})


# -- with a program in the worker's place: what the folder alone can tell -------------------------


def test_a_missing_interpreter_is_said_before_anything_starts(tmp_path: Path):
    """The message says how to get one, and no job folder is left."""
    backend = LocalBackend(tmp_path / "jobs", tmp_path, tmp_path / "none", {})
    with pytest.raises(ConfigurationError, match="make setup-trainer"):
        backend.submit("job_1", training_spec())
    with pytest.raises(ConfigurationError, match="make setup-autotrain"):
        backend.submit("job_1", training_spec(method="orpo", engine="autotrain"))
    assert not (tmp_path / "jobs").exists()


@pytest.mark.parametrize("job_id", ["", "..", "../x", "a/b", "/x", "a b", ".hidden", "x\n"])
def test_a_job_id_cannot_lead_out_of_the_jobs_folder(tmp_path: Path, job_id: str):
    """A job's id becomes a folder's name."""
    with pytest.raises(InputError):
        backend(tmp_path, "true").submit(job_id, training_spec())


@pytest.mark.parametrize("model", ["../x", "a/../../x", "/x", "a//b", ""])
def test_an_artifact_cannot_land_outside_its_folder(tmp_path: Path, model: str):
    """The output's id becomes a path."""
    with pytest.raises(ModelIdError):
        backend(tmp_path, "true").submit("job_1", training_spec(output_model=model))


@pytest.mark.parametrize(
    ("model", "given"),
    [
        ("local/mine", "{artifacts}/local/mine"),
        ("owner/on-the-hub", "owner/on-the-hub"),
        ("../outside", "../outside"),
    ],
)
def test_a_base_model_is_looked_for_among_our_artifacts_first(
    tmp_path: Path, model: str, given: str
):
    """What is not there, or would lead out, is left as it was named."""
    for folder in (tmp_path / "artifacts" / "local" / "mine", tmp_path / "outside"):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    backend(tmp_path, "true").submit("job_1", training_spec(model))
    spec = json.loads((tmp_path / "jobs" / "job_1" / "spec.json").read_text())
    assert spec["base_model"] == given.format(artifacts=tmp_path / "artifacts")


def test_the_worker_gets_what_it_needs_of_the_environment_and_no_more(tmp_path: Path, jobs: Path):
    """The Hub's token goes along; no other secret does."""
    local = backend(tmp_path, 'env > "$3/environment"')
    ref = local.submit("job_1", training_spec())
    wait(lambda: local.poll(ref), ended)
    told = (jobs / "job_1" / "environment").read_text()
    assert "HUGGINGFACE_TOKEN=hf_x" in told
    assert "SECRET" not in told


def test_the_worker_is_detached(tmp_path: Path, jobs: Path):
    """It leads a session of its own, so that a closed terminal does not end it."""
    local = backend(tmp_path, "sleep 60")
    local.submit("job_1", training_spec())
    process = process_of(jobs / "job_1")
    assert os.getsid(process.pid) == process.pid != os.getsid(0)


def test_many_submissions_at_once_start_one_process(tmp_path: Path, jobs: Path):
    """Eight threads submit the same id; one worker starts, all get the same reference."""
    local = backend(tmp_path, 'echo started >> "$3/starts"; sleep 60')
    with ThreadPoolExecutor(8) as pool:
        refs = list(pool.map(lambda _: local.submit("job_1", training_spec()), range(8)))
    assert all(ref == refs[0] for ref in refs)
    starts = jobs / "job_1" / "starts"
    wait(lambda: local.poll(refs[0]), lambda _: starts.exists() and starts.read_text() != "")
    assert starts.read_text() == "started\n"
    assert [path.name for path in jobs.iterdir()] == ["job_1"]


def test_a_process_number_that_was_used_again_is_not_the_worker(tmp_path: Path, jobs: Path):
    """After a restart another program may have the number: the job is not running."""
    local = backend(tmp_path, "true")
    ref = local.submit("job_1", training_spec())
    wait(lambda: local.poll(ref), ended)
    (jobs / "job_1" / "process.json").write_text(json.dumps({"pid": os.getpid()}))
    assert local.poll(ref).status == "failed"
    local.cancel(ref)  # must not send this test a signal


def test_a_line_that_is_being_written_is_left_for_the_next_look(tmp_path: Path, jobs: Path):
    """A torn last line, and lines that are no objects, do not disturb the others."""
    local = backend(tmp_path, "sleep 60")
    ref = local.submit("job_1", training_spec())
    whole = json.dumps(STEP)
    (jobs / "job_1" / "progress.jsonl").write_text(f"{whole}\n7\n{whole[:-9]}")
    progress = local.poll(ref)
    assert (progress.status, progress.current_step, progress.total_steps) == ("running", 3, 9)
    assert progress.losses == ((3, 0.5),)


def test_a_process_that_ignores_the_request_is_killed_by_a_later_look(tmp_path: Path, jobs: Path):
    """After the grace time the job is cancelled whether its process wants or not."""
    deaf = 'trap "" TERM; echo up > "$3/up"; while :; do sleep 0.05; done'
    local = replace(backend(tmp_path, deaf), grace_seconds=0.1)
    ref = local.submit("job_1", training_spec())
    wait(lambda: local.poll(ref), lambda _: (jobs / "job_1" / "up").exists())
    local.cancel(ref)
    assert wait(lambda: local.poll(ref), ended).status == "cancelled"


@pytest.mark.parametrize(
    ("program", "kind", "said"),
    [
        ("exit 1", "killed", "without a word"),
        ("kill -9 $$", "killed", "without a word"),
        ("echo 'OSError: [Errno 28] No space left on device'; exit 1", "disk_full", "No space"),
        ("echo 'MemoryError'; exit 1", "out_of_memory", "MemoryError"),
        (
            "echo 'Traceback (most recent call last)'; echo 'ImportError: no torch'; exit 1",
            "unknown",
            "ImportError: no torch",
        ),
        (
            """echo '{"kind": "gated_model", "message": "m"}' > "$3/failure.json" """,
            "gated_model",
            "m",
        ),
        (
            """echo '{"event":"failed","message":"m","kind":"timeout"}' > "$3/progress.jsonl" """,
            "timeout",
            "m",
        ),
        ("""echo '{"kind": "new", "message": "m"}' > "$3/failure.json" """, "unknown", "m"),
    ],
)
def test_a_worker_that_ended_without_a_manifest_has_failed(
    tmp_path: Path, program: str, kind: str, said: str
):
    """The best diagnosis that the folder holds, and never ``completed``."""
    local = backend(tmp_path, program)
    ref = local.submit("job_1", training_spec())
    progress = wait(lambda: local.poll(ref), ended)
    assert progress.status == "failed"
    assert progress.failure is not None
    assert progress.failure.kind == kind
    assert said in progress.failure.message


def test_half_a_manifest_does_not_complete_a_job(tmp_path: Path):
    """A torn manifest is as good as none."""
    local = backend(tmp_path, """printf '{"status": "comp' > "$3/manifest.json" """)
    ref = local.submit("job_1", training_spec())
    assert wait(lambda: local.poll(ref), ended).status == "failed"


def test_a_dead_worker_leaves_no_zombie(tmp_path: Path, jobs: Path):
    """Polling reaps a worker that was our child."""
    local = backend(tmp_path, "true")
    ref = local.submit("job_1", training_spec())
    pid = process_of(jobs / "job_1").pid
    wait(lambda: local.poll(ref), ended)
    assert not psutil.pid_exists(pid)


def test_a_worker_that_dies_while_it_is_looked_at_leaves_no_zombie(
    tmp_path: Path, jobs: Path, monkeypatch: pytest.MonkeyPatch
):
    """It lives at the first look at its process and is dead at the second: it is reaped, too."""
    local = backend(tmp_path, "sleep 60")
    ref = local.submit("job_1", training_spec())
    worker = process_of(jobs / "job_1")

    def look(process: psutil.Process) -> list[str]:
        process.kill()
        while process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.001)
        return process.cmdline()

    monkeypatch.setattr(job_folder, "_command_line", look)
    assert local.poll(ref).status == "failed"
    assert not psutil.pid_exists(worker.pid)


def test_a_folder_that_was_removed_is_not_found(tmp_path: Path, jobs: Path):
    """A job whose folder is gone is unknown, not failed."""
    with pytest.raises(NotFoundError):
        backend(tmp_path, "true").poll({"folder": str(jobs / "job_9")})


def test_a_job_that_cannot_be_written_down_does_not_start(tmp_path: Path):
    """Where no folder can be made, the submission says so."""
    (tmp_path / "jobs").write_text("a file stands in the way")
    with pytest.raises(StorageError):
        backend(tmp_path, "true").submit("job_1", training_spec())


def test_a_job_whose_process_could_not_be_recorded_is_stopped(tmp_path: Path):
    """A process that nobody could find again must not go on running."""
    folder = JobFolder(tmp_path / "job_1")
    folder.create({})
    (folder.path / "process.json").symlink_to("/dev/null/there-is-no-folder")
    program = script(tmp_path, f'echo $$ > "{tmp_path}/pid"; exec sleep 60')
    with pytest.raises(StorageError):
        folder.start((str(program),), {"PATH": os.environ["PATH"]})
    pid = tmp_path / "pid"  # not there when it was stopped before it came so far
    assert not pid.exists() or not psutil.pid_exists(int(pid.read_text() or "-1"))
