"""What a job's folder says when those who wrote into it died at a bad moment."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_orchestrator.agents.infrastructure.modelops.backends.job_folder import JobFolder
from agent_orchestrator.agents.infrastructure.modelops.backends.local import LocalBackend
from agent_orchestrator.errors import NotFoundError


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    """Return a job's folder in which nothing was started yet."""
    made = JobFolder(tmp_path / "job_1")
    assert made.create({"spec.json": b"{}"})
    return made


@pytest.fixture
def worker(folder: JobFolder) -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that looks like the job's: the folder ends its command line."""
    command = (sys.executable, "-c", "import time; time.sleep(60)", str(folder.path))
    with subprocess.Popen(command, start_new_session=True) as process:
        yield process
        process.kill()


def say(folder: JobFolder, **event: object) -> None:
    """Append a progress line."""
    with (folder.path / "progress.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")


def test_a_worker_says_which_process_it_is_when_who_started_it_died(
    folder: JobFolder, worker: subprocess.Popen[bytes]
):
    """Without process.json, the first event names the process: it is followed and cancelled."""
    say(folder, event="started", message="starting", pid=worker.pid)
    assert folder.progress().status == "running"
    folder.start(("/does/not/exist",), {})  # starts nothing: somebody has
    folder.cancel()
    assert worker.wait(60) == -signal.SIGTERM
    assert folder.progress().status == "cancelled"


def test_a_foreign_process_of_the_same_number_is_not_followed(folder: JobFolder):
    """The number in the first event may belong to somebody else by now."""
    say(folder, event="started", message="starting", pid=os.getpid())
    assert folder.progress().status == "failed"


def test_a_folder_without_a_process_waits_for_it_and_then_gives_up(folder: JobFolder):
    """Who made the folder may still start the process; after a minute nobody will."""
    assert folder.progress().status == "pending"
    long_ago = time.time() - 3600
    os.utime(folder.path, (long_ago, long_ago))
    progress = folder.progress()
    assert progress.status == "failed"
    assert progress.failure.kind == "killed"
    assert progress.failure.remedy


@pytest.mark.parametrize("record", ["", "[]", '{"pid": "x"}', '{"pid"'])
def test_an_unreadable_record_of_the_process_is_as_good_as_none(folder: JobFolder, record: str):
    """Torn or foreign content does not break the look at the job."""
    (folder.path / "process.json").write_text(record)
    (folder.path / "cancel.json").write_text("{")
    assert folder.progress().status == "cancelled"


def test_a_manifest_wins_over_a_cancellation_that_came_too_late(
    folder: JobFolder, worker: subprocess.Popen[bytes]
):
    """A job that had finished when it was asked to stop is completed."""
    (folder.path / "process.json").write_text(json.dumps({"pid": worker.pid}))
    (folder.path / "manifest.json").write_text('{"status": "completed"}')
    folder.cancel()
    worker.wait(60)
    assert folder.progress().status == "completed"


def test_a_job_can_be_found_by_its_id_alone(tmp_path: Path):
    """The id is all that is left when the submitter died before it wrote the reference down."""
    backend = LocalBackend(
        jobs_dir=tmp_path / "jobs",
        artifacts_dir=tmp_path / "artifacts",
        trainer_python=Path(sys.executable),
        environment={},
    )
    with pytest.raises(NotFoundError):
        backend.poll({"job_id": "job_1"})
    JobFolder(tmp_path / "jobs" / "job_1").create({})
    assert backend.poll({"job_id": "job_1"}).status == "pending"
