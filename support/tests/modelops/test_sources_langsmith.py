"""LangSmith as a source of examples, through its real client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from langsmith import Client, traceable, tracing_context
from tests.doubles.langsmith import KEY, LangSmith
from tests.doubles.sources import read

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import (
    BadRow,
    Source,
    Wanted,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.langsmith_client import (
    connect,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.langsmith_datasets import (
    LangSmithDatasets,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.langsmith_runs import (
    LangSmithRuns,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.opening import Sources
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.traces import example_of
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.usecases.filters import Filters
from agent_orchestrator.errors import DatasetError, SettingsError, UpstreamError

AGENT = "feature_dev"


@pytest.fixture
def service() -> Iterator[LangSmith]:
    """Return LangSmith on loopback."""
    with LangSmith() as service:
        yield service


@pytest.fixture
def client(service: LangSmith) -> Iterator[Client]:
    """Return a client that writes to it."""
    client = Client(api_url=service.url, api_key=KEY)
    yield client
    client.flush()
    client.close()


def opened(service: LangSmith, name: str, **filters: Any) -> Source:
    """Open a source of the service for ``AGENT``."""
    datasets = LangSmithDatasets(
        lambda: connect(service.url, KEY), default_name="code-chef-{agent}"
    )
    runs = LangSmithRuns(
        lambda: connect(service.url, KEY),
        feedback_keys=("feedback_score", "user_score"),
        since=timedelta(days=30),
    )
    sources = Sources({"langsmith": datasets.open, "langsmith-runs": runs.open})
    return sources.open(name, Wanted(agent=AGENT, filters=Filters(**filters)))


def tasks(source: Source) -> set[str]:
    """Return the tasks of a source."""
    return {example.task for example in read(source)}


# ---------------------------------------------------------------- data sets


def test_the_agents_own_data_set_is_read(service: LangSmith, client: Client) -> None:
    """Without a name it is the one named after the agent; others' examples are left out."""
    client.create_dataset("code-chef-feature_dev")
    rows = [
        {
            "inputs": {"task": "a"},
            "reference_outputs": {"answer": "A"},
            "metadata": {"agent": AGENT},
        },
        {"inputs": {"question": "b"}, "reference_outputs": {"result": "B"}},
        {
            "inputs": {"task": "c"},
            "reference_outputs": {"answer": "C"},
            "metadata": {"agent": "cicd"},
        },
    ]
    client.create_examples(dataset_name="code-chef-feature_dev", examples=rows)
    source = opened(service, "langsmith")
    examples = {example.task: example for example in read(source)}
    assert examples.keys() == {"a", "b"}
    assert examples["b"].label == "B"
    assert examples["a"].metadata["agent"] == AGENT
    assert datetime.fromisoformat(examples["a"].metadata["created_at"]).tzinfo
    assert "dataset_split" not in examples["a"].metadata
    assert source.name == "code-chef-feature-dev"
    assert source.held_out is None


def test_a_data_set_that_is_split_stays_so(service: LangSmith, client: Client) -> None:
    """Its training split is trained on, its test split held out."""
    client.create_dataset("reviews")
    rows = [
        {"inputs": {"task": f"t{n}"}, "reference_outputs": {"answer": "x"}, "split": split}
        for n, split in enumerate(["train", "train", "test"])
    ]
    client.create_examples(dataset_name="reviews", examples=rows)
    source = opened(service, "langsmith:reviews")
    assert tasks(source) == {"t0", "t1"}
    assert [row.task for row in source.held_out or () if isinstance(row, Example)] == ["t2"]


def test_more_examples_than_a_page_holds_all_come(service: LangSmith, client: Client) -> None:
    """Pages are asked for one after the other."""
    client.create_dataset("many")
    rows = [{"inputs": {"task": f"t{n}"}, "reference_outputs": {"answer": "x"}} for n in range(230)]
    client.create_examples(dataset_name="many", examples=rows)
    assert len(tasks(opened(service, "langsmith:many"))) == 230


def test_a_data_set_that_is_not_there_is_named(service: LangSmith, client: Client) -> None:
    """The error says which name was looked for, and which there are."""
    with pytest.raises(DatasetError, match=r"no data set 'nothing'.*none for this key"):
        opened(service, "langsmith:nothing")
    client.create_dataset("reviews")
    with pytest.raises(DatasetError, match=r"no data set 'review'.*There are reviews"):
        opened(service, "langsmith:review")


def test_a_service_that_breaks_off_leaves_no_half_data_set(
    service: LangSmith, client: Client, tmp_path: Path
) -> None:
    """The page that did not come is an error, and nothing is built."""
    client.create_dataset("many")
    rows = [{"inputs": {"task": f"t{n}"}, "reference_outputs": {"answer": "x"}} for n in range(230)]
    client.create_examples(dataset_name="many", examples=rows)
    source = opened(service, "langsmith:many")

    def breaking() -> Iterator[Example | BadRow]:
        for number, row in enumerate(source.examples):
            if number == 50:
                service.failing = 500
            yield row

    store = DatasetStore(tmp_path / "datasets")
    with pytest.raises(UpstreamError, match="data set 'many'"):
        store.build(AGENT, replace(source, examples=breaking()))
    assert list((tmp_path / "datasets").iterdir()) == []


def test_no_key_a_wrong_key_and_a_broken_service_are_told_apart(service: LangSmith) -> None:
    """What to do differs: set a key, check it, try later."""
    with pytest.raises(SettingsError, match="LANGSMITH_API_KEY"):
        connect(service.url, None)
    wrong = LangSmithDatasets(lambda: connect(service.url, "lsv2_wrong"), default_name="x")
    with pytest.raises(SettingsError, match="refuses the key"):
        wrong.open("x", Wanted(agent=AGENT))
    service.failing = 500
    with pytest.raises(UpstreamError, match="data set 'x'"):
        opened(service, "langsmith:x")


# ---------------------------------------------------------------- runs


@traceable
def solve(task: str) -> str:
    """Answer, or fail."""
    if task == "fails":
        raise ValueError(task)
    return f"{task}!"


@pytest.fixture
def traced(service: LangSmith, client: Client) -> LangSmith:
    """Trace calls of two agents, with tags and feedback."""
    calls: list[tuple[str, dict[str, Any], list[str]]] = [
        ("good", {"agent": AGENT, "thread_id": "t1"}, ["prod"]),
        ("poor", {"agent": AGENT, "thread_id": "t1"}, ["prod"]),
        ("fails", {"agent": AGENT}, []),
        ("unrated", {}, []),
        ("foreign", {"agent": "cicd"}, ["prod"]),
    ]
    with tracing_context(enabled=True, client=client, project_name="shop"):
        for task, metadata, tags in calls:
            extra = {"name": task, "metadata": metadata, "tags": tags}
            if task == "fails":
                with pytest.raises(ValueError, match="fails"):
                    solve(task, langsmith_extra=extra)
            else:
                solve(task, langsmith_extra=extra)
    client.flush()
    runs = {run["name"]: run for run in service.runs.values()}
    for name, key, score in (
        ("good", "user_score", 5.0),
        ("poor", "user_score", 2.0),
        ("poor", "politeness", 5.0),
        ("good", "hitl_approved", 1.0),
        ("poor", "hitl_approved", 0.0),
    ):
        ids = {"run_id": runs[name]["id"], "trace_id": runs[name]["id"]}
        client.create_feedback(**ids, key=key, score=score, session_id=runs[name]["session_id"])
    client.flush()
    return service


def test_runs_become_examples(traced: LangSmith) -> None:
    """Task, answer, success, score, approval, tags, time; one conversation is one group."""
    found = {example.task: example for example in read(opened(traced, "langsmith-runs:shop"))}
    assert found.keys() == {"good", "poor", "fails", "unrated"}
    good = found["good"]
    assert (good.label, good.group) == ("good!", "t1")
    assert good.metadata["feedback_score"] == 5.0
    assert good.metadata["hitl_approved"] is True
    assert good.metadata["tags"] == ["prod"]
    assert (good.successful, found["fails"].successful) == (True, False)
    assert "feedback_score" not in found["unrated"].metadata
    assert found["unrated"].group != good.group


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"success": True}, {"good", "poor", "unrated"}),
        ({"feedback_score": 4.0}, {"good"}),
        ({"hitl_approved": True}, {"good"}),
        ({"tags": ("prod",)}, {"good", "poor"}),
        ({"since": datetime(2020, 1, 1, tzinfo=UTC), "tags": ("prod",)}, {"good", "poor"}),
        ({"metadata": {"thread_id": "t1"}, "feedback_score": 1.0}, {"good", "poor"}),
    ],
)
def test_runs_are_filtered(traced: LangSmith, filters: dict[str, Any], expected: set[str]) -> None:
    """By outcome, score, approval, tag, time and metadata, singly and together."""
    assert tasks(opened(traced, "langsmith-runs:shop", **filters)) == expected


def test_nothing_that_is_wanted_is_an_error_that_names_the_filters(traced: LangSmith) -> None:
    """Also when the service did not send the runs that were not wanted."""
    with pytest.raises(DatasetError, match=r"no example for .* with filters tags=\('staging',\)"):
        tasks(opened(traced, "langsmith-runs:shop", tags=("staging",)))
    with pytest.raises(DatasetError, match="with filters until="):
        tasks(opened(traced, "langsmith-runs:shop", until=datetime(2020, 1, 1, tzinfo=UTC)))


def test_what_can_be_filtered_there_is_asked_of_the_service(traced: LangSmith) -> None:
    """Tags, scores and times travel in the query, so that less comes back."""
    since = datetime(2026, 1, 1, tzinfo=UTC)
    read(opened(traced, "langsmith-runs:shop", tags=("prod",), feedback_score=1.0, since=since))
    query = json.loads([r for r in traced.requests if r.path.endswith("/runs/query")][-1].body)
    assert query["is_root"] is True
    assert query["filter"].startswith('and(has(tags, "prod"), or(and(eq(feedback_key,')
    assert query["min_start_time"].startswith("2026-01-01")


def test_a_project_that_is_not_there_is_named(traced: LangSmith) -> None:
    """So is a source without one."""
    with pytest.raises(DatasetError, match="no project 'elsewhere'"):
        opened(traced, "langsmith-runs:elsewhere")
    with pytest.raises(DatasetError, match="langsmith-runs:<project>"):
        opened(traced, "langsmith-runs:")


# ---------------------------------------------------------------- shapes of traces

HUMAN = {"type": "human", "content": "Hi."}


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        ({"task": "Hi."}, {"answer": "Yo."}, ("Hi.", "Yo.")),
        ({"messages": [HUMAN]}, {"messages": [HUMAN, {"type": "ai", "content": "Yo."}]},
         ("Hi.", "Yo.")),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi."}]}]},
         {"choices": [{"message": {"role": "assistant", "content": "Yo."}}]}, ("Hi.", "Yo.")),
        ({"messages": [[{"lc": 1, "id": ["langchain", "HumanMessage"],
                         "kwargs": {"content": "Hi."}}]]},
         {"generations": [[{"text": "Yo.", "message": {"lc": 1, "id": ["x", "AIMessage"],
                                                       "kwargs": {"content": "Yo."}}}]]},
         ("Hi.", "Yo.")),
        ({"question": "Hi."}, {"output": "Yo."}, ("Hi.", "Yo.")),
        ({"question": "Hi."}, {"role": "assistant", "content": "Yo."}, ("Hi.", "Yo.")),
        ({"question": "Hi."}, {"a": "x", "b": "y"}, ("Hi.", None)),
        ({"question": "Hi."}, {}, ("Hi.", None)),
    ],
)  # fmt: skip
def test_the_shapes_that_tracers_write_are_understood(
    inputs: dict[str, Any], outputs: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    """Ours, OpenAI's, LangChain's, and a mapping with one text."""
    example = example_of(inputs, outputs, {}, example_id="r1", where="run r1")
    assert isinstance(example, Example)
    assert (example.task, example.label) == expected


@pytest.mark.parametrize("inputs", [{}, {"a": "x", "b": "y"}, {"messages": ["Hi."]}, {"n": 3}])
def test_a_run_that_asks_nothing_is_a_bad_row(inputs: dict[str, Any]) -> None:
    """It says which run, and what was expected."""
    row = example_of(inputs, {"answer": "x"}, {}, example_id="r1", where="run r1")
    assert isinstance(row, BadRow)
    assert "run r1, column 'inputs': expected a task" in str(row.error)
