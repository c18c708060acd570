"""The training backends that the settings make available."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from agent_orchestrator.agents.infrastructure.modelops.backends import TrainerBackend
from agent_orchestrator.agents.infrastructure.modelops.backends.hf_jobs import HfJobsBackend
from agent_orchestrator.agents.infrastructure.modelops.backends.local import LocalBackend
from agent_orchestrator.serving.tracing import Tracer
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.defaults import load_training_defaults
from agent_orchestrator.stores.jobs import JobStore
from agent_orchestrator.wiring.hub import open_hub

if TYPE_CHECKING:
    from agent_orchestrator.agents.infrastructure.modelops.backends.hf_space import HfSpaceBackend
    from agent_orchestrator.agents.infrastructure.modelops.backends.jobs_client import JobsClient

#: Owner of models that are never published.
NOBODY = "local"


def compose_backends(
    settings: Settings, jobs: JobStore, tracer: Tracer | None
) -> dict[str, TrainerBackend]:
    """Return the backends by their names; traced if anything is, but for jobs that stay here."""
    backends = _backends(settings)
    if tracer is None:
        return backends
    from agent_orchestrator.agents.infrastructure.modelops.backends.traced import traced

    def stays_here(job_id: str) -> bool:
        return bool(jobs.get(job_id).request.get("offline"))

    return {name: traced(name, backend, tracer, stays_here) for name, backend in backends.items()}


def _backends(settings: Settings) -> dict[str, TrainerBackend]:
    backends: dict[str, TrainerBackend] = {"local": local_backend(settings)}
    if settings.space_url:
        backends["hf_space"] = space_backend(settings, settings.space_url)
    if settings.huggingface_jobs_enabled:
        backends["hf_jobs"] = jobs_backend(settings)
    return backends


def local_backend(settings: Settings) -> LocalBackend:
    """Return the backend of this machine."""
    return LocalBackend(
        jobs_dir=settings.jobs_dir,
        artifacts_dir=settings.artifacts_dir,
        trainer_python=settings.trainer_python,
        autotrain_python=settings.autotrain_python,
        environment=settings.child_environment(),
    )


def space_backend(settings: Settings, url: str) -> HfSpaceBackend:
    """Return the backend of the Space at ``url``; its HTTP client loads slowly."""
    from agent_orchestrator.agents.infrastructure.modelops.backends.hf_space import HfSpaceBackend
    from agent_orchestrator.agents.infrastructure.modelops.backends.space_client import SpaceClient

    token, hub_token = settings.space_token, settings.huggingface_token
    client = SpaceClient(
        url,
        token.get_secret_value() if token else None,
        hub_token.get_secret_value() if hub_token else None,
    )
    return HfSpaceBackend(client, settings.artifacts_dir, settings.tensorboard_dir)


def jobs_backend(settings: Settings) -> TrainerBackend:
    """Return the backend of HF Jobs."""

    @cache
    def connect() -> JobsClient:
        from agent_orchestrator.agents.infrastructure.modelops.backends.jobs_client import (
            JobsClient,  # the Hub's client loads slowly
        )

        return JobsClient(open_hub(settings), settings.hub_org)

    return HfJobsBackend(
        connect=connect,
        owner=settings.hub_org,
        defaults=load_training_defaults(settings.config_dir).hf_jobs,
        locks_dir=settings.run_dir / "hf-jobs",
        environment=settings.child_environment(),
    )


def pushing_backends(settings: Settings) -> frozenset[str]:
    """Return the backends whose models go to the Hub: a Space keeps them where we have no owner."""
    if settings.huggingface_token is None or settings.hub_org == NOBODY:
        return frozenset({"hf_jobs"})
    return frozenset({"hf_jobs", "hf_space"})


def trackio_target(settings: Settings) -> dict[str, str] | None:
    """Return where Trackio shows trainings, None when it does not."""
    if settings.trackio_project is None:
        return None
    space = {"space": settings.trackio_space} if settings.trackio_space else {}
    return {"project": settings.trackio_project, **space}
