"""A job that lives in a repository of the Hub: worked on here, carried back there.

``python -m agent_orchestrator.trainer.hub_job JOB_DIR REPO`` runs on a rented machine (a Hugging
Face Job) whose disk is lost when it ends. ``JOB_DIR`` is the data set repository ``REPO`` as it was
downloaded: the worker's ``spec.json`` and rows, this package, and the checkpoint of an earlier
machine if there was one. The worker runs as a child process; meanwhile

* every line of ``progress.jsonl`` is printed behind ``chef-progress``, for whoever follows the log;
* every finished checkpoint replaces the one in ``REPO``, with the progress so far;
* ``CHEF_STOP_AFTER`` seconds from the start the worker is told to write a checkpoint and end.

In the end ``REPO`` has ``manifest.json``, or ``failure.json``, or, when the job was cut off, the
checkpoint to go on from. ``HUGGINGFACE_TOKEN`` opens ``REPO``. Exit status: the worker's, or 75
(EX_TEMPFAIL) when the time was over.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from agent_orchestrator.trainer.artifact import hub_errors

MARK: Final = "chef-progress "
"""What a line of progress begins with in the log."""
TIME_IS_UP: Final = 75
_LOOK_SECONDS: Final = 0.2
_ATTEMPTS: Final = 5
_FIRST_PAUSE_SECONDS: Final = 2.0


class NotCarriedError(Exception):
    """The Hub has not taken what was to be kept."""


class Repository:
    """The job's repository on the Hub."""

    def __init__(
        self, repo: str, token: str, *, first_pause_s: float = _FIRST_PAUSE_SECONDS
    ) -> None:
        from huggingface_hub import HfApi

        self._repo = repo
        self._api = HfApi(token=token)
        self._first_pause_s = first_pause_s

    def commit(self, title: str, files: dict[str, Path], deleted: Sequence[str] = ()) -> None:
        """Put files and remove paths (folders end in ``/``) in one commit; tries again for a while.

        Raises NotCarriedError when the Hub does not take it.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._commit(title, files, deleted)
                break
            except hub_errors() as error:
                if attempt == _ATTEMPTS:
                    raise NotCarriedError(f"{title}: {error}") from error
                time.sleep(self._first_pause_s * 2 ** (attempt - 1))

    def _commit(self, title: str, files: dict[str, Path], deleted: Sequence[str]) -> None:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[Any] = [CommitOperationDelete(path_in_repo=path) for path in deleted]
        operations += [
            CommitOperationAdd(path_in_repo=path, path_or_fileobj=source)
            for path, source in files.items()
        ]
        self._api.create_commit(self._repo, operations, commit_message=title, repo_type="dataset")


class CheckpointCarrier:
    """Brings the newest checkpoint to the repository while the training goes on.

    The files are linked aside first: the worker removes a checkpoint when it has written two more.
    """

    def __init__(self, job_dir: Path, repository: Repository) -> None:
        self._job_dir = job_dir
        self._repository = repository
        self._there = newest_checkpoint(job_dir)
        self._thread: threading.Thread | None = None

    def carry(self) -> None:
        """Start to upload the newest checkpoint, unless one is still on its way."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._thread = threading.Thread(target=self._try, daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Upload the newest checkpoint and wait for it. Raises NotCarriedError."""
        if self._thread is not None:
            self._thread.join()
        self._upload()

    @property
    def carried(self) -> tuple[str, ...]:
        """The folder of the checkpoint that is in the repository, if any."""
        return () if self._there is None else (f"checkpoints/{self._there.name}/",)

    def stop(self) -> None:
        """Wait for what is on its way."""
        if self._thread is not None:
            self._thread.join()

    def _try(self) -> None:
        try:
            self._upload()
        except NotCarriedError as error:  # the next checkpoint tries again
            say(f"A checkpoint could not be uploaded: {error}")

    def _upload(self) -> None:
        newest = newest_checkpoint(self._job_dir)
        if newest is None or newest == self._there:
            return
        aside = self._job_dir / ".carried"
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(newest, aside, copy_function=os.link)
        files = {
            f"checkpoints/{newest.name}/{path.relative_to(aside).as_posix()}": path
            for path in sorted(aside.rglob("*"))
            if path.is_file()
        }
        files["progress.jsonl"] = self._job_dir / "progress.jsonl"
        self._repository.commit(f"Checkpoint: {newest.name}", files, self.carried)
        self._there = newest


def newest_checkpoint(job_dir: Path) -> Path | None:
    """Return the newest whole checkpoint (``checkpoints.py``, without its imports)."""
    whole = (job_dir / "checkpoints").glob("checkpoint-*/complete")
    folders = [marker.parent for marker in whole]
    return max(folders, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)


class ProgressPrinter:
    """Prints the lines that are new in ``progress.jsonl``."""

    def __init__(self, job_dir: Path) -> None:
        self._path = job_dir / "progress.jsonl"
        self._read = self._path.stat().st_size if self._path.exists() else 0

    def look(self) -> list[dict[str, Any]]:
        """Print whole new lines and return them."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        events = []
        for line in whole.decode(errors="replace").splitlines():
            say(MARK + line)
            events.append(json.loads(line))
        return events


def say(line: str) -> None:
    """Print a line that arrives at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def work(
    job_dir: Path,
    repository: Repository,
    stop_after: float | None,
    command: Sequence[str],
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Run the worker to its end and carry what it made to the repository; return the status."""
    started = clock()
    printer, carrier = ProgressPrinter(job_dir), CheckpointCarrier(job_dir, repository)
    worker = subprocess.Popen(command)  # noqa: S603 - our own interpreter and module
    cancelled = time_is_up = False

    def cancel(_signal: int, _frame: object) -> None:
        nonlocal cancelled
        cancelled = True
        worker.terminate()

    signal.signal(signal.SIGTERM, cancel)
    while worker.poll() is None:
        if any(event["event"] == "checkpoint" for event in printer.look()):
            carrier.carry()
        if stop_after is not None and not time_is_up and clock() - started > stop_after:
            say(f"The {stop_after:g} s of this machine are over.")
            time_is_up = True
            worker.terminate()
        time.sleep(_LOOK_SECONDS)
    printer.look()
    was_asked_to = cancelled or time_is_up
    if worker.returncode < 0 and not was_asked_to and not (job_dir / "failure.json").exists():
        _write_post_mortem(job_dir, -worker.returncode)
    _conclude(job_dir, repository, carrier)
    cut_off = time_is_up and not (job_dir / "manifest.json").exists()
    return TIME_IS_UP if cut_off else _status(worker.returncode)


def _conclude(job_dir: Path, repository: Repository, carrier: CheckpointCarrier) -> None:
    """Write down in the repository how the worker ended."""
    outcome = next(
        (name for name in ("manifest.json", "failure.json") if (job_dir / name).exists()), None
    )
    if outcome is None:  # cancelled, or its time is up
        carrier.finish()
        return
    carrier.stop()
    events = job_dir / "tensorboard"
    told = [name for name in ("progress.jsonl", outcome) if (job_dir / name).exists()]
    files = {name: job_dir / name for name in told}
    files |= {
        path.relative_to(job_dir).as_posix(): path
        for path in sorted(events.rglob("*"))
        if path.is_file()
    }
    done = outcome == "manifest.json"
    repository.commit(f"Ended: {outcome}", files, carrier.carried if done else ())


def _write_post_mortem(job_dir: Path, number: int) -> None:
    killed = number == signal.SIGKILL
    failure = {
        "kind": "out_of_memory" if killed else "killed",
        "message": f"The worker was ended by {signal.Signals(number).name}"
        f"{', as the kernel does when the memory runs out' if killed else ''}.",
        "remedy": "Lower batch_size or max_length, train with LoRA, or choose larger hardware."
        if killed
        else "Submit the job again.",
    }
    (job_dir / "failure.json").write_text(json.dumps(failure), encoding="utf-8")


def _status(returncode: int) -> int:
    return 128 - returncode if returncode < 0 else returncode


def main() -> int:
    """Run one job; returns the exit status."""
    parser = argparse.ArgumentParser(prog="hub_job", description="Run a job of a Hub repository.")
    parser.add_argument("job_dir", type=Path)
    parser.add_argument("repo")
    options = parser.parse_args()
    job_dir = options.job_dir.resolve()
    stop_after = os.environ.get("CHEF_STOP_AFTER")
    return work(
        job_dir,
        Repository(options.repo, os.environ["HUGGINGFACE_TOKEN"]),
        float(stop_after) if stop_after else None,
        (sys.executable, "-m", "agent_orchestrator.trainer", str(job_dir)),
    )


if __name__ == "__main__":
    sys.exit(main())
