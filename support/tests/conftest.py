"""What tests of several rooms share: hypothesis' settings, a PostgreSQL server, a LangSmith.

Tests marked ``live`` talk to a real service. They are collected with ``--live`` only, so that keys
in the environment never make the ordinary tests spend or send anything.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import hypothesis
import pytest
from tests.doubles.langsmith import LangSmith
from tests.postgres import PostgresServer

# How long an example takes is the machine's matter, not the test's.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--live``."""
    parser.addoption("--live", action="store_true", help="run the contract tests' live half too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is live, unless it is asked for."""
    if config.getoption("--live"):
        return
    live = [item for item in items if item.get_closest_marker("live")]
    items[:] = [item for item in items if item not in live]
    if live:
        config.hook.pytest_deselected(items=live)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a test marked ``untraced`` without measuring its coverage.

    pytest-cov's ``no_cover`` does nothing in xdist's processes: it pauses one of two measurements.
    """
    tracer = sys.gettrace() if item.get_closest_marker("untraced") else None
    if tracer:
        sys.settrace(None)
    try:
        return (yield)
    finally:
        if tracer:
            sys.settrace(tracer)


@pytest.fixture
def langsmith() -> Iterator[LangSmith]:
    """Return a LangSmith of this test's own on loopback."""
    with LangSmith() as service:
        yield service


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
