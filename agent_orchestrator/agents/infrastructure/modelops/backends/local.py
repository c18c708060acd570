"""Training on this machine, in the trainer's own interpreter."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent_orchestrator.agents.infrastructure.modelops.backends import Ref
from agent_orchestrator.agents.infrastructure.modelops.backends.job_folder import (
    GRACE_SECONDS,
    JobFolder,
)
from agent_orchestrator.agents.infrastructure.modelops.backends.worker_files import worker_files
from agent_orchestrator.domain.jobs import LogPart, Progress
from agent_orchestrator.domain.models import TrainingEngine, check_model_id
from agent_orchestrator.domain.training import TrainingSpec
from agent_orchestrator.errors import ConfigurationError, InputError
from agent_orchestrator.stores.files import remove_whole, storage_error

#: A job id becomes the name of a folder.
_JOB_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
#: What the worker may know of our environment.
_ENVIRONMENT: Final = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "HUGGINGFACE_TOKEN",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "HF_HUB_DISABLE_XET",
    "HTTPS_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
)


@dataclass(frozen=True, slots=True)
class LocalBackend:
    """Runs each job as a detached process with a folder of its own."""

    jobs_dir: Path
    artifacts_dir: Path
    """Finished models, ``<owner>/<name>/``; a base model is looked for here before the Hub."""
    trainer_python: Path
    """Interpreter of the TRL engine."""
    environment: Mapping[str, str]
    """The environment to take the worker's part from."""
    autotrain_python: Path | None = None
    """Interpreter of the AutoTrain engine; None when there is none."""
    grace_seconds: float = GRACE_SECONDS
    """How long a cancelled worker may take to write its checkpoint."""

    def submit(self, job_id: str, spec: TrainingSpec) -> Ref:
        """See ``TrainerBackend``; also ConfigurationError when the interpreter is missing.

        Raises ModelIdError, and InputError for a job id that is not a plain name.
        """
        folder = self.folder(job_id)
        self.prepare(job_id, spec)
        folder.start(self.command(job_id), self.worker_environment())
        return {"folder": str(folder.path)}

    def prepare(
        self, job_id: str, spec: TrainingSpec, notes: Mapping[str, bytes] | None = None
    ) -> bool:
        """Make the job's folder, with ``notes`` as further files; return whether it is new.

        Raises as ``submit``.
        """
        check_model_id(spec.output_model)
        self._interpreter(spec.engine)
        files = worker_files(
            job_id,
            spec,
            base_model=self._base(spec.base_model),
            output_dir=str(self.artifacts_dir / spec.output_model),
            max_seconds=spec.max_seconds,
        )
        return self.folder(job_id).create({**files, **(notes or {})})

    def folder(self, job_id: str) -> JobFolder:
        """Return a job's folder, there or not. Raises InputError: the id is no plain name."""
        if not _JOB_ID.fullmatch(job_id):
            raise InputError(f"Not a job id: {job_id!r}.", remedy="Use letters, digits, - and _.")
        return JobFolder(self.jobs_dir / job_id, grace_seconds=self.grace_seconds)

    def command(self, job_id: str) -> tuple[str, ...]:
        """Return what starts a prepared job's worker: its engine decides the interpreter.

        Raises ConfigurationError, StorageError.
        """
        path = self.folder(job_id).path / "spec.json"
        try:
            engine = json.loads(path.read_text(encoding="utf-8"))["engine"]
        except OSError as error:
            raise storage_error(path, error) from error
        return (str(self._interpreter(engine)), "-m", "agent_orchestrator.trainer")

    def worker_environment(self) -> dict[str, str]:
        """Return what the worker may know of our environment."""
        return {name: self.environment[name] for name in _ENVIRONMENT if name in self.environment}

    def poll(self, ref: Ref) -> Progress:
        """See ``TrainerBackend``."""
        return self._find(ref).progress()

    def cancel(self, ref: Ref) -> None:
        """See ``TrainerBackend``; a process that does not stop is killed after a while."""
        self._find(ref).cancel()

    def resume(self, ref: Ref) -> None:
        """See ``Resumes``."""
        folder = self._find(ref)
        if folder.reopen():
            folder.resume(self.command(folder.path.name), self.worker_environment())

    def discard(self, ref: Ref, model: str) -> None:
        """See ``Discards``."""
        remove_whole(self.artifacts_dir / check_model_id(model))

    def logs(self, ref: Ref, tail: int) -> list[str]:
        """See ``TrainerBackend``."""
        return self._find(ref).log(tail)

    def log_part(self, ref: Ref, after: int | None, most: int) -> LogPart:
        """See ``ReadsLogs``."""
        return self._find(ref).log_part(after, most)

    def _interpreter(self, engine: TrainingEngine) -> Path:
        variable, python, target = {
            "trl": ("CHEF_TRAINER_PYTHON", self.trainer_python, "setup-trainer"),
            "autotrain": ("CHEF_AUTOTRAIN_PYTHON", self.autotrain_python, "setup-autotrain"),
        }[engine]
        if python is None or not python.exists():
            raise ConfigurationError(
                f"No interpreter at {variable}={str(python)!r} for engine {engine!r}.",
                remedy=f"Run `make {target}`.",
            )
        return python

    def _find(self, ref: Ref) -> JobFolder:
        folder = Path(ref["folder"]) if "folder" in ref else self.jobs_dir / ref["job_id"]
        return JobFolder(folder, grace_seconds=self.grace_seconds)

    def _base(self, model: str) -> str:
        """Return the folder of one of our own artifacts, else what the Hub or the user calls it."""
        own = self.artifacts_dir / model
        inside = own.resolve().is_relative_to(self.artifacts_dir.resolve())
        return str(own) if inside and (own / "config.json").is_file() else model
