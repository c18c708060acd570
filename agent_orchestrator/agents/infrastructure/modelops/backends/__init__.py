"""Where training jobs run: a port of four methods and what implements it.

Every backend runs the same worker (``agent_orchestrator.trainer``); a backend only carries the job
there and what became of it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from agent_orchestrator.domain.jobs import LogPart, Progress
from agent_orchestrator.domain.models import TrainingEngine
from agent_orchestrator.domain.training import TrainingSpec

Ref = Mapping[str, Any]
"""JSON by which a backend finds a job again, also after a restart.

``{"job_id": …}`` alone must do as well: it is all that is left when who submitted the job died
before writing down what ``submit`` returned.
"""


class FollowsJobs(Protocol):
    """A place where jobs run. Methods block; call them in a thread."""

    def poll(self, ref: Ref) -> Progress:
        """Return where the job stands. Changes nothing.

        Raises NotFoundError when the backend does not know the job, UnavailableError.
        """

    def cancel(self, ref: Ref) -> None:
        """Ask the job to stop. Asking again, or after its end, does nothing."""

    def logs(self, ref: Ref, tail: int) -> list[str]:
        """Return the last ``tail`` lines of the job's log."""


class TrainerBackend(FollowsJobs, Protocol):
    """A place where training jobs run."""

    def submit(self, job_id: str, spec: TrainingSpec) -> Ref:
        """Start a job and return how to find it. The same id again starts nothing new.

        Raises ConfigurationError, StorageError, UnavailableError; then nothing has started.
        """


@runtime_checkable
class Advances(Protocol):
    """A backend whose jobs have no process: they go on whenever somebody looks."""

    def advance(self, ref: Ref) -> None:
        """Do what is due. Idempotent, also when several do it at once; raises as ``poll``."""


@runtime_checkable
class ChecksFirst(Protocol):
    """A backend that can say before a job is priced that it could not be carried out."""

    def check(self, owner: str, engine: TrainingEngine) -> None:
        """Raise ConfigurationError when models of ``owner`` cannot be made there.

        Raises NotAvailable for an engine that is not there, UnavailableError when that cannot be
        found out now.
        """


@runtime_checkable
class GoesOn(Protocol):
    """A backend whose machines may be lost, and which goes on by itself on another one."""

    def go_on(self, ref: Ref) -> bool:
        """Go on with a job that was cut off within its time; False when it must not.

        A job that runs goes on already. Raises as ``submit``.
        """


@runtime_checkable
class ReadsLogs(Protocol):
    """A backend with the whole of a job's log at hand."""

    def log_part(self, ref: Ref, after: int | None, most: int) -> LogPart:
        """Return at most so many lines from a place on that an earlier part ended at.

        From 0 on for the first ones, with None for the last. Only whole lines while the job runs.
        """


@runtime_checkable
class Resumes(Protocol):
    """A backend that can go on with a job which ended before it was completed."""

    def resume(self, ref: Ref) -> None:
        """Start the job again in its place; the worker goes on from its last checkpoint.

        One that runs or is completed is left alone, so that asking again does nothing. Raises
        NotFoundError, ConfigurationError, StorageError, UnavailableError.
        """


@runtime_checkable
class Discards(Protocol):
    """A backend with which a model lies that can be taken away again."""

    def discard(self, ref: Ref, model: str) -> None:
        """Remove a completed job's model; the job stays on record. Idempotent.

        Raises StorageError, UnavailableError; then all of it may still be there.
        """


@runtime_checkable
class KeepsArtifacts(Protocol):
    """A backend with which a finished model stays, unless it was pushed to the Hub."""

    def fetch(self, ref: Ref, model: str) -> None:
        """Bring a completed job's model to the artifacts folder, under this id. Idempotent.

        Raises UnavailableError, StorageError, FailedError; then the folder has not appeared.
        """
