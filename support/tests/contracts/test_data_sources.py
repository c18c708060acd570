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
from agent_orchestrator.agents.infrastructure.modelops.usecases.filters import Filters

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
    runs = LangSmithRuns(
        lambda: connect(str(client.api_url), client.api_key),
        feedback_keys=("user_score",),
        since=timedelta(hours=1),
    )
    wanted = Wanted(agent="feature_dev", filters=Filters(**filters))
    found = {example.task: example.id for example in read(runs.open(project, wanted))}
    return found if len(found) == number else {}
