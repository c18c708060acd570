"""The benchmark of what an evaluation costs over LangSmith's own."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import evaluation_overhead as benchmark
from tests.doubles.langsmith import LangSmith
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


async def test_both_ways_are_uploaded_whole(tmp_path: Path, langsmith: LangSmith) -> None:
    """One arm, then two: every call of either way is a run with its score in LangSmith."""
    held_out = tuple(example(number) for number in range(1000, 1004))
    source = Source("few", "test", tuple(example(number) for number in range(12)), held_out)
    dataset = DatasetStore(tmp_path).build("code_review", source)
    rows = await benchmark.measure_uploaded(dataset, 1, langsmith.url, delays=(0.0,))
    assert [row["arms"] for row in rows] == [1, 2]
    ours = len(held_out) * (1 + 1 + 2)  # the first makes LangSmith know the data set
    bare = len(held_out) * (1 + 2)
    roots = [
        run for run in langsmith.runs.values() if run["name"] in {"AsyncTarget", "code_review"}
    ]
    assert len(roots) == ours + bare
    scores = [row for row in langsmith.feedback.values() if row["key"] == "accuracy"]
    assert len(scores) == ours + bare


def test_the_recorded_overhead_is_what_we_promise() -> None:
    """At most 5 % where the model takes as long as models do."""
    rows = json.loads(benchmark.RESULTS.read_text(encoding="utf-8"))["rows"]
    assert [row["model_seconds"] for row in rows] == list(benchmark.DELAYS)
    assert all(row["overhead_pct"] <= 5.0 for row in rows if row["model_seconds"] >= 0.05)
    uploaded = json.loads(benchmark.RESULTS.read_text(encoding="utf-8"))["uploaded"]["rows"]
    assert {row["model_seconds"] for row in uploaded} == set(benchmark.UPLOADED_DELAYS)
    assert all(row["overhead_pct"] <= 5.0 for row in uploaded if row["model_seconds"] >= 0.2)
