"""A gateway's memory under load: ``make soak`` looks for ten minutes, this for one."""

from pathlib import Path

import pytest
from soak.memory import soak


@pytest.mark.slow
async def test_memory_is_flat_under_load(tmp_path: Path):
    """After its warm-up it rises by no more than some noise."""
    found = await soak(60.0, tmp_path)
    assert found.failed == 0
    assert found.is_flat, found
