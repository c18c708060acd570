"""Either half of a contract test: the double, and with ``--live`` the real service."""

from collections.abc import Iterator

import pytest
from tests.contracts.peers import LangSmithPeer, langsmith_double, langsmith_service

EITHER = ["double", pytest.param("service", marks=pytest.mark.live)]
"""Parameters of a fixture that gives a test both halves."""


@pytest.fixture(params=EITHER)
def langsmith_peer(request: pytest.FixtureRequest) -> Iterator[LangSmithPeer]:
    """Return LangSmith: the double, or the service."""
    halves = {"double": langsmith_double, "service": langsmith_service}
    with halves[request.param]() as peer:
        yield peer
