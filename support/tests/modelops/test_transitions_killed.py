"""Deployments by a process that is killed at any moment."""

import json
from pathlib import Path

import pytest
from tests.modelops.deployers import run_deployers


@pytest.mark.parametrize("kills", [20, pytest.param(300, marks=pytest.mark.slow)])
def test_a_killed_deployer_leaves_files_that_agree(tmp_path: Path, kills: int) -> None:
    """After SIGKILL at a random moment, registry and models.yaml are whole; recovered, they agree.

    The process deploys, promotes, rolls back and lets the timer tick, over and over; the next one
    goes on from where it was killed.
    """
    said = json.loads(run_deployers("killed", tmp_path, kills, kills).stdout)
    assert said["rollouts"] > 0
