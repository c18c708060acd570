"""What the Space's app and its client say to each other, as JSON over HTTP.

Every request but ``GET /health`` carries ``Authorization: Bearer <token>``; a private Space's edge
takes the Hub's own token from ``X-HF-Authorization``. Every answer of the app carries
``X-Chef-Space`` with the protocol's number: what comes without it was said by somebody in between
(the Hub, while a Space sleeps or is built; a proxy).

======================================  ========================================================
``GET /health``                         ``Health``; without the token only its status
``POST /train``                         ``TrainRequest`` → ``SpaceJob``, 202; 200 for a known id
``GET /jobs``                           ``{"jobs": [SpaceJob, …]}``, newest first, without losses
``GET /status/{job_id}``                ``SpaceJob``
``GET /logs/{job_id}?tail=N``           ``{"lines": […]}``
``POST /cancel/{job_id}``               ``SpaceJob``
``POST /resume/{job_id}``               ``SpaceJob``; one that runs or is completed is left alone
``GET /artifacts/{job_id}``             ``{"files": [{"path", "sha256", "bytes"}, …]}``
``GET /artifacts/{job_id}/{path}``      the file; ranges are understood
``GET /tensorboard/{job_id}/{path}``    one of its ``event_files``; ranges are understood
======================================  ========================================================

An error is ``{"error": <name of the exception>, "message", "remedy"}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

from annotated_types import MaxLen
from pydantic import TypeAdapter

from agent_orchestrator.domain.jobs import Progress
from agent_orchestrator.domain.training import TrainingSpec

PROTOCOL: Final = "1"
HEADER: Final = "X-Chef-Space"
HUB_AUTHORIZATION: Final = "X-HF-Authorization"

_EVENT_FILE: Final = "events.out.tfevents."
_FORBID_EXTRA = {"extra": "forbid"}

#: What a model consists of. Everything else stays where it is, pickles above all.
_SUFFIXES: Final = frozenset({".safetensors", ".json", ".md", ".txt", ".jinja", ".model"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """Body of ``POST /train``."""

    __pydantic_config__ = _FORBID_EXTRA

    job_id: Annotated[str, MaxLen(128)]
    spec: TrainingSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFile:
    """A TensorBoard file, which grows at its end while the job runs."""

    path: str
    """Inside the job's TensorBoard folder."""
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceJob:
    """A job as the Space tells of it."""

    job_id: str
    progress: Progress
    before_it: int | None = None
    """Jobs that go first, while it waits."""
    event_files: Sequence[EventFile] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the Space can do now."""

    status: Literal["ok", "checking", "degraded"]
    """``checking`` until the engine's interpreter has answered for the first time."""
    reasons: Sequence[str] = ()
    """Why it is degraded."""
    engine: Mapping[str, str] = field(default_factory=dict)
    """Version of each library that the engine's interpreter could import."""
    gpus: Sequence[Mapping[str, Any]] = ()
    """``{"name", "memory_bytes"}`` each."""
    disk_free_bytes: int | None = None
    running: Sequence[str] = ()
    waiting: Sequence[str] = ()
    """Job ids, the next one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactFile:
    """One file of a finished model, as the worker's manifest lists it."""

    path: str
    sha256: str
    bytes: int


TRAIN_REQUEST: Final[TypeAdapter[TrainRequest]] = TypeAdapter(TrainRequest)
SPACE_JOB: Final[TypeAdapter[SpaceJob]] = TypeAdapter(SpaceJob)
SPACE_JOBS: Final[TypeAdapter[list[SpaceJob]]] = TypeAdapter(list[SpaceJob])
HEALTH: Final[TypeAdapter[Health]] = TypeAdapter(Health)
ARTIFACT_FILES: Final[TypeAdapter[list[ArtifactFile]]] = TypeAdapter(list[ArtifactFile])


def is_event_path(path: str) -> bool:
    """Tell whether ``path`` names a TensorBoard file, inside its folder."""
    pure = PurePosixPath(path)
    return pure.name.startswith(_EVENT_FILE) and _is_inside(path)


def is_artifact_path(path: str) -> bool:
    """Tell whether ``path`` names a file that may be part of a model, inside its folder."""
    return PurePosixPath(path).suffix in _SUFFIXES and _is_inside(path)


def _is_inside(path: str) -> bool:
    pure = PurePosixPath(path)
    hidden = any(part.startswith(".") for part in pure.parts)
    return not (pure.is_absolute() or hidden or "\\" in path or "\0" in path)
