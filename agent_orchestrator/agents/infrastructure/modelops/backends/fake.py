"""A backend that trains nothing: jobs that run, fail or finish by the clock alone.

For rehearsing whatever stands around a training, in tests and by hand. A job's course follows from
its scenario and the time since it was submitted, so that polling changes nothing here either.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.backends import Ref
from agent_orchestrator.domain.jobs import Failure, JobStatus, Progress
from agent_orchestrator.domain.training import TrainingSpec
from agent_orchestrator.errors import NotFoundError


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """How a fake job goes."""

    steps: int = 10
    seconds: float = 1.0
    """From its submission to its end."""
    first_loss: float = 2.0
    decay: float = 0.8
    """Factor of the loss from one step to the next."""
    failure: Failure | None = None
    """How it ends instead of completing."""
    validation_loss: Callable[[Mapping[str, Any]], float] | None = None
    """What hyperparameters reach on the rows that are kept back; None measures nothing."""


@dataclass(slots=True)
class _Job:
    spec: TrainingSpec
    started: float
    cancelled: float | None = None


class FakeBackend:
    """Implements ``TrainerBackend`` in memory."""

    def __init__(
        self,
        scenario: Scenario | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` gives seconds; tests pass one that they turn themselves."""
        self._scenario = scenario or Scenario()
        self._clock = clock
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()

    def submit(self, job_id: str, spec: TrainingSpec) -> Ref:
        """See ``TrainerBackend``."""
        with self._lock:
            self._jobs.setdefault(job_id, _Job(spec, self._clock()))
        return {"job_id": job_id}

    def poll(self, ref: Ref) -> Progress:
        """See ``TrainerBackend``."""
        job, scenario = self._find(ref), self._scenario
        until = self._clock() if job.cancelled is None else job.cancelled
        share = min(1.0, (until - job.started) / scenario.seconds) if scenario.seconds > 0 else 1.0
        step = int(share * scenario.steps)
        losses = tuple(
            (n, scenario.first_loss * scenario.decay ** (n - 1)) for n in range(1, step + 1)
        )
        status = self._status(job, share)
        return Progress(
            status=status,
            message=f"step {step} of {scenario.steps}",
            current_step=step or None,
            total_steps=scenario.steps,
            current_loss=losses[-1][1] if losses else None,
            eta_seconds=(1 - share) * scenario.seconds if status == "running" else None,
            seconds=min(until - job.started, scenario.seconds),
            losses=losses,
            failure=scenario.failure if status == "failed" else None,
            result=self._manifest(ref["job_id"], job.spec, losses)
            if status == "completed"
            else None,
        )

    def _status(self, job: _Job, share: float) -> JobStatus:
        if job.cancelled is not None:
            return "cancelled"
        if share < 1.0:
            return "running"
        return "failed" if self._scenario.failure else "completed"

    def cancel(self, ref: Ref) -> None:
        """See ``TrainerBackend``."""
        job = self._find(ref)
        now = self._clock()
        if job.cancelled is None and now - job.started < self._scenario.seconds:
            job.cancelled = now

    def logs(self, ref: Ref, tail: int) -> list[str]:
        """See ``TrainerBackend``."""
        lines = [f"step {step} loss {loss:.4f}" for step, loss in self.poll(ref).losses]
        return lines[-tail:] if tail > 0 else []

    def _manifest(
        self, job_id: str, spec: TrainingSpec, losses: tuple[tuple[int, float], ...]
    ) -> dict[str, Any]:
        manifest, measure = _manifest(job_id, spec, losses), self._scenario.validation_loss
        if measure is not None and spec.validation_rows:
            manifest["metrics"]["validation_loss"] = measure(spec.hyperparameters)
        return manifest

    def _find(self, ref: Ref) -> _Job:
        try:
            return self._jobs[ref["job_id"]]
        except KeyError:
            raise NotFoundError(
                f"No job {ref.get('job_id')!r}.", remedy="Start the job again."
            ) from None


def _manifest(
    job_id: str, spec: TrainingSpec, losses: tuple[tuple[int, float], ...]
) -> dict[str, Any]:
    """Return a manifest in the worker's form; its hashes are of the names, for want of weights."""
    return {
        "protocol": 1,
        "status": "completed",
        "job_id": job_id,
        "base_model": spec.base_model,
        "base_weights_sha256": hashlib.sha256(spec.base_model.encode()).hexdigest(),
        "weights_sha256": hashlib.sha256(spec.output_model.encode()).hexdigest(),
        "files": [],
        "metrics": {
            "train_loss_first": losses[0][1],
            "train_loss_final": losses[-1][1],
            "steps": len(losses),
            "examples": len(spec.rows),
        },
    }
