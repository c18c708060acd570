"""A job as a folder and a detached process: everything about it can be read from there.

The process outlives whoever started it; a restarted orchestrator, or another process, finds the job
as it stands (support/docs/decisions/0006). The worker's side of the folder is described in
``agent_orchestrator.trainer``; on this side there are ``process.json`` (which process it is),
``worker.log`` and, once asked, ``cancel.json``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import psutil

from agent_orchestrator.agents.infrastructure.modelops.backends.log_file import read_part
from agent_orchestrator.agents.infrastructure.modelops.backends.worker_events import (
    failure_from,
    last_event,
    progress_from,
    since_start,
)
from agent_orchestrator.domain.jobs import Failure, FailureKind, LogPart, Progress
from agent_orchestrator.errors import ConfigurationError, NotFoundError, StorageError
from agent_orchestrator.stores.files import replace_atomically, storage_error

GRACE_SECONDS: Final = 20.0
#: A folder that nobody has started a process in for this long was left by one who died.
_START_SECONDS: Final = 60.0
_NEVER_STARTED: Final = Failure("killed", "The job was never started.", "Submit it again.")
#: A disk with less room than this could not take a diagnosis either.
_NO_ROOM_BYTES: Final = 16 * 1024
_FULL: Final = Failure(
    "disk_full", "The process ended on a full disk.", "Free some space and submit the job again."
)
#: What a log says when the process had no chance to write a diagnosis.
_LAST_WORDS: Final[tuple[tuple[str, FailureKind, str], ...]] = (
    ("No space left on device", "disk_full", "Free some space and submit the job again."),
    ("MemoryError", "out_of_memory", "Lower batch_size or max_length, or use larger hardware."),
    ("out of memory", "out_of_memory", "Lower batch_size or max_length, or use larger hardware."),
)

#: The kernel closes the starter's pipe a little before it writes the new command line.
_EXEC_SECONDS: Final = 3.0


class JobFolder:
    """One job's folder."""

    def __init__(self, path: Path, *, grace_seconds: float = GRACE_SECONDS) -> None:
        """A cancelled process that runs on for ``grace_seconds`` is killed by the next look."""
        self.path = path
        self._grace_seconds = grace_seconds

    def create(self, files: Mapping[str, bytes]) -> bool:
        """Make the folder with these files, whole or not at all; return whether it is new.

        Raises StorageError.
        """
        if self.path.exists():
            return False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent))
        except OSError as error:
            raise storage_error(self.path, error) from error
        try:
            for name, content in files.items():
                (partial / name).write_bytes(content)
            partial.rename(self.path)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            if error.errno in {errno.EEXIST, errno.ENOTEMPTY}:  # somebody else made it meanwhile
                return False
            raise storage_error(self.path, error) from error
        return True

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the job's process, detached, unless it was started or cancelled before.

        Raises ConfigurationError when there is no such program, StorageError.
        """
        with self._starting():
            if self._pid() is None and not self._is_cancelled():
                self._start(command, environment)

    def resume(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the process again after it was cut off; the worker goes on from its checkpoint.

        One that lives or was cancelled is left alone. Raises as ``start``.
        """
        with self._starting():
            if self._process() is None and not self._is_cancelled():
                self._start(command, environment)

    def reopen(self) -> bool:
        """Forget that the job was cancelled or failed; return whether it may be resumed now.

        Not while its process lives, nor when it is completed. Raises NotFoundError, StorageError.
        """
        if not self.path.is_dir():
            raise self._gone()
        with self._starting():
            if self._process() is not None or (self.path / "manifest.json").exists():
                return False
            try:
                for name in ("cancel.json", "failure.json"):
                    (self.path / name).unlink(missing_ok=True)
            except OSError as error:
                raise storage_error(self.path, error) from error
        return True

    def is_started(self) -> bool:
        """Tell whether a process was ever started."""
        return self._pid() is not None

    def is_alive(self) -> bool:
        """Tell whether the process lives."""
        return self._process() is not None

    def fail(self, failure: Failure) -> None:
        """Write down why the job failed, unless it says so itself. Raises StorageError."""
        path = self.path / "failure.json"
        if not path.exists():
            replace_atomically(path, json.dumps(asdict(failure)).encode())

    @contextlib.contextmanager
    def _starting(self) -> Iterator[None]:
        """Let one caller at a time start the process."""
        try:
            lock = (self.path / ".start").open("w")
        except OSError as error:
            raise storage_error(self.path, error) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        try:
            pid = _spawn((*command, str(self.path)), environment, self.path / "worker.log")
        except (FileNotFoundError, PermissionError) as error:
            raise ConfigurationError(
                f"Cannot start {command[0]!r}: {error.strerror}.",
                remedy="Run `make setup-trainer`, or correct the path of the interpreter.",
            ) from error
        except OSError as error:
            raise storage_error(self.path, error) from error
        try:
            replace_atomically(self.path / "process.json", json.dumps({"pid": pid}).encode())
        except StorageError:  # a job that nobody could find again must not run
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise

    def progress(self) -> Progress:
        """Return where the job stands, from its files and whether its process lives.

        Raises NotFoundError when the folder is gone.
        """
        if not self.path.is_dir():
            raise self._gone()
        events = self.path / "tensorboard"
        url = events.as_uri() if events.is_dir() else None
        return replace(self._progress(), tensorboard_url=url)

    def _progress(self) -> Progress:
        process = self._process()  # looked at first: what it wrote before it ended is then there
        self._kill_when_overdue(process)
        manifest = _read_json(self.path / "manifest.json")
        events = self._events()
        if manifest is not None:
            return progress_from("completed", events, result=manifest)
        if process is not None:
            return progress_from("running", events)
        return self._ended(events)

    def cancel(self) -> None:
        """Ask the process to stop; it is killed when it has not in time.

        One that was never started will not be. Raises NotFoundError when the folder is gone,
        StorageError.
        """
        if not self.path.is_dir():
            raise self._gone()
        with self._starting():
            process = self._process()
            if process is None and self.is_started():
                return
            if not self._is_cancelled():
                asked = json.dumps({"at": time.time()}).encode()
                replace_atomically(self.path / "cancel.json", asked)
        if process is not None:
            self._terminate(process)

    def interrupt(self) -> None:
        """Ask the process to write a checkpoint and end, in order to be resumed later."""
        process = self._process()
        if process is not None:
            self._terminate(process)

    @staticmethod
    def _terminate(process: psutil.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)

    def _is_cancelled(self) -> bool:
        return (self.path / "cancel.json").exists()

    def _gone(self) -> NotFoundError:
        return NotFoundError(
            f"The folder of job {self.path.name} is gone.", remedy="Start the job again."
        )

    def log(self, tail: int) -> list[str]:
        """Return the last lines of the process's output."""
        return list(read_part(self.path / "worker.log", None, tail, growing=False).lines)

    def log_part(self, after: int | None, most: int) -> LogPart:
        """Return lines of the process's output from a place on (``backends.ReadsLogs``)."""
        growing = self._process() is not None  # asked first: what it wrote before is then read
        return read_part(self.path / "worker.log", after, most, growing=growing)

    def _ended(self, events: list[dict[str, Any]]) -> Progress:
        """Return how a job without process and manifest ended."""
        if self._is_cancelled():
            return progress_from("cancelled", events)
        told = since_start(events)
        written = _read_json(self.path / "failure.json") or last_event(told, "failed")
        if written is not None:
            return progress_from("failed", events, failure=failure_from(written))
        if self._pid() is None:
            if time.time() - self.path.stat().st_mtime < _START_SECONDS:
                return progress_from("pending", events)
            return progress_from("failed", events, failure=_NEVER_STARTED)
        if last_event(told, "cancelled") is not None:
            return progress_from("cancelled", events)
        return progress_from("failed", events, failure=self._post_mortem())

    def _post_mortem(self) -> Failure:
        if shutil.disk_usage(self.path).free < _NO_ROOM_BYTES:
            return _FULL
        lines = self.log(50)
        words = "\n".join(lines)
        for text, kind, remedy in _LAST_WORDS:
            if text in words:
                return Failure(kind, f"The process ended: {text}.", remedy)
        if "Traceback (most recent call last)" in words:
            return Failure(
                "unknown", f"The process ended: {lines[-1][:300]}", "Read the job's worker.log."
            )
        return Failure(
            "killed",
            "The process ended without a word: it was killed, or the machine was restarted.",
            "Submit the job again; look for the kernel's out-of-memory killer if it recurs.",
        )

    def _pid(self) -> int | None:
        """Return the process's id; None when none was started.

        Who started it may have died before writing ``process.json``: then the process's first
        event says it.
        """
        record = (
            _read_json(self.path / "process.json") or last_event(self._events(), "started") or {}
        )
        pid = record.get("pid")
        return pid if isinstance(pid, int) else None

    def _process(self) -> psutil.Process | None:
        """Return the job's process while it lives; a dead child is reaped on the way.

        Ids are used again: a process is the job's when its command line names the folder. (Times
        of creation do not serve: they move with every step of the clock.)
        """
        pid = self._pid()
        if pid is None:
            return None
        try:
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                return process if str(self.path) in _command_line(process) else None
        except psutil.ZombieProcess:
            pass  # it died between the two looks
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None
        with contextlib.suppress(ChildProcessError):  # somebody else's child
            os.waitpid(pid, os.WNOHANG)
        return None

    def _kill_when_overdue(self, process: psutil.Process | None) -> None:
        asked = _read_json(self.path / "cancel.json")
        if process and asked and time.time() - asked.get("at", 0) > self._grace_seconds:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _events(self) -> list[dict[str, Any]]:
        """Return the progress lines; one that is being written is left for the next look."""
        try:
            text = (self.path / "progress.jsonl").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        events = []
        for line in text.splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    events.append(event)
        return events


def _spawn(command: tuple[str, ...], environment: Mapping[str, str], log: Path) -> int:
    """Start a program in a session of its own, its output in ``log``; return its process id.

    Not ``subprocess``, whose objects complain when they are dropped while the process runs.
    """
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        command[0],
        command,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGPIPE],
    )


def _command_line(process: psutil.Process) -> list[str]:
    """Return a process's command line; for a moment after its start it is empty."""
    deadline = time.monotonic() + _EXEC_SECONDS
    while not (command := process.cmdline()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return command


def _read_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON object; None when the file is not there or not whole yet."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return data if isinstance(data, dict) else None
