"""Commands, gateways and the timer killed at random points, as separate processes."""

from dataclasses import fields
from pathlib import Path

import pytest
from soak.crash import crash


@pytest.mark.slow
async def test_after_every_kill_records_files_and_gateways_agree(tmp_path: Path):
    """Registry, models.yaml, the rollout and what both gateways serve: the same, 50 times.

    Some kills come while the change is written down and not done; without any of those it would
    have shown little.
    """
    tally = await crash(tmp_path, runs=50, seed=7)
    print({item.name: getattr(tally, item.name) for item in fields(tally)})
    assert tally.in_the_middle
    assert tally.recovered
