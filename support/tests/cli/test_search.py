"""``chef search``: from a file of what to try to the one model that is left."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Chef
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.domain.jobs import TERMINAL, Job
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.jobs import JobStore

SPACE = """\
learning_rate: [1e-3, 4e-3, 2e-2]
warmup_ratio: {low: 0.0, high: 0.2}
"""
BEST = 4e-3


@pytest.fixture
def search(workspace: Workspace) -> tuple[str, ...]:
    """Have a data set and a stub that learns best at one rate; return what starts a search."""
    workspace.build_dataset()
    workspace.scenario(best_rate=BEST)
    space = workspace.folder / "space.yaml"
    space.write_text(SPACE, encoding="utf-8")
    base = ("search", "code_review", "--base-model", "local/tiny-code", "--backend", "local")
    return (*base, "--space", str(space), "--trials", "4", "--json")


def ended(workspace: Workspace, job_id: str) -> Job:
    """Wait until the store says that a search has ended: nobody asks how it stands."""
    store = JobStore(Database(workspace.settings().database))

    def look() -> Job | None:
        job = store.get(job_id)
        return job if job.status in TERMINAL else None

    return asyncio.run(eventually(look, seconds=300))


def models(workspace: Workspace) -> list[Path]:
    """Return the models that there are, those that are being made or removed included."""
    return list((workspace.state / "artifacts" / "local").glob("*code-chef-*"))


def test_a_search_goes_on_though_nobody_looks(
    chef: Chef, workspace: Workspace, search: tuple[str, ...]
):
    """Its own process starts each trial; of the models only the best one's is left."""
    started = chef(*search)
    assert started.code == 0, started.err
    done = ended(workspace, started.json["job_id"])
    assert done.status == "completed", done.failure
    report = chef("job", done.id, "--json").json
    best = min(report["trials"], key=lambda trial: trial["value"])
    assert len(report["trials"]) == 4
    assert done.result is not None
    assert done.result["best"] == best["job_id"]
    assert [folder.name for folder in models(workspace)] == [best["model"].partition("/")[2]]
    assert report["version"] == "v1.0.0"


def test_a_search_whose_process_is_killed_is_finished_by_who_looks(
    chef: Chef, workspace: Workspace, search: tuple[str, ...]
):
    """It keeps nothing that the store has not; with ``--keep all`` every model stays."""
    workspace.scenario(best_rate=BEST, seconds=0.3)
    job_id = chef(*search, "--keep", "all").json["job_id"]
    record = json.loads((workspace.state / "jobs" / job_id / "process.json").read_text())
    os.kill(record["pid"], signal.SIGKILL)
    report = chef("job", job_id, "--follow", "--json").json
    assert report["status"] == "completed", report
    assert len(models(workspace)) == len(report["trials"]) == 4
    assert all(trial["model"] for trial in report["trials"])


def test_a_process_without_a_search_ends(workspace: Workspace):
    """It waits for no job that the store does not know."""
    folder = workspace.state / "jobs" / "job_nobody"
    folder.mkdir(parents=True)
    module = "agent_orchestrator.wiring.search_process"
    done = subprocess.run(
        [sys.executable, "-m", module, folder],
        env=workspace.variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "No job 'job_nobody'" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file"),
        ("learning_rate: [1e-3", "cannot read"),
        ("- 1e-3", "holds no mapping"),
        ("learning_rate: fast", "neither a choice nor a range: 'fast'"),
        ("learning_rat: [1e-3, 2e-3]", "Did you mean 'learning_rate'"),
    ],
)
def test_a_file_that_is_no_space_is_bad_input(
    chef: Chef, workspace: Workspace, text: str | None, said: str
):
    """What is wrong is named, and no job is begun."""
    workspace.build_dataset()
    path = workspace.folder / "space.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    base = ("search", "code_review", "--base-model", "local/tiny-code")
    refused = chef(*base, "--space", str(path))
    assert refused.code == 2
    assert said in refused.err
    assert chef("jobs", "--json").json == []
