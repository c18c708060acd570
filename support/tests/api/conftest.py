"""The API over a workspace of one's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.doubles.api_client import Api, opened_api
from tests.doubles.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a fresh installation without any language model."""
    return Workspace(tmp_path, {"OPENROUTER_BASE_URL": "https://openrouter.ai/api/v1"})


@pytest.fixture
async def api(workspace: Workspace) -> AsyncIterator[Api]:
    """Return the API with a client for each role."""
    async with opened_api(workspace) as api:
        yield api
