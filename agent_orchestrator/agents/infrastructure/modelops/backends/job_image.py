"""What a machine of HF Jobs consists of: image, interpreter, an engine's libraries, our worker."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import agent_orchestrator
from agent_orchestrator.domain.models import TrainingEngine
from agent_orchestrator.stores.defaults import HfJobsDefaults

_PACKAGE: Final = Path(agent_orchestrator.__file__).parent
#: AutoTrain's pins allow no other.
_AUTOTRAIN_PYTHON: Final = "3.11"
#: Downloads the job, and what is installed without its dependencies, and becomes the job.
_BOOTSTRAP: Final = """\
import os, subprocess, sys
from huggingface_hub import snapshot_download
repo, *alone = sys.argv[1:]
token = os.environ["HUGGINGFACE_TOKEN"]
folder = snapshot_download(repo, repo_type="dataset", local_dir="job", token=token)
paths = [os.path.join(folder, "worker")]
if alone:
    paths.append(os.path.abspath("alone"))
    into = ["--no-deps", "--python", sys.executable, "--target", paths[-1]]
    subprocess.run(["uv", "pip", "install", *into, *alone], check=True)
os.environ["PYTHONPATH"] = os.pathsep.join(paths)
module = "agent_orchestrator.trainer.hub_job"
os.execv(sys.executable, [sys.executable, "-m", module, folder, repo])
"""


def image(engine: TrainingEngine, defaults: HfJobsDefaults) -> str:
    """Return the Docker image."""
    return defaults.autotrain_image if engine == "autotrain" else defaults.image


def command(engine: TrainingEngine, defaults: HfJobsDefaults, repo: str) -> tuple[str, ...]:
    """Return what installs the engine's environment and works on the job of ``repo`` in it."""
    python = _AUTOTRAIN_PYTHON if engine == "autotrain" else defaults.python
    alone = _pins("autotrain-itself") if engine == "autotrain" else ()
    dependencies = [part for pin in _pins(engine) for part in ("--with", pin)]
    run = ("uv", "run", *dependencies, "--python", python, "python", "-c", _BOOTSTRAP)
    return (*run, repo, *alone)


@cache
def worker_source() -> dict[str, bytes]:
    """Return the installed worker, file by file."""
    paths = [_PACKAGE / "__init__.py", *sorted((_PACKAGE / "trainer").rglob("*.py"))]
    return {f"worker/{path.relative_to(_PACKAGE.parent)}": path.read_bytes() for path in paths}


@cache
def _pins(environment: str) -> tuple[str, ...]:
    """Return what an environment consists of."""
    path = _PACKAGE / "trainer" / f"requirements-{environment}.txt"
    lines = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return tuple(line.replace(" ", "") for line in lines if line)
