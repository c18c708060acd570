"""HF Jobs and their repositories, by the Hub's own client (import it late: it is slow)."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from huggingface_hub import CommitOperationAdd, JobInfo
from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError

from agent_orchestrator.agents.infrastructure.modelops.backends.job_attempts import (
    Attempt,
    Machine,
    Outcome,
)
from agent_orchestrator.agents.infrastructure.modelops.hub.client import Hub, hub_failures
from agent_orchestrator.errors import UnavailableError

_JOB: Final = "chef-job"
_STEP: Final = "chef-step"
_PART: Final = "chef-part"


class JobsClient:
    """The jobs and job repositories of one namespace. Blocking; may be shared by threads.

    Every method raises ConfigurationError for a token that is refused, UnavailableError when the
    Hub does not answer, FailedError for what else it refuses.
    """

    def __init__(self, hub: Hub, namespace: str) -> None:
        self._hub = hub
        self._namespace = namespace

    def check(self) -> None:
        """Raise ConfigurationError unless the token may write and run jobs for the namespace."""
        self._hub.check_push(self._namespace, jobs=True)

    # -- jobs --------------------------------------------------------------------------------------

    def attempts(self, job_id: str) -> Sequence[Attempt]:
        """Return the jobs that were started for one of ours, the oldest first."""
        with hub_failures("HF Jobs"):
            found = [
                _attempt(info)
                for info in self._hub.api.list_jobs(
                    namespace=self._namespace, labels={_JOB: job_id}
                )
                if (info.labels or {}).get(_JOB) == job_id
            ]
        return sorted(found, key=lambda attempt: attempt.created_at)

    def run(self, job_id: str, machine: Machine, from_step: int, part: int) -> Attempt:
        """Start a job; ``from_step`` and ``part`` are those of ``Attempt``."""
        token = self._hub.token or ""
        with hub_failures("HF Jobs"):
            started = self._hub.api.run_job(
                image=machine.image,
                command=list(machine.command),
                env=dict(machine.environment),
                secrets={"HUGGINGFACE_TOKEN": token, "HF_TOKEN": token},
                flavor=machine.flavour,
                timeout=machine.timeout_seconds,
                labels={_JOB: job_id, _STEP: str(from_step), _PART: str(part)},
                name=f"code-chef-{job_id}",
                namespace=self._namespace,
            )
        return _attempt(started)

    def cancel(self, attempt: Attempt) -> None:
        """Ask a job to stop."""
        with hub_failures("HF Jobs"):
            self._hub.api.cancel_job(job_id=attempt.id, namespace=self._namespace)

    def log(self, attempt: Attempt, *, follow: bool, tail: int | None = None) -> Iterator[str]:
        """Yield the lines of a job's log; with ``follow`` until the job has ended."""
        with hub_failures("The log of an HF Job"):
            yield from self._hub.api.fetch_job_logs(
                job_id=attempt.id, namespace=self._namespace, follow=follow, tail=tail
            )

    def metrics(self, attempt: Attempt) -> Iterator[Mapping[str, Any]]:
        """Yield what a job's machine is doing, once a second until the job has ended."""
        with hub_failures("The metrics of an HF Job"):
            yield from self._hub.api.fetch_job_metrics(
                job_id=attempt.id, namespace=self._namespace, follow=True
            )

    # -- repositories ------------------------------------------------------------------------------

    def store(self, repo: str, files: Mapping[str, bytes]) -> None:
        """Put files into a private data set repository, which is made unless it is there."""
        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        with hub_failures(f"The Hub, given {repo},"):
            self._hub.api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True)
            try:
                self._hub.api.create_commit(
                    repo, operations, commit_message="Job", repo_type="dataset"
                )
            except RuntimeError as error:  # what the client makes of an upload that broke off
                raise UnavailableError(f"{error}", remedy="Try again.") from error

    def forget_failure(self, repo: str) -> None:
        """Take away what a job ended with, before it goes on."""
        with hub_failures(f"The Hub, given {repo},"):
            self._hub.api.delete_files(
                repo, ["failure.json"], repo_type="dataset", commit_message="Resumed"
            )

    def outcome(self, repo: str) -> Outcome:
        """Return what the machines have left behind so far."""
        try:
            with hub_failures(f"The Hub, asked for {repo},"):
                paths = self._hub.api.list_repo_files(repo, repo_type="dataset")
        except RepositoryNotFoundError:
            return Outcome()
        steps = [int(path.split("/")[1].rpartition("-")[2]) for path in paths if _is_whole(path)]
        return Outcome(
            limits=self._json(repo, paths, "job.json"),
            manifest=self._json(repo, paths, "manifest.json"),
            failure=self._json(repo, paths, "failure.json"),
            events=self._lines(repo, paths, "progress.jsonl"),
            checkpoint_step=max(steps, default=0),
        )

    def _json(self, repo: str, paths: Sequence[str], path: str) -> Mapping[str, Any] | None:
        content = self._read(repo, path) if path in paths else None
        found: Mapping[str, Any] | None = json.loads(content) if content else None
        return found

    def _lines(self, repo: str, paths: Sequence[str], path: str) -> Sequence[dict[str, Any]]:
        content = self._read(repo, path) if path in paths else None
        return [json.loads(line) for line in (content or b"").splitlines()]

    def _read(self, repo: str, path: str) -> bytes | None:
        with tempfile.TemporaryDirectory() as folder, hub_failures(f"The Hub, asked for {repo},"):
            try:
                found = self._hub.api.hf_hub_download(
                    repo, path, repo_type="dataset", local_dir=folder
                )
            except RemoteEntryNotFoundError:  # gone since it was listed
                return None
            return Path(found).read_bytes()


def _is_whole(path: str) -> bool:
    return path.startswith("checkpoints/checkpoint-") and path.endswith("/complete")


def _attempt(info: JobInfo) -> Attempt:
    labels = info.labels or {}
    ran = info.durations.running_secs if info.durations else None
    return Attempt(
        id=info.id,
        stage=str(getattr(info.status.stage, "value", info.status.stage)),
        message=info.status.message or "",
        flavour=str(getattr(info.flavor, "value", info.flavor)),
        created_at=info.created_at.timestamp() if info.created_at else 0.0,
        running_seconds=float(ran or 0.0),
        from_step=int(labels.get(_STEP, "0")),
        part=int(labels.get(_PART, "0")),
        url=info.url,
    )
