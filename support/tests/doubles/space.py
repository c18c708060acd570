"""The Space's app as a process of its own, on a free port, as the Hub runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.backends.hf_space import HfSpaceBackend
from agent_orchestrator.agents.infrastructure.modelops.backends.space_client import (
    Patience,
    SpaceClient,
)

TOKEN = "space-token-for-tests"
_URL = re.compile(r"Serving on (http://\S+)")
_START_SECONDS = 120
QUICK = Patience(attempts=3, first_pause_s=0.01, longest_pause_s=0.02)


@dataclass
class RunningSpace:
    """One app and where it keeps its jobs. It may be killed and started again."""

    state: Path
    trainer_python: Path
    variables: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    program: tuple[str, ...] = ("-m", "agent_orchestrator.training_space.process")
    url: str = ""
    log: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None

    @property
    def jobs(self) -> Path:
        """The folder of its jobs."""
        return self.state / "space" / "jobs"

    @property
    def artifacts(self) -> Path:
        """The folder of its models."""
        return self.state / "space" / "artifacts"

    def start(self) -> str:
        """Start the app and return its URL."""
        kept = ("PATH", "HOME", "TMPDIR", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= {
            "CHEF_CONFIG": str(self.state / "no-config"),
            "CHEF_STATE": str(self.state),
            "CHEF_TRAINER_PYTHON": str(self.trainer_python),
            "CHEF_SPACE_PORT": "0",
            "MODELOPS_SPACE_TOKEN": TOKEN,
            **self.variables,
        }
        self.process = subprocess.Popen(
            [sys.executable, *self.program, *self.arguments],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        watchdog = threading.Timer(_START_SECONDS, self.process.kill)
        watchdog.start()
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            found = _URL.search(line)
            if found:
                self.url = found.group(1)
                break
        watchdog.cancel()
        threading.Thread(target=self._read_on, args=(self.process,), daemon=True).start()
        return self.url

    def _read_on(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr:
            self.log.extend(process.stderr)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send the app a signal and wait for its end."""
        if self.process is None:
            return 0
        self.process.send_signal(number)
        return self.process.wait(60)

    def client(self, **changes: Any) -> SpaceClient:
        """Return a client that has the token and little patience."""
        return SpaceClient(**{"url": self.url, "token": TOKEN, "patience": QUICK, **changes})

    def backend(self, artifacts: Path, **changes: Any) -> HfSpaceBackend:
        """Return a backend that fetches models into ``artifacts``."""
        return HfSpaceBackend(self.client(**changes), artifacts)


def end_jobs(jobs: Path) -> None:
    """Kill what still works in these job folders."""
    import json

    for record in jobs.glob("*/process.json"):
        try:
            os.killpg(json.loads(record.read_text(encoding="utf-8"))["pid"], signal.SIGKILL)
        except ProcessLookupError:
            continue


@contextmanager
def running_space(state: Path, trainer_python: Path, **settings: Any) -> Iterator[RunningSpace]:
    """Run an app until the end; jobs that still run then are killed."""
    space = RunningSpace(state, trainer_python, **settings)
    try:
        assert space.start(), "".join(space.log)
        yield space
    finally:
        if space.process is not None and space.process.poll() is None:
            space.end()
        end_jobs(space.jobs)
