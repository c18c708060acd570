"""Data sets that are larger than memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from soak.million_rows import rows as made_rows

from agent_orchestrator.agents.infrastructure.modelops.datasets.drafts import CLEANED
from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import BadRow, Source
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.errors import UpstreamError


def peak(folder: Path, rows: int) -> int:
    """Return the most memory that Python held while it built a data set of made rows, bytes."""
    source = Source("made", "made", made_rows(rows))
    tracemalloc.start()
    try:
        DatasetStore(folder).build("feature_dev", source, recipe=CLEANED)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Three times the rows take hardly more: much less than the further rows' own text."""
    peak(tmp_path / "warm", 60)  # what is loaded once
    few, many = peak(tmp_path / "few", 1200), peak(tmp_path / "many", 3600)
    text = sum(len(row.line()) for row in made_rows(2400) if isinstance(row, Example))
    assert many - few < text / 5


def test_rows_are_taken_one_at_a_time(tmp_path: Path) -> None:
    """When the source breaks off, what was read is thrown away, and the source is closed."""
    given: list[str] = []

    def broken() -> Iterator[Example | BadRow]:
        try:
            for row in made_rows(50):
                given.append("row")
                yield row
            raise UpstreamError("It broke off.")
        finally:
            given.append("closed")

    store = DatasetStore(tmp_path)
    with pytest.raises(UpstreamError, match="broke off"):
        store.build("feature_dev", Source("broken", "broken", broken()), recipe=CLEANED)
    assert given[-1] == "closed"
    assert len(given) == 51
    assert list(tmp_path.iterdir()) == []


def test_one_data_set_is_the_same_however_often_it_is_made(tmp_path: Path) -> None:
    """The same rows and seed give the same hash; another seed splits otherwise."""

    def build(folder: str, seed: int) -> str:
        source = Source("made", "made", made_rows(400))
        recipe = replace(CLEANED, seed=seed)
        return DatasetStore(tmp_path / folder).build("feature_dev", source, recipe=recipe).hash

    assert build("one", 0) == build("two", 0) != build("three", 1)
