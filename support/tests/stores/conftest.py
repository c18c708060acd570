"""A state database of one's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_orchestrator.stores.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Return a fresh SQLite database in a folder that is not there yet."""
    database = Database(f"sqlite:///{tmp_path / 'state' / 'state.db'}")
    yield database
    database.close()
