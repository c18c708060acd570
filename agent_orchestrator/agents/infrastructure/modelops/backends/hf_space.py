"""Training on a Hugging Face Space, or wherever else the Space's app runs."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx2
from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.backends import Ref
from agent_orchestrator.agents.infrastructure.modelops.backends.space_client import SpaceClient
from agent_orchestrator.agents.infrastructure.modelops.backends.space_events import bring_events
from agent_orchestrator.agents.infrastructure.modelops.backends.space_protocol import (
    ARTIFACT_FILES,
    HEALTH,
    SPACE_JOB,
    TRAIN_REQUEST,
    ArtifactFile,
    Health,
    SpaceJob,
    TrainRequest,
    is_artifact_path,
)
from agent_orchestrator.domain.jobs import Progress
from agent_orchestrator.domain.models import check_model_id
from agent_orchestrator.domain.training import TrainingSpec
from agent_orchestrator.errors import FailedError, StorageError, UnavailableError
from agent_orchestrator.stores.files import locked, sha256_file, storage_error

_BLOCK: Final = 1024 * 1024
_LINES: Final[TypeAdapter[dict[str, list[str]]]] = TypeAdapter(dict[str, list[str]])
_LISTED: Final[TypeAdapter[dict[str, Any]]] = TypeAdapter(dict[str, Any])
#: A model of several gigabytes is fetched once, by whoever looks first; the others wait.
_FETCH_SECONDS: Final = 3600.0
_DEGRADED: Final = frozenset({503})
_DOWNLOADS: Final = 5


@dataclass(frozen=True, slots=True)
class HfSpaceBackend:
    """Implements ``TrainerBackend``, ``Resumes``, ``KeepsArtifacts``, ``Discards`` over HTTP."""

    client: SpaceClient
    artifacts_dir: Path
    """Where fetched models are put, ``<owner>/<name>/``."""
    tensorboard_dir: Path | None = None
    """Where TensorBoard files are brought, ``<job_id>/``; None leaves them where they are."""

    def submit(self, job_id: str, spec: TrainingSpec) -> Ref:
        """See ``TrainerBackend``; also InputError when the Space refuses the job."""
        body = TRAIN_REQUEST.dump_json(TrainRequest(job_id=job_id, spec=spec))
        headers = {"Content-Type": "application/json"}
        self.client.call("POST", "/train", content=body, headers=headers)
        return {"job_id": job_id, "space": self.client.url}

    def poll(self, ref: Ref) -> Progress:
        """See ``TrainerBackend``; what is new for TensorBoard is brought along."""
        job = self._job(self.client.get(f"/status/{_id(ref)}"))
        if self.tensorboard_dir is None or not job.event_files:
            return job.progress
        folder = self.tensorboard_dir / job.job_id
        bring_events(self.client, f"/tensorboard/{_id(ref)}", job.event_files, folder)
        url = folder.as_uri() if folder.is_dir() else None
        return replace(job.progress, tensorboard_url=url)

    def cancel(self, ref: Ref) -> None:
        """See ``TrainerBackend``."""
        self.client.call("POST", f"/cancel/{_id(ref)}")

    def resume(self, ref: Ref) -> None:
        """See ``Resumes``; the job waits for its turn again."""
        self.client.call("POST", f"/resume/{_id(ref)}")

    def logs(self, ref: Ref, tail: int) -> list[str]:
        """See ``TrainerBackend``."""
        answer = self.client.get(f"/logs/{_id(ref)}", tail=tail)
        lines: list[str] = self.client.read(_LINES, answer.content)["lines"]
        return lines

    def health(self) -> Health:
        """Return what the Space can do now. Raises UnavailableError, ConfigurationError."""
        answer = self.client.call("GET", "/health", accepted=_DEGRADED)
        found: Health = self.client.read(HEALTH, answer.content)
        return found

    def fetch(self, ref: Ref, model: str) -> None:
        """See ``KeepsArtifacts``.

        A file that was cut off is gone on with; every one is checked by its hash, and the folder
        appears whole or not at all. Raises UnavailableError, StorageError, FailedError.
        """
        target = self.artifacts_dir / check_model_id(model)
        with locked(target, timeout=_FETCH_SECONDS):
            if target.exists():
                return
            answer = self.client.get(f"/artifacts/{_id(ref)}")
            files = ARTIFACT_FILES.validate_python(
                self.client.read(_LISTED, answer.content)["files"]
            )
            partial = target.with_name(f".{target.name}.partial")
            try:
                _check_room(target.parent, files)
                for file in files:
                    self._fetch_file(ref, file, partial)
                partial.rename(target)
            except OSError as error:
                raise storage_error(target, error) from error

    def discard(self, ref: Ref, model: str) -> None:
        """See ``Discards``."""
        self.client.call("DELETE", f"/artifacts/{_id(ref)}")

    def _fetch_file(self, ref: Ref, file: ArtifactFile, folder: Path) -> None:
        """Bring one file, or what is missing of it."""
        if not is_artifact_path(file.path):
            raise FailedError(
                f"The Space offers {file.path!r}, which is no part of a model.",
                remedy="Trust that Space no more; deploy it again.",
            )
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(_DOWNLOADS):
            have = path.stat().st_size if path.exists() else 0
            if have == file.bytes and sha256_file(path) == file.sha256:
                return
            if have >= file.bytes:
                path.unlink()
                have = 0
            self._append(f"/artifacts/{_id(ref)}/{quote(file.path)}", path, have, file.bytes)
        raise UnavailableError(
            f"{file.path} could not be fetched whole from the Space.",
            remedy="Look at the job again: what has come is kept.",
        )

    def _append(self, url: str, path: Path, have: int, size: int) -> None:
        """Add what comes to a file; a connection that breaks leaves what has come."""
        with self.client.stream(url, have) as response:
            goes_on = response.status_code == httpx2.codes.PARTIAL_CONTENT
            with path.open("ab" if goes_on else "wb") as stream:
                try:
                    for block in response.iter_bytes(_BLOCK):
                        stream.write(block)
                        if stream.tell() > size:
                            break
                except httpx2.TransportError:
                    pass
                stream.flush()
                os.fsync(stream.fileno())

    def _job(self, answer: httpx2.Response) -> SpaceJob:
        job: SpaceJob = self.client.read(SPACE_JOB, answer.content)
        return job


def _id(ref: Ref) -> str:
    return quote(str(ref["job_id"]), safe="")


def _check_room(folder: Path, files: list[ArtifactFile]) -> None:
    """Raise StorageError when the files will not find room."""
    needed = sum(file.bytes for file in files)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"The model needs {needed / _BLOCK:.0f} MiB; {free / _BLOCK:.0f} MiB are left.",
            remedy="Free some disk space and look at the job again.",
        )
