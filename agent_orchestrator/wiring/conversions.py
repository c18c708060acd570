"""Conversions to GGUF, and the processes of our own that jobs are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.backends.job_folder import JobFolder
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.conversion import Conversions, Tools
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.settings import Settings, own_python


def compose_conversions(
    settings: Settings,
    desk: Jobs,
    catalogue: Catalogue,
    registry: ModelRegistry,
    datasets: DatasetStore,
) -> Conversions:
    """Return the use case with this machine's tools."""
    return Conversions(
        jobs=desk,
        start=partial(start_process, settings, "conversion_process"),
        catalogue=catalogue,
        registry=registry,
        datasets=datasets,
        reports_dir=settings.reports_dir,
        owner=settings.hub_org,
        tools=Tools(llama_cpp=settings.llama_cpp, check_push=_push_check(settings)),
    )


def start_process(
    settings: Settings, module: str, job_id: str, spec: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Start a job's process (a module of this package) in a folder of its own.

    Raises StorageError.
    """
    folder = JobFolder(settings.jobs_dir / job_id)
    folder.create({"spec.json": json.dumps(spec, indent=2).encode()})
    command = (own_python(), "-m", f"agent_orchestrator.wiring.{module}")
    folder.start(command, settings.child_environment())
    return {"folder": str(folder.path)}


def _push_check(settings: Settings) -> Callable[[str], object] | None:
    """Return what asks the Hub whether we may write for an owner; None without a token."""
    if settings.huggingface_token is None:
        return None

    def check(owner: str) -> object:
        from agent_orchestrator.wiring.hub import open_hub

        return open_hub(settings).check_push(owner)

    return check
