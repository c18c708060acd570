"""The benchmark of what an evaluation costs over LangSmith's own."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import evaluation_overhead as benchmark
from tests.doubles.planted_models import example

from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Source
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import ModelAnswer


async def test_both_ways_put_every_example_to_the_model(tmp_path: Path) -> None:
    """Each asks for itself; neither sends anything anywhere."""
    held_out = tuple(example(number) for number in range(1000, 1006))
    source = Source("few", "test", tuple(example(number) for number in range(12)), held_out)
    dataset = DatasetStore(tmp_path).build("code_review", source)
    asked = 0

    class Counting(benchmark.Sleeper):
        async def __call__(self, model: str, body: Mapping[str, Any], /) -> ModelAnswer:
            nonlocal asked
            asked += 1
            return await super().__call__(model, body)

    await benchmark.ours(Counting(0.0), dataset)
    assert asked == 6
    await benchmark.bare(Counting(0.0), list(held_out))
    assert asked == 12


def test_the_recorded_overhead_is_what_we_promise() -> None:
    """At most 5 % where the model takes as long as models do."""
    rows = json.loads(benchmark.RESULTS.read_text(encoding="utf-8"))["rows"]
    assert [row["model_seconds"] for row in rows] == list(benchmark.DELAYS)
    assert all(row["overhead_pct"] <= 5.0 for row in rows if row["model_seconds"] >= 0.05)
