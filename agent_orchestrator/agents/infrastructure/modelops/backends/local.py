"""Training on this machine, in the trainer's own interpreter."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent_orchestrator.agents.infrastructure.modelops.backends import Ref
from agent_orchestrator.agents.infrastructure.modelops.backends.job_folder import JobFolder
from agent_orchestrator.domain.jobs import Progress
from agent_orchestrator.domain.training import Row, TrainingSpec
from agent_orchestrator.errors import ConfigurationError

_PROTOCOL: Final = 1
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
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
)


@dataclass(frozen=True, slots=True)
class LocalBackend:
    """Runs each job as a detached process with a folder of its own."""

    jobs_dir: Path
    artifacts_dir: Path
    """Finished models, ``<owner>/<name>/``; a base model is looked for here before the Hub."""
    trainer_python: Path
    environment: Mapping[str, str]
    """The environment to take the worker's part from."""

    def submit(self, job_id: str, spec: TrainingSpec) -> Ref:
        """See ``TrainerBackend``; also ConfigurationError when the interpreter is missing."""
        if not self.trainer_python.exists():
            raise ConfigurationError(
                f"No interpreter at CHEF_TRAINER_PYTHON={str(self.trainer_python)!r}.",
                remedy="Run `make setup-trainer`.",
            )
        folder = JobFolder(self.jobs_dir / job_id)
        files = {"spec.json": json.dumps(self._spec(job_id, spec), indent=2).encode()}
        files["train.jsonl"] = _lines(spec.rows)
        if spec.validation_rows:
            files["validation.jsonl"] = _lines(spec.validation_rows)
        folder.create(files)
        command = (str(self.trainer_python), "-m", "agent_orchestrator.trainer")
        folder.start(command, self._environment())
        return {"folder": str(folder.path)}

    def poll(self, ref: Ref) -> Progress:
        """See ``TrainerBackend``."""
        return JobFolder(Path(ref["folder"])).progress()

    def cancel(self, ref: Ref) -> None:
        """See ``TrainerBackend``; a process that does not stop is killed after a while."""
        JobFolder(Path(ref["folder"])).cancel()

    def logs(self, ref: Ref, tail: int) -> list[str]:
        """See ``TrainerBackend``."""
        return JobFolder(Path(ref["folder"])).log(tail)

    def _spec(self, job_id: str, spec: TrainingSpec) -> dict[str, Any]:
        base = self.artifacts_dir / spec.base_model
        return {
            "protocol": _PROTOCOL,
            "job_id": job_id,
            "engine": "trl",
            "method": spec.method,
            "base_model": str(base) if base.is_dir() else spec.base_model,
            "dataset": {
                "train": "train.jsonl",
                "validation": "validation.jsonl" if spec.validation_rows else None,
                "name": spec.dataset,
            },
            "output_dir": str(self.artifacts_dir / spec.output_model),
            "hyperparameters": dict(spec.hyperparameters),
            "model_card": {"base_model": spec.base_model, **spec.card},
            "push_to_hub": {"repo": spec.output_model} if spec.push_to_hub else None,
            "max_seconds": spec.max_seconds,
        }

    def _environment(self) -> dict[str, str]:
        return {name: self.environment[name] for name in _ENVIRONMENT if name in self.environment}


def _lines(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
