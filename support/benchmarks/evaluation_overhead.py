"""What an evaluation costs over a bare LangSmith evaluate of the same calls.

    python support/benchmarks/evaluation_overhead.py [--examples 100] [--rounds 5] [--uploaded]

Both put the same held-out examples to the same model, two at a time: one with our runner (turns,
scores of all metrics, answers kept, records, report), the other with LangSmith's ``aevaluate``,
one exact match and nothing else. The model is an ``asyncio.sleep``. Rounds take turns; the table
has the medians.

Offline nothing is sent. ``--uploaded`` sends both ways' experiments to a double of LangSmith, a
process of its own that answers every request after 50 milliseconds: one model, then a candidate
and its baseline (ours with the comparison, which the bare way has not). What was measured before
in the other way stays in results/evaluation_overhead.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import multiprocessing
import statistics
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from langsmith import Client
from langsmith.evaluation import aevaluate
from langsmith.schemas import Example as LangSmithExample
from langsmith.schemas import Run
from tests.doubles.langsmith import KEY, LangSmith
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
from agent_orchestrator.agents.infrastructure.modelops.evaluation.upload import (
    LangSmithAccount,
    upload_evaluation,
)
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.stores.defaults import EvaluationDefaults
from agent_orchestrator.stores.response_cache import ResponseCache

RESULTS: Final = Path(__file__).parent / "results" / "evaluation_overhead.json"
DELAYS: Final = (0.0, 0.05, 0.2)
"""Of the model's answers, seconds."""
UPLOADED_DELAYS: Final = (0.05, 0.2, 0.5)
ROUND_TRIP: Final = 0.05
"""Of a request to LangSmith, seconds."""
CONCURRENCY: Final = 2
DEFAULTS: Final = EvaluationDefaults(weights={"accuracy": 1}, concurrency=CONCURRENCY)
PLACES: Final = {name: Endpoint(name, "openrouter") for name in ("m", "n")}


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


async def ours(model: Sleeper, dataset: Dataset, *, arms: int = 1, url: str | None = None) -> float:
    """Return how long our evaluation takes, seconds; with a ``url`` it is uploaded there."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, closing(_cache(folder)) as kept:
        caller = CachedCaller(model, PLACES, kept)
        report = await EvalRunner(caller, DEFAULTS).run(
            "code_review", dataset, Subject("m"), Subject("n") if arms > 1 else None
        )
    assert report.n_examples == len(dataset.examples("eval"))
    if url is not None:
        account = LangSmithAccount(url, KEY)
        await asyncio.to_thread(upload_evaluation, account, report, dataset, "job")
    return time.perf_counter() - begun


def _cache(folder: str) -> ResponseCache:
    return ResponseCache(Path(folder) / "answers.db", 1 << 28)


async def bare(
    model: Sleeper, examples: list[Example], *, arms: int = 1, url: str | None = None
) -> float:
    """Return how long LangSmith's own evaluation takes, seconds; uploaded: of its data set."""
    silent = {"info": {}, "tracing_sampling_rate": 0.0, "auto_batch_tracing": False}
    client = Client(api_url=url, api_key=KEY) if url else Client(**silent)  # type: ignore[arg-type]
    data: Any = "bare" if url else list(map(_as_langsmith, range(len(examples)), examples))

    async def target(inputs: dict[str, Any]) -> dict[str, Any]:
        body = {"messages": [{"role": "user", "content": inputs["task"]}]}
        return {"answer": (await model("m", body)).text}

    begun = time.perf_counter()
    with _muted():
        for _ in range(arms):
            found = await aevaluate(
                target,
                data=data,
                evaluators=[_exact],
                max_concurrency=CONCURRENCY,
                client=client,
                upload_results=url is not None,
            )
            assert len([row async for row in found]) == len(examples)
    client.flush()
    took = time.perf_counter() - begun
    client.close()
    return took


def _exact(run: Run, example: LangSmithExample) -> dict[str, Any]:
    right = (run.outputs or {})["answer"] == (example.outputs or {})["answer"]
    return {"key": "accuracy", "score": float(right)}


def _as_langsmith(number: int, example: Example) -> LangSmithExample:
    return LangSmithExample(
        id=f"00000000-0000-0000-0000-{number:012d}",
        inputs=dict(example.inputs),
        outputs=dict(example.outputs),
    )


@contextmanager
def _muted() -> Iterator[None]:
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


async def measure(dataset: Dataset, rounds: int) -> list[dict[str, float]]:
    """Return a row for every delay of the model, offline."""
    examples = list(dataset.examples("eval"))
    rows = []
    for delay in DELAYS:
        model = Sleeper(delay)
        await bare(model, examples[:4])  # imports and caches
        await ours(model, dataset)
        own, plain = await _medians(
            rounds, partial(ours, model, dataset), partial(bare, model, examples)
        )
        rows.append(_row(delay, own, plain, len(examples)))
    return rows


async def measure_uploaded(
    dataset: Dataset, rounds: int, url: str, delays: tuple[float, ...] = UPLOADED_DELAYS
) -> list[dict[str, float]]:
    """Return a row for every number of arms and delay of the model, uploaded."""
    examples = list(dataset.examples("eval"))
    prepare_bare(url, examples)
    await ours(Sleeper(0.0), dataset, url=url)  # from now on LangSmith has our data set too
    rows = []
    for arms in (1, 2):
        for delay in delays:
            model = Sleeper(delay)
            own, plain = await _medians(
                rounds,
                partial(ours, model, dataset, arms=arms, url=url),
                partial(bare, model, examples, arms=arms, url=url),
            )
            rows.append({"arms": arms, **_row(delay, own, plain, arms * len(examples))})
    return rows


def prepare_bare(url: str, examples: list[Example]) -> None:
    """Create the data set that the bare way evaluates on."""
    client = Client(api_url=url, api_key=KEY)
    rows = [{"inputs": e.inputs, "reference_outputs": e.outputs} for e in examples]
    client.create_examples(dataset_id=client.create_dataset("bare").id, examples=rows)
    client.close()


async def _medians(
    rounds: int, own: Callable[[], Awaitable[float]], plain: Callable[[], Awaitable[float]]
) -> tuple[float, float]:
    pairs = [(await own(), await plain()) for _ in range(rounds)]
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)


def _row(delay: float, own: float, plain: float, calls: int) -> dict[str, float]:
    return {
        "model_seconds": delay,
        "ours_seconds": own,
        "bare_seconds": plain,
        "overhead_pct": 100.0 * (own - plain) / plain,
        "overhead_ms_per_example": 1000.0 * (own - plain) / calls,
    }


@contextmanager
def service() -> Iterator[str]:
    """Run LangSmith's double as a process of its own; give its address."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=_serve, args=(far,))
    process.start()
    yield near.recv()
    near.send("end")
    process.join()


def _serve(told: Connection) -> None:
    with LangSmith(slow_by=ROUND_TRIP) as langsmith:
        told.send(langsmith.url)
        told.recv()


def show(rows: list[dict[str, float]]) -> None:
    """Print a table."""
    print("| Arms | Model answers after | Ours | Bare LangSmith | Overhead | A call |")
    print("|--:|---|--:|--:|--:|--:|")
    for row in rows:
        print(
            f"| {row.get('arms', 1)} | {1000 * row['model_seconds']:.0f} ms "
            f"| {row['ours_seconds']:.3f} s | {row['bare_seconds']:.3f} s "
            f"| {row['overhead_pct']:+.1f} % | {row['overhead_ms_per_example']:+.2f} ms |"
        )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--uploaded", action="store_true")
    given = parser.parse_args()
    document = json.loads(RESULTS.read_text(encoding="utf-8"))
    sizes = {"examples": given.examples, "rounds": given.rounds}
    with tempfile.TemporaryDirectory() as folder:
        held_out = tuple(example(number) for number in range(1000, 1000 + given.examples))
        trained = tuple(example(number) for number in range(12))
        source = Source("overhead", "benchmark", trained, held_out)
        dataset = DatasetStore(Path(folder)).build("code_review", source)
        if given.uploaded:
            with service() as url:
                rows = asyncio.run(measure_uploaded(dataset, given.rounds, url))
            document["uploaded"] = {**sizes, "round_trip_seconds": ROUND_TRIP, "rows": rows}
        else:
            rows = asyncio.run(measure(dataset, given.rounds))
            document |= {**sizes, "rows": rows}
    show(rows)
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
