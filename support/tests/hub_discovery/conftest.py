"""A workspace of one's own."""

from pathlib import Path

import pytest
from tests.doubles.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a fresh installation."""
    return Workspace(tmp_path)
