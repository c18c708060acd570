"""A Space whose jobs take no time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.doubles.space import RunningSpace, running_space
from tests.doubles.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return an installation whose trainer is a stub."""
    return Workspace(tmp_path)


@pytest.fixture
def space(workspace: Workspace, tmp_path: Path) -> Iterator[RunningSpace]:
    """Return a running app."""
    with running_space(tmp_path / "space", workspace.settings().trainer_python) as space:
        yield space


@pytest.fixture(scope="module")
def idle_space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSpace]:
    """Return a running app that tests share: none of them gives it a job."""
    folder = tmp_path_factory.mktemp("idle")
    with running_space(folder / "space", Workspace(folder).settings().trainer_python) as space:
        yield space
