"""What tests of several rooms share: hypothesis' settings, and a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest
from tests.postgres import PostgresServer

# How long an example takes is the machine's matter, not the test's.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


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
