"""What we rely on of LangSmith, through its own client: data sets, runs, feedback, experiments."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langsmith import Client, aevaluate, evaluate, traceable, tracing_context
from langsmith.evaluation import evaluate_comparative
from langsmith.schemas import Example, Run
from langsmith.utils import LangSmithConflictError
from tests.contracts.peers import LangSmithPeer

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import parse_example
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
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import ModelAnswer
from agent_orchestrator.agents.infrastructure.modelops.evaluation.upload import (
    LangSmithAccount,
    upload_evaluation,
)
from agent_orchestrator.agents.infrastructure.modelops.tracing.export import (
    TraceDestination,
    TraceExport,
)
from agent_orchestrator.agents.infrastructure.modelops.tracing.redaction import Redaction
from agent_orchestrator.domain.evaluation import EvalReport
from agent_orchestrator.domain.outcomes import Feedback, Outcome
from agent_orchestrator.domain.routing import Arm
from agent_orchestrator.serving.tracing import Tracer, new_id
from agent_orchestrator.stores.defaults import EvaluationDefaults

TASKS = [
    {"inputs": {"task": "2 + 2"}, "reference_outputs": {"answer": "4"}, "split": "train",
     "metadata": {"agent": "feature_dev", "success": True}},
    {"inputs": {"task": "3 + 3"}, "reference_outputs": {"answer": "6"}, "split": "eval",
     "metadata": {"agent": "feature_dev", "success": False}},
    {"inputs": {"task": "Review it"}, "reference_outputs": {"answer": "Fine"}, "split": "eval",
     "metadata": {"agent": "code_review", "success": True}},
]  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pass over what the client says about its own future."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*list_runs.*")
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*deprecated.*")
        yield


def filled(peer: LangSmithPeer) -> str:
    """Make the data set of ``TASKS``; return its name."""
    name = peer.dataset()
    peer.client.create_dataset(name, metadata={"dataset_hash": "abc123", "owner": name})
    peer.client.create_examples(dataset_name=name, examples=TASKS)
    return name


def tasks(examples: Any) -> set[str]:
    """Return the examples' tasks."""
    return {example.inputs["task"] for example in examples}


# -- data sets ------------------------------------------------------------------------------------


def test_a_data_set_is_created_with_its_examples(langsmith_peer: LangSmithPeer):
    """A data set keeps the examples, splits and metadata that it was given."""
    name = filled(langsmith_peer)
    dataset = langsmith_peer.client.read_dataset(dataset_name=name)
    examples = list(langsmith_peer.client.list_examples(dataset_id=dataset.id))
    assert dataset.example_count == len(examples) == 3
    assert tasks(examples) == {"2 + 2", "3 + 3", "Review it"}
    [first] = [example for example in examples if example.inputs["task"] == "2 + 2"]
    assert first.outputs == {"answer": "4"}
    assert first.metadata["agent"] == "feature_dev"
    assert first.metadata["dataset_split"] == ["train"]


def test_a_data_set_is_found_by_its_metadata(langsmith_peer: LangSmithPeer):
    """Data sets can be listed by what their metadata says."""
    name = filled(langsmith_peer)
    [found] = langsmith_peer.client.list_datasets(metadata={"owner": name})
    assert found.name == name
    assert list(langsmith_peer.client.list_datasets(metadata={"owner": "nobody"})) == []


def test_a_data_set_that_is_not_there_is_not_found(langsmith_peer: LangSmithPeer):
    """A name that nobody gave is not a data set."""
    assert not langsmith_peer.client.has_dataset(dataset_name=langsmith_peer.dataset())


def test_a_data_sets_name_is_taken_once(langsmith_peer: LangSmithPeer):
    """A second data set of the same name is a conflict."""
    name = filled(langsmith_peer)
    with pytest.raises(LangSmithConflictError):
        langsmith_peer.client.create_dataset(name)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"splits": ["eval"]}, {"3 + 3", "Review it"}),
        ({"metadata": {"agent": "feature_dev"}}, {"2 + 2", "3 + 3"}),
        ({"metadata": {"agent": "feature_dev", "success": True}}, {"2 + 2"}),
        ({"filter": 'has(metadata, \'{"agent": "code_review"}\')'}, {"Review it"}),
        ({"filter": 'not(has(metadata, \'{"agent": "code_review"}\'))'}, {"2 + 2", "3 + 3"}),
        ({"filter": 'exists(metadata, "nothing")'}, set()),
        ({"limit": 2}, None),
    ],
)
def test_examples_are_filtered(
    langsmith_peer: LangSmithPeer, choice: dict[str, Any], expected: set[str] | None
):
    """Examples are listed by split, by metadata, by a filter and up to a limit."""
    name = filled(langsmith_peer)
    found = list(langsmith_peer.client.list_examples(dataset_name=name, **choice))
    if expected is None:
        assert len(found) == 2
    else:
        assert tasks(found) == expected


def test_many_examples_are_read_page_by_page(langsmith_peer: LangSmithPeer):
    """More examples than a page holds all come back."""
    name = langsmith_peer.dataset()
    langsmith_peer.client.create_dataset(name)
    many = [{"inputs": {"task": f"Task {number}"}} for number in range(230)]
    langsmith_peer.client.create_examples(dataset_name=name, examples=many)
    assert len(tasks(langsmith_peer.client.list_examples(dataset_name=name))) == 230


# -- runs and feedback ----------------------------------------------------------------------------


def traced(peer: LangSmithPeer) -> tuple[str, dict[str, Run]]:
    """Trace three calls, one that fails, and rate two; return the project and its roots."""
    project = peer.project()
    with tracing_context(enabled=True, client=peer.client, project_name=project):
        _answer("2 + 2", langsmith_extra=_extra("feature_dev", "good"))
        _answer("3 + 3", langsmith_extra=_extra("feature_dev", "poor"))
        with pytest.raises(ZeroDivisionError):
            _answer("1 / 0", langsmith_extra=_extra("code_review", "failed"))
    peer.client.flush()
    runs = {run.name: run for run in peer.eventually(lambda: _roots(peer, project, 3))}
    session = peer.client.read_project(project_name=project).id
    for name, score in (("good", 5.0), ("poor", 2.0)):
        peer.client.create_feedback(
            run_id=runs[name].id,
            key="user_score",
            score=score,
            trace_id=runs[name].id,
            session_id=session,
        )
    peer.client.create_feedback(
        run_id=runs["poor"].id,
        key="politeness",
        score=5.0,
        trace_id=runs["poor"].id,
        session_id=session,
    )
    peer.client.flush()
    peer.eventually(lambda: _rated(peer, runs.values(), 3))
    return project, runs


@traceable
def _answer(task: str) -> str:
    return str(_reckon(task))


@traceable(run_type="tool")
def _reckon(task: str) -> float:
    left, operation, right = task.split()
    if operation == "/":
        return int(left) / int(right)
    return int(left) + int(right)


def _extra(agent: str, name: str) -> dict[str, Any]:
    metadata = {"agent": agent, "model_version": "v1.0.0"}
    return {"name": name, "metadata": metadata, "tags": [f"quality:{name}"]}


def _roots(peer: LangSmithPeer, project: str, number: int, **choice: Any) -> list[Run]:
    """Return a project's finished roots once there are so many."""
    if not peer.client.has_project(project):
        return []
    found = list(peer.client.list_runs(project_name=project, is_root=True, **choice))
    return found if len(found) >= number and all(run.end_time for run in found) else []


def _rated(peer: LangSmithPeer, runs: Iterable[Run], number: int) -> bool:
    found = list(peer.client.list_feedback(run_ids=[run.id for run in runs]))
    return len(found) == number


FILTERS = [
    ('eq(status, "success")', {"good", "poor"}),
    ('eq(status, "error")', {"failed"}),
    ('has(tags, "quality:poor")', {"poor"}),
    ('and(eq(feedback_key, "user_score"), gte(feedback_score, 4.0))', {"good"}),
    ('and(eq(feedback_key, "politeness"), gte(feedback_score, 4))', {"poor"}),
    ('and(eq(metadata_key, "agent"), eq(metadata_value, "feature_dev"))', {"good", "poor"}),
    ('or(eq(name, "good"), eq(name, "failed"))', {"good", "failed"}),
    ('and(neq(name, "good"), eq(status, "success"))', {"poor"}),
    ('gt(start_time, "2020-01-01T00:00:00Z")', {"good", "poor", "failed"}),
    ('lt(start_time, "2020-01-01T00:00:00Z")', set()),
]


def test_runs_are_filtered(langsmith_peer: LangSmithPeer):
    """Filters choose runs by status, tag, metadata, name, time and by one and the same feedback."""
    project, _ = traced(langsmith_peer)
    for expression, expected in FILTERS:
        look = partial(_roots, langsmith_peer, project, len(expected), filter=expression)
        found = langsmith_peer.eventually(look) if expected else look()
        assert {run.name for run in found} == expected, expression


def test_runs_are_queried_by_the_newer_interface(langsmith_peer: LangSmithPeer):
    """``client.runs.query`` gives the same runs with what was selected of them."""
    project, runs = traced(langsmith_peer)
    session = langsmith_peer.client.read_project(project_name=project).id

    async def query() -> dict[str, Any]:
        page = langsmith_peer.client.runs.query(
            project_ids=[str(session)],
            is_root=True,
            filter='and(eq(feedback_key, "user_score"), gte(feedback_score, 4.0))',
            min_start_time=datetime.now(UTC) - timedelta(hours=1),
            selects=["ID", "NAME", "INPUTS", "OUTPUTS", "EXTRA", "FEEDBACK_STATS"],
        )
        found = {run.name: run async for run in page}
        await langsmith_peer.client.runs._client.close()  # its connections are this loop's
        return found

    found = asyncio.run(query())
    assert found.keys() == {"good"}
    assert found["good"].id == str(runs["good"].id)
    assert found["good"].inputs == {"task": "2 + 2"}
    assert found["good"].outputs == {"output": "4"}
    assert found["good"].extra["metadata"]["agent"] == "feature_dev"
    assert found["good"].feedback_stats["user_score"].avg == 5.0


def test_a_run_shows_what_was_traced(langsmith_peer: LangSmithPeer):
    """A run carries its inputs, outputs, error, metadata and its children."""
    project, runs = traced(langsmith_peer)
    assert runs["good"].inputs == {"task": "2 + 2"}
    assert runs["good"].outputs == {"output": "4"}
    assert runs["good"].metadata["model_version"] == "v1.0.0"
    assert "ZeroDivisionError" in runs["failed"].error
    children = langsmith_peer.client.list_runs(project_name=project, is_root=False)
    parents = {child.parent_run_id for child in children if child.name == "_reckon"}
    assert parents == {run.id for run in runs.values()}


def test_feedback_is_read_by_run_and_key(langsmith_peer: LangSmithPeer):
    """Feedback comes back for its run, of the key that was asked for."""
    _, runs = traced(langsmith_peer)
    poor = langsmith_peer.client.list_feedback(run_ids=[runs["poor"].id])
    assert {one.key: one.score for one in poor} == {"user_score": 2.0, "politeness": 5.0}
    [rating] = langsmith_peer.client.list_feedback(
        run_ids=[runs["poor"].id], feedback_key=["user_score"]
    )
    assert rating.score == 2.0


def test_feedback_is_read_by_project_and_time(langsmith_peer: LangSmithPeer):
    """What was given in a project since a moment comes back, without what was given before."""
    project, runs = traced(langsmith_peer)
    session = str(langsmith_peer.client.read_project(project_name=project).id)

    def since(moment: datetime) -> set[float]:
        given = langsmith_peer.client.list_feedback(
            feedback_key=["user_score"],
            session=[session],
            has_score=True,
            min_created_at=moment.isoformat(),
        )
        return {float(one.score or 0) for one in given if one.run_id and one.created_at}

    begun = runs["good"].start_time.replace(tzinfo=UTC)
    assert since(begun - timedelta(hours=1)) == {5.0, 2.0}
    assert since(datetime.now(UTC) + timedelta(hours=1)) == set()


# -- experiments ----------------------------------------------------------------------------------


def arm(peer: LangSmithPeer, dataset: str, answer: str) -> str:
    """Upload an experiment whose model gives one answer to everything; return its name."""

    def target(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"answer": answer}

    results = evaluate(
        target,
        data=dataset,
        evaluators=[_right],
        experiment_prefix=f"answers-{answer}",
        metadata={"agent": "feature_dev", "experiment_type": "baseline_vs_candidate"},
        client=peer.client,
        max_concurrency=0,
    )
    peer.own(results.experiment_name)
    peer.client.flush()
    return results.experiment_name


def _right(run: Run, example: Example) -> dict[str, Any]:
    return {"key": "accuracy", "score": float(run.outputs["answer"] == example.outputs["answer"])}


def _first(runs: Sequence[Run], example: Example | None) -> dict[str, Any]:
    """Prefer the first arm."""
    return {"key": "preferred", "scores": {run.id: float(at == 0) for at, run in enumerate(runs)}}


def test_an_experiment_is_uploaded(langsmith_peer: LangSmithPeer):
    """An experiment is a project of the data set's, with a run an example and its scores."""
    name = filled(langsmith_peer)
    dataset = langsmith_peer.client.read_dataset(dataset_name=name)
    experiment = arm(langsmith_peer, name, "4")
    runs = langsmith_peer.eventually(lambda: _roots(langsmith_peer, experiment, 3))
    project = langsmith_peer.client.read_project(project_name=experiment)
    assert project.reference_dataset_id == dataset.id
    assert project.metadata["experiment_type"] == "baseline_vs_candidate"
    assert len({run.reference_example_id for run in runs}) == 3
    langsmith_peer.eventually(lambda: _rated(langsmith_peer, runs, 3))
    scores = langsmith_peer.client.list_feedback(run_ids=[run.id for run in runs])
    assert sorted(one.score for one in scores) == [0.0, 0.0, 1.0]


def test_two_experiments_are_compared(langsmith_peer: LangSmithPeer):
    """A comparative experiment sets two arms' runs side by side and keeps who was preferred."""
    name = filled(langsmith_peer)
    arms = [arm(langsmith_peer, name, answer) for answer in ("4", "6")]
    for one in arms:
        langsmith_peer.eventually(partial(_roots, langsmith_peer, one, 3))
    results = evaluate_comparative(
        tuple(arms),
        evaluators=[_first],
        client=langsmith_peer.client,
        max_concurrency=0,
    )
    assert len(list(results)) == 3


async def test_an_asynchronous_experiment_is_uploaded(langsmith_peer: LangSmithPeer):
    """``aevaluate`` over examples that were listed uploads like ``evaluate``."""
    name = filled(langsmith_peer)
    examples = list(langsmith_peer.client.list_examples(dataset_name=name, splits=["eval"]))

    async def target(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"answer": "6"}

    results = await aevaluate(
        target,
        data=examples,
        evaluators=[_right],
        experiment_prefix="asynchronous",
        client=langsmith_peer.client,
    )
    langsmith_peer.own(results.experiment_name)
    langsmith_peer.client.flush()
    found = await asyncio.to_thread(
        langsmith_peer.eventually, lambda: _roots(langsmith_peer, results.experiment_name, 2)
    )
    assert {run.inputs["task"] for run in found} == {"3 + 3", "Review it"}


def test_a_wrong_key_is_refused(langsmith_peer: LangSmithPeer):
    """A key that nobody gave out opens nothing."""
    client = Client(api_url=langsmith_peer.client.api_url, api_key="lsv2_pt_wrong")
    with pytest.raises(Exception, match=r"40[13]"):
        client.create_dataset(langsmith_peer.dataset())
    client.close()


# -- our own use of it ----------------------------------------------------------------------------


async def test_an_evaluation_becomes_experiments(langsmith_peer: LangSmithPeer, tmp_path: Path):
    """Uploading leaves two experiments of one data set, their scores, and a page about both."""
    report, dataset = await evaluated(tmp_path, langsmith_peer.dataset())
    await asyncio.to_thread(_check_upload, langsmith_peer, report, dataset)


def _check_upload(peer: LangSmithPeer, report: EvalReport, dataset: Dataset) -> None:
    peer.own_dataset(dataset.id)
    account = LangSmithAccount(peer.client.api_url, str(peer.client.api_key))
    url = upload_evaluation(account, report, dataset, "job_contract")
    uploaded = peer.client.read_dataset(dataset_name=dataset.id)
    arms = list(peer.client.list_projects(reference_dataset_id=uploaded.id))
    for arm_ in arms:
        peer.own(arm_.name)
        assert str(arm_.id) in url
    assert {arm_.metadata["arm"] for arm_ in arms} == {"candidate", "baseline"}
    [candidate] = [arm_.name for arm_ in arms if arm_.metadata["arm"] == "candidate"]
    runs = peer.eventually(partial(_roots, peer, candidate, 2))
    assert {run.outputs["answer"] for run in runs} == {"4", "6"}
    assert [(run.end_time - run.start_time).total_seconds() for run in runs] == [0.25, 0.25]
    correct = peer.eventually(lambda: _scores(peer, runs, "accuracy", 2))
    assert correct == [1.0, 1.0]
    preferred = peer.eventually(lambda: _scores(peer, runs, "more_correct", 2))
    assert preferred == [0.5, 1.0]


def _scores(peer: LangSmithPeer, runs: list[Run], key: str, number: int) -> list[float]:
    """Return the runs' scores of a key, lowest first, once there are so many."""
    ids = [run.id for run in runs]
    found = list(peer.client.list_feedback(run_ids=ids, feedback_key=[key]))
    return sorted(float(one.score) for one in found) if len(found) == number else []


async def evaluated(folder: Path, name: str) -> tuple[EvalReport, Dataset]:
    """Return an evaluation of a model that can add against one that says 4, and its data set."""
    rows = {
        kind: tuple(
            parse_example(
                {"id": task, "inputs": {"task": task}, "outputs": {"answer": answer},
                 "metadata": {"made_for": name}},
                name,
            )
            for task, answer in tasks.items()
        )
        for kind, tasks in {"train": {"1 + 1": "2"}, "eval": {"2 + 2": "4", "3 + 3": "6"}}.items()
    }  # fmt: skip
    source = Source(name, "contract test", rows["train"], held_out=rows["eval"])
    dataset = DatasetStore(folder).build("feature_dev", source)

    async def ask(model: str, body: Mapping[str, Any], /) -> ModelAnswer:
        left, _, right = body["messages"][-1]["content"].split()
        text = str(int(left) + int(right)) if model == "acme/adds" else "4"
        return ModelAnswer(text=text, latency_s=0.25, prompt_tokens=3, completion_tokens=1)

    runner = EvalRunner(CachedCaller(ask, {}, None), EvaluationDefaults(weights={"accuracy": 30}))
    subjects = Subject("acme/adds", "v1.0.0"), Subject("acme/says-4")
    return await runner.run("feature_dev", dataset, *subjects), dataset


def test_our_traces_are_found_again(langsmith_peer: LangSmithPeer):
    """A request that we traced is a root with its answer, its call below it and its feedback."""
    project, request_id = langsmith_peer.project(), str(new_id(time.time()))
    export = TraceExport(
        TraceDestination(
            endpoint=langsmith_peer.client.api_url,
            key=str(langsmith_peer.client.api_key),
            project=project,
        ),
        Redaction([]),
    )
    tracer = Tracer(export)
    trace = tracer.request(request_id, "feature_dev", "task-1", {"messages": ["2 + 2"]})
    arm_ = Arm("candidate", "acme/adds", "v1.1.0", 20)
    outcome = Outcome(request_id, 0, time.time(), "feature_dev", "task-1", "acme/adds", "candidate",
                      "v1.1.0", "ro_1", 5.0)  # fmt: skip
    trace.attempted(outcome)
    trace.answered(arm_, "ro_1", [{"role": "assistant", "content": "4"}])
    assert export.flush(30)
    langsmith_peer.eventually(partial(_roots, langsmith_peer, project, 1))
    tracer.judge(Feedback(request_id, 1.0, "user", time.time()))
    export.close(30)
    chosen = 'and(eq(metadata_key, "rollout_id"), eq(metadata_value, "ro_1"))'
    found = partial(_roots, langsmith_peer, project, 1, filter=chosen)
    [root] = langsmith_peer.eventually(found)
    assert str(root.id) == request_id
    assert root.outputs["choices"][0]["message"]["content"] == "4"
    [call] = langsmith_peer.eventually(
        lambda: list(langsmith_peer.client.list_runs(project_name=project, is_root=False))
    )
    assert (call.name, call.parent_run_id) == ("acme/adds", root.id)
    assert langsmith_peer.eventually(partial(_scores, langsmith_peer, [root], "quality", 1)) == [1]
