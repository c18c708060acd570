"""A world of one's own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.modelops.world import World


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder of an installation once: an unregistered stable model, two versions."""
    folder = tmp_path_factory.mktemp("furnished")
    world = World(folder)
    world.add_version("acme/one")
    world.add_version("acme/two")
    world.approvals.pending(0.0)  # makes the database
    world.close()
    return folder


@pytest.fixture
def world(tmp_path: Path, furnished: Path) -> Iterator[World]:
    """Return an installation in ``tmp_path``."""
    shutil.copytree(furnished, tmp_path, dirs_exist_ok=True)
    world = World(tmp_path)
    yield world
    world.close()
