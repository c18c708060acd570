"""Candidate against baseline on the same examples."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.planted_models import PlantedModels, example

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Source
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import (
    Dataset,
    DatasetStore,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.answer_cache import CachedCaller
from agent_orchestrator.agents.infrastructure.modelops.evaluation.comparison import (
    EvalRunner,
    Subject,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import (
    ModelAnswer,
    Step,
)
from agent_orchestrator.domain.evaluation import by_example
from agent_orchestrator.domain.expenses import expenses
from agent_orchestrator.errors import ConfigurationError, DatasetError, InputError, UpstreamError
from agent_orchestrator.stores.defaults import EvaluationDefaults

HELD_OUT = tuple(example(n) for n in range(1000, 1120))
TRAINED = tuple(example(n) for n in range(12))
DEFAULTS = EvaluationDefaults(
    weights={"accuracy": 30, "token_efficiency": 20, "latency_threshold": 15},
    max_completion_tokens=16,
)
NEW, OLD = Subject("org/new", "v1.1.0"), Subject("org/old", "v1.0.0")
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Return a data set of 120 held-out examples in 30 groups and three categories."""
    return build(tmp_path, HELD_OUT)


def build(tmp_path: Path, held_out: tuple[Example, ...]) -> Dataset:
    """Return a data set with these held-out examples."""
    store = DatasetStore(tmp_path / "datasets")
    return store.build("code_review", Source("reviews", "test", TRAINED, held_out))


def models(new: float = 0.95, old: float = 0.6, **changes: Any) -> PlantedModels:
    """Return the two models with their planted accuracies."""
    planted = PlantedModels.over(HELD_OUT)
    return replace(planted, accuracy={"org/new": new, "org/old": old}, **changes)


def runner(caller: Any, defaults: EvaluationDefaults = DEFAULTS) -> EvalRunner:
    """Return a runner over the caller."""
    return EvalRunner(CachedCaller(caller, {}, None), defaults, clock=lambda: NOW)


async def test_a_better_candidate_is_measured_as_planted(dataset: Dataset) -> None:
    """Accuracies, improvement, interval and recommendation follow from what was planted."""
    report = await runner(models()).run("code_review", dataset, NEW, OLD)
    assert report.candidate.scores["accuracy"] == pytest.approx(114 / 120)
    assert report.baseline is not None
    assert report.baseline.scores["accuracy"] == pytest.approx(72 / 120)
    accuracy = report.comparison.changes[0]
    assert accuracy.metric == "accuracy"
    assert accuracy.change_pct == pytest.approx((114 / 72 - 1) * 100)
    assert accuracy.difference == pytest.approx(42 / 120)
    assert accuracy.interval is not None
    assert accuracy.interval[0] > 0.2
    assert accuracy.supported is True
    assert report.examples_needed is None
    assert report.comparison.improvement_pct == pytest.approx(30 / 65 * 350 / 6)
    assert report.comparison.recommendation == "deploy"
    assert (report.n_examples, report.candidate.failed_calls) == (120, 0)
    assert (report.dataset, report.dataset_hash) == (dataset.id, dataset.hash)
    assert report.candidate.avg_latency_ms == pytest.approx(250)
    assert report.candidate.total_tokens == 120 * 84
    assert report.tasks[HELD_OUT[0].id] == HELD_OUT[0].task
    assert report.evaluated_at == "2026-01-01T12:00:00+00:00"


async def test_repetitions_do_not_feign_certainty(dataset: Dataset) -> None:
    """Each example is asked so often; the same answers thrice leave every interval as it was."""
    once = await runner(models(new=0.85)).run("code_review", dataset, NEW, OLD)
    asked = models(new=0.85)
    thrice = await runner(asked).run("code_review", dataset, NEW, OLD, repetitions=3)
    assert len(asked.calls) == 2 * 3 * 120
    assert (thrice.n_examples, thrice.repetitions) == (120, 3)
    assert {call.repetition for call in thrice.candidate.calls} == {0, 1, 2}
    for before, after in zip(once.comparison.changes, thrice.comparison.changes, strict=True):
        assert after.interval == pytest.approx(before.interval)
        assert after.candidate == pytest.approx(before.candidate)
    assert thrice.examples_needed == once.examples_needed
    assert expenses(thrice.candidate, thrice.baseline) == expenses(once.candidate, once.baseline)


async def test_a_repetition_that_differs_counts_by_its_share(dataset: Dataset) -> None:
    """A model that is right every second time has half of each example's accuracy."""
    right = {e.task: e.label or "" for e in HELD_OUT}
    times: Counter[str] = Counter()

    async def every_second(_model: str, body: Mapping[str, Any], /) -> ModelAnswer:
        task = body["messages"][-1]["content"]
        times[task] += 1
        return ModelAnswer(text=right[task] if times[task] == 1 else "?", latency_s=0.1)

    report = await runner(every_second).run("code_review", dataset, NEW, repetitions=2)
    assert report.candidate.scores["accuracy"] == 0.5
    assert set(by_example(report.candidate.calls, lambda c: c.scores["accuracy"]).values()) == {0.5}


async def test_a_worse_candidate_is_rejected(dataset: Dataset) -> None:
    """A weighted metric that falls by more than 20 % rejects."""
    report = await runner(models(new=0.6, old=0.95)).run("code_review", dataset, NEW, OLD)
    assert report.comparison.recommendation == "reject"


async def test_an_equal_candidate_settles_nothing(dataset: Dataset) -> None:
    """Identical answers differ by nothing, and need a review."""
    report = await runner(models(new=0.8, old=0.8)).run("code_review", dataset, NEW, OLD)
    assert report.comparison.improvement_pct == 0.0
    assert report.comparison.recommendation == "needs_review"


async def test_a_small_change_says_how_many_examples_would_settle_it(dataset: Dataset) -> None:
    """An unsupported change comes with a number of further examples."""
    report = await runner(models(new=0.82, old=0.8)).run("code_review", dataset, NEW, OLD)
    accuracy = report.comparison.changes[0]
    assert accuracy.supported is False
    assert report.examples_needed is not None
    assert report.examples_needed > 0
    assert any("not supported" in reason for reason in report.comparison.reasons)


async def test_without_a_baseline_the_candidate_stands_alone(dataset: Dataset) -> None:
    """Only the candidate is called; a good one may go on a canary."""
    caller = models()
    report = await runner(caller).run("code_review", dataset, NEW)
    assert report.baseline is None
    assert {model for model, _ in caller.calls} == {"org/new"}
    assert report.comparison.recommendation == "deploy_canary"
    assert report.comparison.improvement_pct is None


async def test_every_call_asks_one_model_the_task_greedily(dataset: Dataset) -> None:
    """The request is the task as a user's message, the token limit and temperature 0."""
    caller = models()
    await runner(caller).run("code_review", dataset, NEW, OLD, max_examples=1)
    assert caller.bodies[0] == {
        "messages": [{"role": "user", "content": caller.calls[0][1]}],
        "max_tokens": 16,
        "temperature": 0,
    }


async def test_baseline_and_candidate_take_turns(dataset: Dataset) -> None:
    """Neither model runs ahead of the other, and no more calls are under way than configured."""
    caller = models()
    await runner(caller).run("code_review", dataset, NEW, OLD)
    assert caller.most_at_once == DEFAULTS.concurrency
    ahead = 0
    for model, _ in caller.calls:
        ahead += 1 if model == "org/new" else -1
        assert abs(ahead) <= 2 * DEFAULTS.concurrency
    assert sorted(t for m, t in caller.calls if m == "org/new") == sorted(
        t for m, t in caller.calls if m == "org/old"
    )


async def test_progress_counts_every_call_once(dataset: Dataset) -> None:
    """Progress rises by one to the number of examples times models."""
    seen: list[tuple[int, int]] = []
    await runner(models()).run(
        "code_review", dataset, NEW, OLD, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(n, 240) for n in range(1, 241)]


async def test_a_sample_keeps_the_categories(dataset: Dataset) -> None:
    """max_examples takes the same share of each category."""
    report = await runner(models()).run("code_review", dataset, NEW, max_examples=30)
    categories = [call.category for call in report.candidate.calls]
    assert {category: categories.count(category) for category in categories} == {
        "bare-except": 10,
        "clean": 10,
        "mutable-default": 10,
    }


async def test_only_the_metrics_asked_for_are_measured(dataset: Dataset) -> None:
    """A choice of metrics limits the scores; an unknown one is refused before any call."""
    caller = models()
    report = await runner(caller).run("code_review", dataset, NEW, OLD, metrics=["accuracy"])
    assert set(report.candidate.scores) == {"accuracy"}
    caller.calls.clear()
    with pytest.raises(InputError, match="Unknown metric 'style'"):
        await runner(caller).run("code_review", dataset, NEW, metrics=["style"])
    assert caller.calls == []


async def test_what_was_not_measured_has_no_score(dataset: Dataset) -> None:
    """Without usage, latency, steps or tools there is nothing but accuracy."""
    caller = models(answer=ModelAnswer(text=""))
    report = await runner(caller).run("code_review", dataset, NEW, OLD)
    assert set(report.candidate.scores) == {"accuracy"}
    assert report.candidate.avg_latency_ms is None
    assert report.candidate.total_tokens is None
    assert any("Not measured" in reason for reason in report.comparison.reasons)


async def test_what_a_run_recorded_is_scored(tmp_path: Path) -> None:
    """Steps and agents that an answer carries are scored against the example's expectation."""
    held_out = tuple(
        replace(e, metadata={**e.metadata, "expected_steps": ["plan", "code"]}) for e in HELD_OUT
    )
    answer = ModelAnswer(text="", steps=(Step("plan", succeeded=True),))
    report = await runner(models(answer=answer)).run("code_review", build(tmp_path, held_out), NEW)
    assert report.candidate.scores["workflow_completeness"] == 0.5


# ---------------------------------------------------------------- failed calls


def fails_for(*numbers: int) -> Any:
    """Return a predicate for the tasks of these examples."""
    tasks = {HELD_OUT[number].task for number in numbers}
    return lambda task: task in tasks


async def test_a_failed_call_counts_as_wrong_and_is_shown(dataset: Dataset) -> None:
    """It lowers accuracy, has no token or latency score, and carries its error."""
    caller = models(new=1.0, failing={"org/new": fails_for(0, 5, 9)})
    report = await runner(caller).run("code_review", dataset, NEW, OLD)
    assert report.candidate.failed_calls == 3
    assert report.candidate.scores["accuracy"] == pytest.approx(117 / 120)
    failed = [call for call in report.candidate.calls if call.error]
    assert [call.example_id for call in failed] == ["ex-1000", "ex-1005", "ex-1009"]
    assert failed[0].error == "org/new did not answer. Start it."
    assert failed[0].answer is None
    assert failed[0].scores == {"accuracy": 0.0}
    assert report.candidate.scores["token_efficiency"] == 1.0


async def test_metrics_are_compared_where_both_models_have_them(dataset: Dataset) -> None:
    """A call that one model failed leaves the other's token score out of the comparison."""
    costly = fails_for(0, 1, 2)

    class Uneven(PlantedModels):
        async def __call__(self, model: str, body: Mapping[str, Any], /) -> ModelAnswer:
            answer = await super().__call__(model, body)
            dear = costly(body["messages"][-1]["content"])
            return replace(answer, completion_tokens=3920) if dear else answer

    planted = models(failing={"org/new": costly})
    caller = Uneven(planted.right, planted.accuracy, planted.failing)
    report = await runner(caller).run("code_review", dataset, NEW, OLD)
    tokens = next(c for c in report.comparison.changes if c.metric == "token_efficiency")
    assert report.baseline is not None
    assert report.baseline.scores["token_efficiency"] == pytest.approx((117 + 3 * 0.5) / 120)
    assert (tokens.baseline, tokens.candidate, tokens.difference) == (1.0, 1.0, 0.0)


async def test_too_many_failed_calls_fail_the_evaluation(dataset: Dataset) -> None:
    """More than a tenth measures the connection, not the model; the rest is not asked."""
    caller = models(failing={"org/old": lambda _task: True})
    with pytest.raises(UpstreamError, match=r"v1\.0\.0: 13 of 120 calls failed.*did not answer"):
        await runner(caller).run("code_review", dataset, NEW, OLD)
    assert sum(model == "org/old" for model, _ in caller.calls) <= 13 + DEFAULTS.concurrency


async def test_a_fault_is_no_failed_call(dataset: Dataset) -> None:
    """What is no unavailable model is raised as it is, and stops both models' runs."""
    asked: list[str] = []

    async def broken(model: str, _body: Mapping[str, Any], /) -> ModelAnswer:
        asked.append(model)
        await asyncio.sleep(0)
        raise ConfigurationError("No key.", remedy="Set it.")

    with pytest.raises(ConfigurationError, match="No key"):
        await runner(broken).run("code_review", dataset, NEW, OLD)
    assert len(asked) <= 4


async def test_a_wrong_target_stops_before_any_call(tmp_path: Path) -> None:
    """An example whose target makes no sense is named before money is spent."""
    bad = (*HELD_OUT, example(2000, target_tokens="many"))
    caller = models()
    with pytest.raises(DatasetError, match=r"'ex-2000', column 'metadata\.target_tokens'"):
        await runner(caller).run("code_review", build(tmp_path, bad), NEW)
    assert caller.calls == []


async def test_a_cancelled_evaluation_stops_calling(dataset: Dataset) -> None:
    """Cancelling the run ends it within the calls that are under way."""
    asked = 0
    stuck = asyncio.Event()
    gate = asyncio.Event()

    async def slow(_model: str, _body: Mapping[str, Any], /) -> ModelAnswer:
        nonlocal asked
        asked += 1
        if asked == 5:
            stuck.set()
        if asked >= 5:
            await gate.wait()
        return ModelAnswer(text="clean")

    task = asyncio.create_task(runner(slow).run("code_review", dataset, NEW, OLD))
    await stuck.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    for _ in range(100):
        await asyncio.sleep(0)
    assert asked <= 5 + 2 * DEFAULTS.concurrency


# ---------------------------------------------------------------- silence


async def test_nothing_is_written_to_the_callers_streams(
    dataset: Dataset, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither stdout, where a JSON document may go, nor stderr, where our progress is."""
    await runner(models()).run("code_review", dataset, NEW, OLD)
    assert capfd.readouterr() == ("", "")
    print("still here")
    assert capfd.readouterr().out == "still here\n"


@pytest.fixture
def recorder() -> Iterator[tuple[str, list[str]]]:
    """Serve an endpoint that answers all and remembers what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = do_PATCH = do_PUT = _answer  # noqa: N815 - named by the base class

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


_OURS = """
import asyncio, sys
from pathlib import Path
from langsmith import traceable
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.evaluation.answer_cache import CachedCaller
from agent_orchestrator.agents.infrastructure.modelops.evaluation.comparison import EvalRunner
from agent_orchestrator.agents.infrastructure.modelops.evaluation.comparison import Subject
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import ModelAnswer
from agent_orchestrator.stores.defaults import EvaluationDefaults

@traceable
async def call(model, body):
    return ModelAnswer(text="clean", latency_s=0.1)

async def main():
    runner = EvalRunner(CachedCaller(call, {}, None), EvaluationDefaults(weights={"accuracy": 1}))
    dataset = DatasetStore(Path(sys.argv[1])).get("reviews")
    report = await runner.run("code_review", dataset, Subject("new"), Subject("old"))
    print(report.n_examples)

asyncio.run(main())
"""
_CONTROL = """
import asyncio, uuid
from langsmith import aevaluate
from langsmith.schemas import Example

async def target(inputs):
    return {"answer": "clean"}

async def main():
    data = [Example(id=uuid.uuid4(), inputs={"task": "t"})]
    await aevaluate(target, data=data, evaluators=[], upload_results=False)
    print("done")

asyncio.run(main())
"""


@pytest.mark.parametrize(("program", "sends"), [(_OURS, False), (_CONTROL, True)])
def test_an_offline_evaluation_sends_nothing(
    dataset: Dataset, recorder: tuple[str, list[str]], program: str, sends: bool
) -> None:
    """Even with tracing, a key and OpenTelemetry in the environment; the bare SDK does send."""
    url, asked = recorder
    environment = os.environ | {
        "LANGSMITH_ENDPOINT": url,
        "LANGSMITH_API_KEY": "key",
        "LANGSMITH_TRACING": "true",
        "LANGCHAIN_TRACING_V2": "true",
        "LANGSMITH_OTEL_ENABLED": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
    }
    done = subprocess.run(
        [sys.executable, "-c", program, dataset.folder.parent],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.strip().splitlines()[-1] in {"120", "done"}
    assert bool(asked) is sends
