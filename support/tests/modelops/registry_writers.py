"""Programs for the fault tests: writers that compete, are killed, or find the disk full.

``eight PATH WRITERS UPDATES``, ``killed FOLDER KILLS``, ``full PATH``. Children are forked after
the imports, so that a writer costs milliseconds and is killed while it writes, not while it starts.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.domain.routing import Arm, Rollout
from agent_orchestrator.errors import StorageError
from agent_orchestrator.stores.models_yaml import ModelsYaml

MODELS_YAML = """\
openrouter:   # people's comment
  agent_models:
    feature_dev: acme/stable
"""


def eight(path: Path, writers: int, updates: int) -> None:
    """Fork the writers and wait for them; each adds tags, and a version every tenth time."""
    children = []
    for writer in range(writers):
        child = os.fork()
        if child == 0:
            write(path, writer, updates)
            os._exit(0)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    if any(statuses):
        raise SystemExit(f"Writers ended with {statuses}.")


def write(path: Path, writer: int, updates: int) -> None:
    """Make ``updates`` changes to an agent that another writer changes too."""
    registry = ModelRegistry(path, lock_timeout=300.0)
    agent = f"agent-{writer % 4}"
    version = ""
    for number in range(updates):
        tag = f"{writer}-{number}"
        if number % 10 == 0:
            model = registry.add_model_version(agent, model_id=f"acme/m{tag}", tags=[tag])
            version = model.version
        else:
            registry.add_tags(agent, version, tag)


def killed(folder: Path, kills: int) -> None:
    """Kill a writer of both files at random points; after each, both are whole and writable."""
    registry = ModelRegistry(folder / "registry.json")
    models_yaml = ModelsYaml(folder / "models.yaml")
    models_yaml.path.write_text(MODELS_YAML)
    registry.add_model_version("feature_dev", model_id="acme/stable")
    registry.set_current_model("feature_dev", "v1.0.0")
    chance = random.Random(7)  # noqa: S311 - moments, not secrets
    revision = 0
    for _ in range(kills):
        child = os.fork()
        if child == 0:
            try:
                write_both(registry, models_yaml)
            finally:
                os._exit(1)
        time.sleep(chance.uniform(0.001, 0.06))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(status), "the writer ended by itself"
        table = models_yaml.read()
        assert table.agent_models == {"feature_dev": "acme/stable"}
        whole = registry.read()
        assert whole.revision >= revision, "an update was lost"
        revision = whole.revision
        registry.add_tags("feature_dev", "v1.0.0", f"after-{revision}")
        revision += 1
        models_yaml.clear_rollout("feature_dev")
        assert models_yaml.path.read_text() == MODELS_YAML
        assert not list(folder.rglob(".*.tmp")), "litter of the killed writer"
    print(json.dumps({"kills": kills, "revision": revision}))


def write_both(registry: ModelRegistry, models_yaml: ModelsYaml) -> None:
    """Write both files until killed."""
    stable = Arm("stable", "acme/stable", "v1.0.0", 80)
    split = Rollout("ro_1", "canary", (stable, Arm("candidate", "acme/new", None, 20)))
    for number in itertools.count():
        registry.add_tags("feature_dev", "v1.0.0", f"{os.getpid()}-{number}")
        models_yaml.set_rollout("feature_dev", split)
        models_yaml.clear_rollout("feature_dev")


def full(path: Path) -> None:
    """Try an update that does not fit on the disk."""
    room = path.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        ModelRegistry(path).set_notes("feature_dev", "v1.0.0", notes="x" * 1000)
    except StorageError as error:
        print(error)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    PROGRAMS: dict[str, Callable[..., None]] = {"eight": eight, "killed": killed, "full": full}
    program, target, *numbers = sys.argv[1:]
    PROGRAMS[program](Path(target), *map(int, numbers))
