"""HF Jobs for tests: a backend at a Hub's double, and an image in which jobs really run."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from tests.doubles.hub import USER, WRITE, HubDouble
from tests.doubles.workshop import trainer_python

from agent_orchestrator.agents.infrastructure.modelops.backends.hf_jobs import HfJobsBackend
from agent_orchestrator.agents.infrastructure.modelops.backends.jobs_client import JobsClient
from agent_orchestrator.agents.infrastructure.modelops.hub.client import Hub
from agent_orchestrator.stores.defaults import HfJobsDefaults

_UV = """#!/bin/sh
# Stands for uv in an image that has everything: drops what it would install, runs the rest.
if [ "$1" = pip ]; then exit 0; fi
shift
while true; do
  case "$1" in
    --with|--python) shift 2 ;;
    *) break ;;
  esac
done
exec "$@"
"""


def jobs_backend(
    hub: HubDouble, folder: Path, *, token: str = WRITE, look_again_s: float = 0.0, **defaults: Any
) -> HfJobsBackend:
    """Return a backend of the double's user."""
    client = JobsClient(Hub(token, hub.url), USER)
    environment = hub.environment(token) | {"PATH": os.environ["PATH"]}
    return HfJobsBackend(
        connect=lambda: client,
        owner=USER,
        defaults=HfJobsDefaults(**defaults),
        locks_dir=folder / "locks",
        environment=environment,
        look_again_s=look_again_s,
    )


def really_run(hub: HubDouble, folder: Path, *, python: Path | None = None) -> None:
    """Have the Hub's jobs run on this machine, in an image that has the trainer's libraries."""
    image = folder / "image"
    image.mkdir(exist_ok=True)
    interpreter = python or trainer_python()
    for name, script in (("uv", _UV), ("python", f'#!/bin/sh\nexec "{interpreter}" "$@"\n')):
        path = image / name
        path.write_text(script, encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    hub.jobs.path = f"{image}:/usr/bin:/bin"
    hub.jobs.environment = {"OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def publish(hub: HubDouble, model: str, folder: Path) -> None:
    """Have a local model on the Hub."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    hub.repos.add("model", model, files)
