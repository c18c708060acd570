"""A world of one's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.modelops.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return an installation with a stable model that is not registered, and two versions."""
    world = World(tmp_path)
    world.add_version("acme/one")
    world.add_version("acme/two")
    yield world
    world.close()
