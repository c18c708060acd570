"""What tests of several rooms share: a PostgreSQL server, for those that ask for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Return a server of this test run's own; without one installed, skip (in CI: fail)."""
    with PostgresServer.running() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """Return the URL of an empty database."""
    with postgres.database() as url:
        yield url
