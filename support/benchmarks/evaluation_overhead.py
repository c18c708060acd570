"""What an evaluation costs over a bare LangSmith evaluate of the same calls.

    python support/benchmarks/evaluation_overhead.py [--examples 100] [--rounds 5]

Both put the same held-out examples to the same model, two at a time, offline: one with our runner
(turns, scores of all metrics, records, report), the other with LangSmith's ``aevaluate``, one exact
match and nothing else. The model is an ``asyncio.sleep`` of 0, 50 and 200 milliseconds. Rounds take
turns; the table has the medians. Writes results/evaluation_overhead.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from langsmith import Client
from langsmith.evaluation import aevaluate
from langsmith.schemas import Example as LangSmithExample
from langsmith.schemas import Run
from tests.doubles.planted_models import example

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Source
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import Dataset, DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.evaluation.answer_cache import CachedCaller
from agent_orchestrator.agents.infrastructure.modelops.evaluation.comparison import (
    EvalRunner,
    Subject,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import ModelAnswer
from agent_orchestrator.stores.defaults import EvaluationDefaults

RESULTS: Final = Path(__file__).parent / "results" / "evaluation_overhead.json"
DELAYS: Final = (0.0, 0.05, 0.2)
"""Of the model's answers, seconds."""
CONCURRENCY: Final = 2
DEFAULTS: Final = EvaluationDefaults(weights={"accuracy": 1}, concurrency=CONCURRENCY)


class Sleeper:
    """A model that answers after a while."""

    def __init__(self, delay: float) -> None:
        self.delay = delay

    async def __call__(self, _model: str, _body: Mapping[str, Any], /) -> ModelAnswer:
        """Answer as a real model's answer is read."""
        begun = time.perf_counter()
        await asyncio.sleep(self.delay)
        took = time.perf_counter() - begun
        return ModelAnswer(text="clean", latency_s=took, prompt_tokens=80, completion_tokens=4)


async def ours(model: Sleeper, dataset: Dataset) -> float:
    """Return how long our evaluation takes, seconds."""
    begun = time.perf_counter()
    report = await EvalRunner(CachedCaller(model, {}, None), DEFAULTS).run(
        "code_review", dataset, Subject("m")
    )
    assert report.n_examples == len(dataset.examples("eval"))
    return time.perf_counter() - begun


async def bare(model: Sleeper, examples: list[Example]) -> float:
    """Return how long LangSmith's own evaluation takes, seconds."""
    client = Client(info={}, tracing_sampling_rate=0.0, auto_batch_tracing=False)

    async def target(inputs: dict[str, Any]) -> dict[str, Any]:
        body = {"messages": [{"role": "user", "content": inputs["task"]}]}
        return {"answer": (await model("m", body)).text}

    def exact(run: Run, example: LangSmithExample) -> dict[str, Any]:
        right = (run.outputs or {})["answer"] == (example.outputs or {})["answer"]
        return {"key": "accuracy", "score": float(right)}

    data = [
        LangSmithExample(
            id=f"00000000-0000-0000-0000-{number:012d}",
            inputs=dict(e.inputs),
            outputs=dict(e.outputs),
        )
        for number, e in enumerate(examples)
    ]
    begun = time.perf_counter()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        found = await aevaluate(
            target,
            data=data,
            evaluators=[exact],
            max_concurrency=CONCURRENCY,
            client=client,
            upload_results=False,
        )
        assert len([row async for row in found]) == len(examples)
    return time.perf_counter() - begun


async def measure(dataset: Dataset, rounds: int) -> list[dict[str, float]]:
    """Return a row for every delay of the model."""
    examples = list(dataset.examples("eval"))
    rows = []
    for delay in DELAYS:
        model = Sleeper(delay)
        await bare(model, examples[:4])  # imports and caches
        await ours(model, dataset)
        pairs = [(await ours(model, dataset), await bare(model, examples)) for _ in range(rounds)]
        own, plain = (statistics.median(side) for side in zip(*pairs, strict=True))
        rows.append(
            {
                "model_seconds": delay,
                "ours_seconds": own,
                "bare_seconds": plain,
                "overhead_pct": 100.0 * (own - plain) / plain,
                "overhead_ms_per_example": 1000.0 * (own - plain) / len(examples),
            }
        )
    return rows


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        held_out = tuple(example(number) for number in range(1000, 1000 + given.examples))
        trained = tuple(example(number) for number in range(12))
        source = Source("overhead", "benchmark", trained, held_out)
        dataset = DatasetStore(Path(folder)).build("code_review", source)
        rows = asyncio.run(measure(dataset, given.rounds))
    print("| Model answers after | Ours | Bare LangSmith | Overhead | A call |")
    print("|---|--:|--:|--:|--:|")
    for row in rows:
        print(
            f"| {1000 * row['model_seconds']:.0f} ms | {row['ours_seconds']:.3f} s "
            f"| {row['bare_seconds']:.3f} s | {row['overhead_pct']:+.1f} % "
            f"| {row['overhead_ms_per_example']:+.2f} ms |"
        )
    document = {"examples": given.examples, "rounds": given.rounds, "rows": rows}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
