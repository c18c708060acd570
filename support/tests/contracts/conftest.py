"""Either half of a contract test: the double, and with ``--live`` the real service."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contracts.hub_peers import HubPeer, hub_double, hub_service
from tests.contracts.peers import LangSmithPeer, langsmith_double, langsmith_service

EITHER = ["double", pytest.param("service", marks=pytest.mark.live)]
"""Parameters of a fixture that gives a test both halves."""


@pytest.fixture(params=EITHER)
def langsmith_peer(request: pytest.FixtureRequest) -> Iterator[LangSmithPeer]:
    """Return LangSmith: the double, or the service."""
    halves = {"double": langsmith_double, "service": langsmith_service}
    with halves[request.param]() as peer:
        yield peer


@pytest.fixture(params=EITHER)
def hub_peer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HubPeer]:
    """Return the Hugging Face Hub: the double, or the service."""
    half = hub_double(tmp_path) if request.param == "double" else hub_service()
    with half as peer:
        yield peer
