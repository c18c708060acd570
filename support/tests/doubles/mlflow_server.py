"""A real MLflow server of a test's own, in the environment of ``make setup-mlflow``."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from tests.doubles.ports import free_port
from tests.doubles.workshop import ROOT, environment

PROGRAM = ROOT / ".venv-mlflow" / "bin" / "mlflow"
_START_SECONDS = 180


@dataclass
class MlflowServer:
    """A server that keeps everything in one folder; it may be stopped and started again."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        if not PROGRAM.exists():
            pytest.fail("No .venv-mlflow: run `make setup-mlflow`.", pytrace=False)
        self.port = self.port or free_port()
        options = {
            "--host": "127.0.0.1",
            "--port": str(self.port),
            "--workers": "1",
            "--backend-store-uri": f"sqlite:///{self.folder / 'mlflow.db'}",
            "--artifacts-destination": str(self.folder / "artifacts"),
        }
        given = [part for option in options.items() for part in option]
        path = f"{PROGRAM.parent}:{environment()['PATH']}"
        with (self.folder / "server.log").open("ab") as log:
            quiet = {
                "PATH": path,
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "MLFLOW_DISABLE_TELEMETRY": "true",
            }
            self.process = subprocess.Popen(
                [PROGRAM, "server", *given],
                env=environment() | quiet,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail((self.folder / "server.log").read_text()[-2000:], pytrace=False)
            time.sleep(0.2)

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self.uri}/health", timeout=5).status_code == 200
        except httpx2.HTTPError:
            return False


@contextmanager
def mlflow_server(folder: Path) -> Iterator[MlflowServer]:
    """Give a server that is not started yet, and end it."""
    server = MlflowServer(folder, free_port())
    try:
        yield server
    finally:
        server.stop()
