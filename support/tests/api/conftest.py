"""The API over a workspace of one's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.doubles.api_client import Api, compose_api, connected
from tests.doubles.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a fresh installation."""
    return Workspace(tmp_path)


@pytest.fixture
async def api(workspace: Workspace) -> AsyncIterator[Api]:
    """Return the API with a client for each role."""
    async with connected(compose_api(workspace)) as api:
        yield api
