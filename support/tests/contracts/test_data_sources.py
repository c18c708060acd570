"""LangSmith as a source of examples: the double and, with a key, the service itself."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from langsmith import Client, traceable, tracing_context
from tests.contracts.peers import LangSmithPeer
from tests.doubles.sources import read

from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Wanted
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.langsmith_client import (
    connect,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.langsmith_datasets import (
    LangSmithDatasets,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.langsmith_runs import (
    LangSmithRuns,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.run_trees import (
    RunTree,
    RunTrees,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.filters import Filters
from agent_orchestrator.errors import DatasetError

WANTED = Wanted(agent="feature_dev")


def test_a_data_set_is_read_with_its_splits(langsmith_peer: LangSmithPeer):
    """What was created comes back: tasks, answers, metadata, and which split they are of."""
    name = langsmith_peer.dataset()
    langsmith_peer.client.create_dataset(name)
    rows = [
        {
            "inputs": {"task": f"Task {n}"},
            "reference_outputs": {"answer": f"Answer {n}"},
            "metadata": {"group": f"g{n}"},
            "split": "train" if n else "eval",
        }
        for n in range(4)
    ]
    langsmith_peer.client.create_examples(dataset_name=name, examples=rows)
    source = LangSmithDatasets(lambda: langsmith_peer.client, default_name=name).open("", WANTED)
    assert {(e.task, e.label, e.group) for e in read(source)} == {
        (f"Task {n}", f"Answer {n}", f"g{n}") for n in (1, 2, 3)
    }
    assert len(list(source.held_out or ())) == 1


@traceable
def answer(task: str) -> str:
    """Answer loudly."""
    return task.upper()


def test_runs_are_read_by_their_feedback(langsmith_peer: LangSmithPeer):
    """Only the run that people liked becomes an example."""
    project = langsmith_peer.project()
    with tracing_context(enabled=True, client=langsmith_peer.client, project_name=project):
        for task in ("good", "poor"):
            extra: dict[str, Any] = {"name": task, "metadata": {"agent": "feature_dev"}}
            answer(task, langsmith_extra=extra)
    langsmith_peer.client.flush()
    everything = langsmith_peer.eventually(partial(_tasks, langsmith_peer.client, project, 2))
    session = langsmith_peer.client.read_project(project_name=project).id
    for task, run_id in everything.items():
        score = 5.0 if task == "good" else 1.0
        langsmith_peer.client.create_feedback(
            run_id=run_id, trace_id=run_id, session_id=session, key="user_score", score=score
        )
    langsmith_peer.client.flush()
    look = partial(_tasks, langsmith_peer.client, project, 1, feedback_score=4.0)
    assert langsmith_peer.eventually(look).keys() == {"good"}


def _tasks(client: Client, project: str, number: int, **filters: Any) -> dict[str, str]:
    """Return task → run of a project's runs, nothing until there are so many."""
    if not client.has_project(project):
        return {}
    runs = _runs(client)
    wanted = Wanted(agent="feature_dev", filters=Filters(**filters))
    found = {example.task: example.id for example in read(runs.open(project, wanted))}
    return found if len(found) == number else {}


def _runs(client: Client) -> LangSmithRuns:
    return LangSmithRuns(
        lambda: connect(str(client.api_url), client.api_key),
        feedback_keys=("user_score",),
        since=timedelta(hours=1),
    )


@traceable(run_type="llm")
def think(task: str) -> dict[str, Any]:
    """Answer, as a model that tells its usage."""
    usage = {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}
    return {"role": "assistant", "content": task.upper(), "usage_metadata": usage}


@traceable(run_type="tool")
def look_up(key: str) -> str:
    """Find something."""
    return f"{key}-9f3c"


@traceable
def work(task: str) -> str:
    """Work with a model and a tool."""
    return f"{think(task)['content']} {look_up('build')}"


def test_a_run_is_read_with_all_that_ran_beneath_it(langsmith_peer: LangSmithPeer):
    """Kinds, parents, inputs, outputs, times, tokens; and the example that it was run on."""
    client, project = langsmith_peer.client, langsmith_peer.project()
    name = langsmith_peer.dataset()
    example = client.create_example(
        inputs={"task": "release"},
        reference_outputs={"answer": "RELEASE"},
        dataset_id=client.create_dataset(name).id,
    )
    with tracing_context(enabled=True, client=client, project_name=project):
        extra: dict[str, Any] = {"reference_example_id": example.id, "metadata": {"n": 1}}
        work("release", langsmith_extra=extra)
    client.flush()
    tree = langsmith_peer.eventually(partial(_tree, client, project, 3))
    assert [(run.name, run.kind, len(run.parents)) for run in tree.runs] == [
        ("work", "chain", 0),
        ("think", "llm", 1),
        ("look_up", "tool", 1),
    ]
    model, tool = tree.runs[1:]
    assert (model.prompt_tokens, model.completion_tokens) == (7, 2)
    assert (tool.inputs, tool.outputs) == ({"key": "build"}, {"output": "build-9f3c"})
    assert all(run.started <= run.ended for run in tree.runs)
    assert tree.reference is not None
    assert tree.reference.label == "RELEASE"


def _tree(client: Client, project: str, runs: int) -> RunTree | None:
    """Return a project's only run, nothing until it has so many parts."""
    if not client.has_project(project):
        return None
    try:
        [tree] = RunTrees(_runs(client)).read(project, WANTED, limit=5).trees
    except DatasetError:  # not there yet
        return None
    return tree if len(tree.runs) == runs else None
