"""A state database of one's own, in SQLite and in PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_orchestrator.stores.database import Database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a fresh database; SQLite's lies in a folder that is not there yet."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{tmp_path / 'state' / 'state.db'}"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Return a fresh database."""
    database = Database(database_url)
    yield database
    database.close()
