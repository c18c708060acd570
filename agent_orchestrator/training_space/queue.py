"""The queue: which job runs next, as the job folders alone tell.

Beside the worker's files and those of ``JobFolder`` a folder holds ``queued.json`` (when it was
submitted), ``turn.json`` (on which GPU it runs, and how often it was started), ``resumed.json``
while it waits to be resumed on request and, once its end has been seen, ``settled.json``. A job
that was started, did not end by itself and is not settled was cut off, and is resumed by the next
app.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from agent_orchestrator.agents.infrastructure.modelops.backends.job_folder import JobFolder
from agent_orchestrator.agents.infrastructure.modelops.backends.local import LocalBackend
from agent_orchestrator.agents.infrastructure.modelops.backends.space_protocol import (
    EventFile,
    SpaceJob,
    is_event_path,
)
from agent_orchestrator.domain.jobs import TERMINAL, Failure, Progress
from agent_orchestrator.domain.training import TrainingSpec
from agent_orchestrator.errors import (
    ConfigurationError,
    NotFoundError,
    StorageError,
    UnavailableError,
)
from agent_orchestrator.stores.files import remove_whole, replace_atomically

log = logging.getLogger("chef.space")

#: A job that takes the whole container down with it must not do so for ever.
_MOST_STARTS: Final = 3
_KEEPS_DYING: Final = Failure(
    "killed",
    f"The job was cut off {_MOST_STARTS} times.",
    "If it was each time at the same place, lower batch_size or max_length, or use larger"
    " hardware: a container that runs out of memory is restarted as a whole.",
)
#: Room for a checkpoint or two of a small model; less is no place to train.
LEAST_DISK_BYTES: Final = 1024**3
#: Steps between checkpoints of a job that does not say.
_CHECKPOINT_STEPS: Final = 100
_RESUMED: Final = "resumed.json"
TENSORBOARD: Final = "tensorboard"
#: A look at a job has at most this many losses, spread evenly.
_MOST_LOSSES: Final = 500


@dataclass(frozen=True, slots=True)
class _Turn:
    """How a job was started."""

    gpu: int
    starts: int


class Queue:
    """The jobs of one Space. Methods block; one process at a time has one."""

    def __init__(
        self, backend: LocalBackend, *, most_waiting: int, gpus: Callable[[], int]
    ) -> None:
        """``gpus`` says how many jobs may run at a time, each on a GPU of its own; at least one."""
        self._backend = backend
        self._most_waiting = most_waiting
        self._gpus = gpus
        self._changing = threading.Lock()
        """Held while jobs are started, settled, cancelled or resumed."""

    def submit(self, job_id: str, spec: TrainingSpec) -> bool:
        """Put a job at the end of the queue; return whether it is new. A known id changes nothing.

        Raises InputError, ModelIdError, ConfigurationError (no engine), StorageError (no room),
        UnavailableError (too many wait).
        """
        folder = self._backend.folder(job_id)
        if folder.path.exists():
            return False
        self._check_room()
        spec = _with_checkpoints(spec)
        return self._backend.prepare(job_id, spec, {"queued.json": _now()})

    def _check_room(self) -> None:
        waiting = len(self._waiting())
        if waiting >= self._most_waiting:
            raise UnavailableError(
                f"{waiting} jobs wait already.", remedy="Submit it again when some have ended."
            )
        free = self.disk_free_bytes()
        if free < LEAST_DISK_BYTES:
            raise StorageError(
                f"The Space has {free / 1024**2:.0f} MiB of disk left.",
                remedy="Remove old jobs, or give the Space more storage.",
            )

    def disk_free_bytes(self) -> int:
        """Return the room where jobs are kept."""
        self._backend.jobs_dir.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._backend.jobs_dir).free

    def job(self, job_id: str) -> SpaceJob:
        """Return how a job stands. Raises InputError, NotFoundError."""
        with self._changing:  # between its end and its resumption a job has not ended
            return self._job(job_id)

    def _job(self, job_id: str) -> SpaceJob:
        folder = self._backend.folder(job_id)
        if not folder.path.is_dir():
            raise NotFoundError(f"The Space knows no job {job_id!r}.", remedy="See GET /jobs.")
        waiting = self.waiting_ids()
        if job_id in waiting:
            before = waiting.index(job_id)
            message = f"{before} jobs wait before it" if before else "waiting for its turn"
            progress = Progress(status="pending", message=message)
            return SpaceJob(job_id=job_id, progress=progress, before_it=before)
        progress = folder.progress()
        if _is_interrupted(folder, progress):
            progress = replace(progress, status="pending", message="it was cut off and goes on")
        return SpaceJob(
            job_id=job_id,
            progress=replace(progress, losses=_thinned(progress.losses), tensorboard_url=None),
            event_files=_event_files(folder.path / TENSORBOARD),
        )

    def jobs(self) -> list[SpaceJob]:
        """Return all jobs, the newest first, without their losses."""
        found = [self.job(folder.path.name) for folder in reversed(self._all())]
        return [
            replace(job, progress=replace(job.progress, losses=()), event_files=()) for job in found
        ]

    def logs(self, job_id: str, tail: int) -> list[str]:
        """Return the last lines of a job's log. Raises InputError, NotFoundError."""
        self.job(job_id)
        return self._backend.folder(job_id).log(tail)

    def cancel(self, job_id: str) -> SpaceJob:
        """Ask a job to stop, or take it out of the queue. Raises InputError, NotFoundError."""
        self.job(job_id)
        folder = self._backend.folder(job_id)
        with self._changing:
            folder.cancel()
            if _is_waiting(folder):  # to be resumed: its process has ended already
                replace_atomically(folder.path / "cancel.json", _now())
                (folder.path / _RESUMED).unlink()
        return self.job(job_id)

    def resume(self, job_id: str) -> SpaceJob:
        """Put a job that failed or was cancelled at the end of the queue; any other is left alone.

        Raises InputError, NotFoundError, StorageError.
        """
        self.job(job_id)
        folder = self._backend.folder(job_id)
        with self._changing:
            if not _is_waiting(folder) and folder.reopen():
                replace_atomically(folder.path / _RESUMED, _now())
                (folder.path / "settled.json").unlink(missing_ok=True)
        return self.job(job_id)

    def discard(self, job_id: str) -> None:
        """Remove a completed job's model; one without is left alone.

        Raises InputError, NotFoundError, StorageError.
        """
        manifest = self.job(job_id).progress.result
        if manifest is None:
            return
        folder, models = Path(manifest["output_dir"]), self._backend.artifacts_dir
        if folder.resolve().is_relative_to(models.resolve()):
            remove_whole(folder)

    def event_file(self, job_id: str, path: str) -> Path:
        """Return one of a job's TensorBoard files. Raises InputError, NotFoundError."""
        if path not in [file.path for file in self.job(job_id).event_files]:
            raise NotFoundError(
                f"Job {job_id!r} has no event file {path!r}.", remedy="Ask when it has begun."
            )
        return self._backend.folder(job_id).path / TENSORBOARD / path

    def running_ids(self) -> list[str]:
        """Return the jobs that run."""
        return [folder.path.name for folder in self._open() if folder.is_alive()]

    def waiting_ids(self) -> list[str]:
        """Return the jobs that wait, the next one first."""
        return [folder.path.name for folder in self._waiting()]

    def recover(self) -> None:
        """Resume what was cut off when the last app ended; before anything else is asked."""
        for folder in self._open():
            if _is_waiting(folder) or folder.is_alive():
                continue
            progress = folder.progress()
            if _is_interrupted(folder, progress) or _was_killed(progress):
                self._go_on(folder)

    def _go_on(self, folder: JobFolder) -> None:
        """Resume what was cut off, unless that has happened too often."""
        turn = _read_turn(folder)
        if turn.starts >= _MOST_STARTS:
            folder.fail(_KEEPS_DYING)
            return
        log.info("Job %s was cut off; it goes on.", folder.path.name)
        self._start(folder, replace(turn, starts=turn.starts + 1))

    def tick(self) -> None:
        """Settle what has ended and start what may run."""
        with self._changing:
            self._look()

    def _look(self) -> None:
        running = []
        for folder in self._open():
            if folder.is_alive():
                folder.progress()  # kills a process that ignores its cancellation
                running.append(_read_turn(folder).gpu)
            elif _is_waiting(folder):
                continue
            elif _is_interrupted(folder, folder.progress()):
                self._go_on(folder)
                running.append(_read_turn(folder).gpu)
            else:
                _settle(folder)
        free = [gpu for gpu in range(max(1, self._gpus())) if gpu not in running]
        for gpu, folder in zip(free, self._waiting(), strict=False):
            log.info("Job %s starts.", folder.path.name)
            self._start(folder, _Turn(gpu, 1))

    def interrupt(self) -> None:
        """Ask what runs to write a checkpoint and end; the next app resumes it."""
        for folder in self._open():
            folder.interrupt()

    def _start(self, folder: JobFolder, turn: _Turn) -> None:
        """Start or resume a job on its GPU; one that cannot be started has failed."""
        environment = self._backend.worker_environment() | {"CUDA_VISIBLE_DEVICES": str(turn.gpu)}
        note = json.dumps({"gpu": turn.gpu, "starts": turn.starts}).encode()
        try:
            replace_atomically(folder.path / "turn.json", note)
            (folder.path / _RESUMED).unlink(missing_ok=True)
            start = folder.resume if folder.is_started() else folder.start
            start(self._backend.command(folder.path.name), environment)
        except ConfigurationError as error:
            folder.fail(Failure("unavailable", error.message, error.remedy))

    def _waiting(self) -> list[JobFolder]:
        return [folder for folder in self._open() if _is_waiting(folder)]

    def _open(self) -> list[JobFolder]:
        return [folder for folder in self._all() if not (folder.path / "settled.json").exists()]

    def _all(self) -> list[JobFolder]:
        """Return all jobs in the order of their submission."""
        found = sorted((_submitted(path), path.name) for path in self._queued())
        return [self._backend.folder(name) for _, name in found]

    def _queued(self) -> Iterator[Path]:
        return (path.parent for path in self._backend.jobs_dir.glob("[!.]*/queued.json"))


def _with_checkpoints(spec: TrainingSpec) -> TrainingSpec:
    """Let a job write checkpoints, unless it says when: the Hub may end a container at any time."""
    if spec.engine != "trl" or spec.hyperparameters.get("checkpoint_steps") is not None:
        return spec
    wanted = {**spec.hyperparameters, "checkpoint_steps": _CHECKPOINT_STEPS}
    return replace(spec, hyperparameters=wanted)


def _is_waiting(folder: JobFolder) -> bool:
    ended = ("cancel.json", "failure.json", "settled.json")
    if (folder.path / _RESUMED).exists():
        return not folder.is_alive()
    return not folder.is_started() and not any((folder.path / name).exists() for name in ended)


def _settle(folder: JobFolder) -> None:
    """Write down that a job has ended, with the diagnosis where it said nothing itself."""
    progress = folder.progress()
    if progress.status not in TERMINAL:
        return
    if progress.failure is not None:
        folder.fail(progress.failure)
    settled = json.dumps({"at": time.time(), "status": progress.status}).encode()
    replace_atomically(folder.path / "settled.json", settled)
    log.info("Job %s: %s.", folder.path.name, progress.status)


def _is_interrupted(folder: JobFolder, progress: Progress) -> bool:
    """Tell whether a worker ended on a signal that was no cancellation: its app's, or a person's.

    It writes its checkpoint for seconds, in which the next app may have started.
    """
    return progress.status == "cancelled" and not (folder.path / "cancel.json").exists()


def _was_killed(progress: Progress) -> bool:
    return progress.failure is not None and progress.failure.kind == "killed"


def _submitted(folder: Path) -> int:
    resumed = folder / _RESUMED
    return int(_read(resumed if resumed.exists() else folder / "queued.json")["at_ns"])


def _now() -> bytes:
    """Return a note of the time: in seconds, and finer, for the order of two jobs."""
    at = time.time_ns()
    return json.dumps({"at": at / 1e9, "at_ns": at}).encode()


def _read_turn(folder: JobFolder) -> _Turn:
    path = folder.path / "turn.json"
    if not path.exists():  # started by somebody else, as far as anybody knows
        return _Turn(0, 1)
    noted = _read(path)
    return _Turn(int(noted["gpu"]), int(noted["starts"]))


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _event_files(folder: Path) -> tuple[EventFile, ...]:
    """Return the TensorBoard files of a job as they stand."""
    found = sorted(path for path in folder.rglob("*") if is_event_path(path.name))
    return tuple(
        EventFile(path=path.relative_to(folder).as_posix(), bytes=path.stat().st_size)
        for path in found
        if path.is_file() and not path.is_symlink()
    )


def _thinned(losses: tuple[tuple[int, float], ...]) -> tuple[tuple[int, float], ...]:
    """Return at most about ``_MOST_LOSSES`` of them, the last one always."""
    every = -(-len(losses) // _MOST_LOSSES)
    return losses if every <= 1 else (*losses[:-1:every], losses[-1])
