"""Whether there is a mirror in MLflow."""

import subprocess
import sys
from pathlib import Path

from tests.doubles.workspace import Workspace

from agent_orchestrator.wiring.embedded import compose
from agent_orchestrator.wiring.mlflow import compose_mirror


def test_there_is_no_mirror_unless_asked_for(tmp_path: Path):
    """Off by default, without MLflow's client being loaded; on with the server's address."""
    workspace = Workspace(tmp_path)
    settings = workspace.settings()
    desk = compose(settings).job_desk
    assert settings.mlflow_tracking_uri is None
    assert compose_mirror(settings, desk) is None
    workspace.variables["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    assert compose_mirror(workspace.settings(), desk) is not None


_COMPOSED = """
from agent_orchestrator.settings import load_settings
from agent_orchestrator.wiring.embedded import compose
from agent_orchestrator.wiring.mlflow import compose_mirror
settings = load_settings()
assert compose_mirror(settings, compose(settings).job_desk) is not None
from mlflow.telemetry import get_telemetry_client
assert get_telemetry_client() is None
"""


def test_mlflows_client_reports_to_nobody(tmp_path: Path):
    """Its telemetry is off before it is imported, in a process that nothing else quietens."""
    workspace = Workspace(tmp_path)
    variables = workspace.variables | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", _COMPOSED],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
