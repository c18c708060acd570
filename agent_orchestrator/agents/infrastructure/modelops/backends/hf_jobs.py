"""Training on Hugging Face Jobs: rented machines that start for one job and forget everything.

What must outlive a machine lies in a private data set repository of the job's own,
``<owner>/code-chef-job-<id>``: the worker's specification and rows, the worker itself (the very
source that is installed here, so that both sides speak the same protocol), and, brought there by
``agent_orchestrator.trainer.hub_job``, the newest checkpoint and in the end manifest or failure.
The token travels as a secret of the job and nowhere else.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent_orchestrator.agents.infrastructure.modelops.backends import Ref
from agent_orchestrator.agents.infrastructure.modelops.backends.job_attempts import (
    Attempt,
    Machine,
    Outcome,
    ended_progress,
    machine_message,
    seconds_left,
    seconds_used,
)
from agent_orchestrator.agents.infrastructure.modelops.backends.job_image import (
    command,
    image,
    worker_source,
)
from agent_orchestrator.agents.infrastructure.modelops.backends.job_log import JobLog, Latest
from agent_orchestrator.agents.infrastructure.modelops.backends.worker_events import progress_from
from agent_orchestrator.agents.infrastructure.modelops.backends.worker_files import worker_files
from agent_orchestrator.domain.jobs import Progress
from agent_orchestrator.domain.models import TrainingEngine, check_model_id
from agent_orchestrator.domain.training import TrainingSpec
from agent_orchestrator.errors import ConfigurationError, InputError, NotFoundError
from agent_orchestrator.stores.defaults import HfJobsDefaults
from agent_orchestrator.stores.files import locked

if TYPE_CHECKING:
    from agent_orchestrator.agents.infrastructure.modelops.backends.jobs_client import JobsClient

#: It becomes a label, which HF Jobs allows letters, digits, dashes and underscores.
_JOB_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_MARK: Final = "chef-progress "
#: Uploading a large repository may take its time.
_SUBMIT_SECONDS: Final = 600.0
_PATIENCE_SECONDS: Final = 5.0
_CARRIED_ON: Final = ("HF_ENDPOINT", "HF_HUB_DISABLE_XET")


@dataclass(slots=True)
class _Followed:
    """What is heard of a running job."""

    log: JobLog
    machine: Latest


@dataclass(frozen=True, slots=True)
class HfJobsBackend:
    """Implements ``TrainerBackend``, ``ChecksFirst``, ``GoesOn`` and ``Resumes``."""

    connect: Callable[[], JobsClient]
    owner: str
    """Namespace that pays, owns the job repositories and gets the models."""
    defaults: HfJobsDefaults
    locks_dir: Path
    environment: Mapping[str, str]
    """The environment to take the Hub's address from."""
    look_again_s: float = 5.0
    """For how long an answer of the Jobs API counts; steps come from the log all the while."""
    _seen: dict[str, tuple[float, list[Attempt]]] = field(default_factory=dict)
    _followed: dict[str, _Followed] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, owner: str, engine: TrainingEngine) -> None:
        """See ``ChecksFirst``; both engines are there."""
        if owner != self.owner:
            raise ConfigurationError(
                f"HF Jobs are paid by {self.owner!r}, not by {owner!r}.",
                remedy=f"Set MODELOPS_HUB_ORG to {self.owner!r}.",
            )
        self.connect().check()

    def submit(self, job_id: str, spec: TrainingSpec) -> Ref:
        """See ``TrainerBackend``.

        Raises InputError for a job id or model id that the Hub would not take, ConfigurationError.
        """
        repo = self._repo(job_id)
        flavour = self._checked_flavour(spec)
        client = self.connect()
        with self._alone(job_id):
            if attempts := client.attempts(job_id):
                return _ref(job_id, attempts[-1])
            client.check()
            client.store(repo, self._files(job_id, spec))
            machine = self._machine(repo, spec.engine, flavour, self._limit(spec))
            return _ref(job_id, client.run(job_id, machine, from_step=0, part=0))

    def poll(self, ref: Ref) -> Progress:
        """See ``TrainerBackend``."""
        client = self.connect()
        attempts = self._lately(client, ref)
        newest = attempts[-1]
        if newest.has_ended:
            self._forget(newest)
            progress = self._ended(client, ref, newest)
        elif newest.stage == "SCHEDULING":
            progress = Progress("pending", f"waiting for {newest.flavour}")
        else:
            progress = self._running(client, newest)
        return replace(progress, seconds=seconds_used(attempts))

    def cancel(self, ref: Ref) -> None:
        """See ``TrainerBackend``."""
        client = self.connect()
        newest = self._attempts(client, ref)[-1]
        if not newest.has_ended:
            client.cancel(newest)

    def logs(self, ref: Ref, tail: int) -> list[str]:
        """See ``TrainerBackend``."""
        client = self.connect()
        newest = self._attempts(client, ref)[-1]
        if newest.stage == "RUNNING":  # its stream has no end where one could stop to read
            return self._follow(client, newest).log.lines(tail, _PATIENCE_SECONDS)
        return list(client.log(newest, follow=False, tail=tail))[-tail:] if tail > 0 else []

    def go_on(self, ref: Ref) -> bool:
        """See ``GoesOn``: on another machine, for what is left of the job's time."""
        job_id, client = ref["job_id"], self.connect()
        repo = self._repo(job_id)
        with self._alone(job_id):
            attempts = self._attempts(client, ref)
            newest = attempts[-1]
            if not newest.has_ended:  # somebody else was faster
                return True
            outcome = client.outcome(repo)
            left = seconds_left(attempts, outcome)
            if left:
                machine = self._machine(repo, _engine(outcome), newest.flavour, left)
                client.run(job_id, machine, outcome.checkpoint_step, newest.part)
            return left > 0

    def resume(self, ref: Ref) -> None:
        """See ``Resumes``: on another machine, with the job's whole time once more."""
        job_id, client = ref["job_id"], self.connect()
        repo = self._repo(job_id)
        with self._alone(job_id):
            newest = self._attempts(client, ref)[-1]
            outcome = client.outcome(repo)
            if not newest.has_ended or outcome.manifest is not None or outcome.limits is None:
                return
            if outcome.failure is not None:
                client.forget_failure(repo)
            seconds = float(outcome.limits["max_seconds"])
            machine = self._machine(repo, _engine(outcome), newest.flavour, seconds)
            client.run(job_id, machine, outcome.checkpoint_step, newest.part + 1)

    # -- parts -------------------------------------------------------------------------------------

    def _repo(self, job_id: str) -> str:
        if not _JOB_ID.fullmatch(job_id):
            raise InputError(f"Not a job id: {job_id!r}.", remedy="Use letters, digits, - and _.")
        return check_model_id(f"{self.owner}/code-chef-job-{job_id.removeprefix('job_')}")

    def _checked_flavour(self, spec: TrainingSpec) -> str:
        if check_model_id(spec.output_model).split("/")[0] != self.owner:
            raise InputError(
                f"{spec.output_model!r} does not belong to {self.owner!r}, who pays for the job.",
                remedy=f"Name it {self.owner}/….",
            )
        if spec.hardware is None:
            raise InputError(
                "No hardware was chosen for an HF Job.", remedy="Name one in the specification."
            )
        return spec.hardware

    def _alone(self, job_id: str) -> Any:
        """Let one process at a time start machines for a job."""
        return locked(self.locks_dir / job_id, timeout=_SUBMIT_SECONDS)

    def _lately(self, client: JobsClient, ref: Ref) -> list[Attempt]:
        """Return what was started, as it was seen lately: whoever follows a job asks every second.

        A log that has ended says that the job has, too.
        """
        job_id, now = ref["job_id"], time.monotonic()
        at, attempts = self._seen.get(job_id, (-math.inf, []))
        if attempts and now - at < self.look_again_s:
            followed = self._followed.get(attempts[-1].id)
            if followed is None or not followed.log.has_ended:
                return attempts
        attempts = self._attempts(client, ref)
        self._seen[job_id] = (now, attempts)
        return attempts

    def _attempts(self, client: JobsClient, ref: Ref) -> list[Attempt]:
        self._seen.pop(ref["job_id"], None)
        attempts = list(client.attempts(ref["job_id"]))
        if not attempts:
            raise NotFoundError(
                f"HF Jobs know no job {ref['job_id']!r} of {self.owner}.",
                remedy="Start the job again.",
            )
        return attempts

    def _limit(self, spec: TrainingSpec) -> float:
        return self.defaults.max_hours * 3600 if spec.max_seconds is None else spec.max_seconds

    def _files(self, job_id: str, spec: TrainingSpec) -> dict[str, bytes]:
        """Return everything that the job's repository begins with."""
        if spec.engine == "trl":
            steps = _checkpoint_steps(spec, self.defaults.checkpoints)
            regular = {**spec.hyperparameters, "checkpoint_steps": steps}
            spec = replace(spec, hyperparameters=regular)
        files = worker_files(
            job_id,
            replace(spec, push_to_hub=True),
            base_model=spec.base_model,
            output_dir="artifact",
            max_seconds=None,  # the machine's time is watched by hub_job
        )
        job = {"max_seconds": self._limit(spec), "engine": spec.engine}
        files["job.json"] = json.dumps(job).encode()
        return files | worker_source()

    def _machine(self, repo: str, engine: TrainingEngine, flavour: str, seconds: float) -> Machine:
        """Return a machine for so long: its own limit leaves time to start and to upload.

        One for AutoTrain has all of the job's time, as it could not go on on another one.
        """
        defaults = self.defaults
        if engine == "trl":
            seconds = min(seconds, defaults.max_hours * 3600)
        spare = 60 * (defaults.start_minutes + defaults.upload_minutes)
        return Machine(
            flavour=flavour,
            image=image(engine, defaults),
            command=command(engine, defaults, repo),
            environment={
                "CHEF_STOP_AFTER": str(seconds),
                "PYTHONUNBUFFERED": "1",
                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                **{
                    name: self.environment[name] for name in _CARRIED_ON if name in self.environment
                },
            },
            timeout_seconds=math.ceil(seconds + spare),
        )

    def _running(self, client: JobsClient, newest: Attempt) -> Progress:
        followed = self._follow(client, newest)
        progress = progress_from("running", followed.log.events(_PATIENCE_SECONDS))
        doing = machine_message(followed.machine.value or {})
        if doing is None:
            return progress
        return replace(progress, message=f"{progress.message} ({doing})")

    def _ended(self, client: JobsClient, ref: Ref, newest: Attempt) -> Progress:
        repo = self._repo(ref["job_id"])
        outcome = client.outcome(repo)
        return ended_progress(newest, outcome, self._last_line(client, newest, outcome), repo)

    @staticmethod
    def _last_line(client: JobsClient, newest: Attempt, outcome: Outcome) -> str:
        told = outcome.manifest or outcome.failure or newest.stage != "ERROR"
        lines = [] if told else list(client.log(newest, follow=False, tail=20))
        return next((line for line in reversed(lines) if line.strip()), "")

    def _follow(self, client: JobsClient, attempt: Attempt) -> _Followed:
        """Listen to a running job, unless this process does already."""
        with self._lock:
            if attempt.id not in self._followed:
                self._followed[attempt.id] = _Followed(
                    JobLog(lambda: client.log(attempt, follow=True), _event),
                    Latest(lambda: client.metrics(attempt)),
                )
            return self._followed[attempt.id]

    def _forget(self, attempt: Attempt) -> None:
        with self._lock:
            self._followed.pop(attempt.id, None)


def _engine(outcome: Outcome) -> TrainingEngine:
    """Return with what a job trains that has begun."""
    return "autotrain" if (outcome.limits or {}).get("engine") == "autotrain" else "trl"


def _ref(job_id: str, attempt: Attempt) -> Ref:
    return {"job_id": job_id, "hf_job": attempt.id, "url": attempt.url}


def _event(line: str) -> dict[str, Any] | None:
    """Return the progress in a line of a job's log."""
    if not line.startswith(_MARK):
        return None
    try:
        found = json.loads(line.removeprefix(_MARK))
    except ValueError:  # a line that was cut off
        return None
    return found if isinstance(found, dict) else None


def _checkpoint_steps(spec: TrainingSpec, checkpoints: int) -> int:
    """Return after how many steps a checkpoint is due: so many in all, or as often as asked."""
    chosen = spec.hyperparameters
    batch = int(chosen.get("batch_size", 4)) * int(chosen.get("gradient_accumulation", 4))
    epochs = float(chosen.get("num_epochs", 3))
    steps = int(chosen.get("max_steps") or len(spec.rows) * epochs / batch)
    regular = max(1, math.ceil(steps / checkpoints))
    return min(regular, int(chosen.get("checkpoint_steps") or regular))
