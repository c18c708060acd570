"""Whether there is a mirror in MLflow."""

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
