"""The queue under kills and restarts: nothing is lost, nothing runs twice."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.doubles.space import TOKEN, RunningSpace, running_space
from tests.doubles.workshop import training_spec
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.agents.infrastructure.modelops.backends.hf_space import HfSpaceBackend
from agent_orchestrator.domain.jobs import TERMINAL, Progress
from agent_orchestrator.errors import ChefError, ConflictError, NotFoundError, UnavailableError

#: A training that is in its third step until it is ended, and that goes on when told otherwise.
STOPS_AT_2 = {"steps": 40, "hurried": 2, "seconds": 3600.0}


@pytest.fixture
def backend(space: RunningSpace, tmp_path: Path) -> HfSpaceBackend:
    """Return a client of the app."""
    return space.backend(tmp_path / "artifacts")


def submit(backend: HfSpaceBackend, *names: str) -> None:
    """Submit jobs, one model each."""
    for name in names:
        backend.submit(name, training_spec(output_model=f"local/{name.replace('_', '-')}"))


async def until(
    backend: HfSpaceBackend, job_id: str, stands: Callable[[Progress], bool]
) -> Progress:
    """Look until a job stands so."""

    def look() -> Progress | None:
        progress = backend.poll({"job_id": job_id})
        return progress if stands(progress) else None

    return await eventually(look)


def ended(progress: Progress) -> bool:
    """Tell whether the job has ended."""
    return progress.status in TERMINAL


def at_step(step: int) -> Callable[[Progress], bool]:
    """Return what tells whether a job has come so far."""
    return lambda progress: (progress.current_step or 0) >= step


def starts(space: RunningSpace, job_id: str) -> int:
    """Count how often a job's worker was started."""
    return sum(json.loads(line)["event"] == "started" for line in told(space, job_id))


def told(space: RunningSpace, job_id: str) -> list[str]:
    """Return a job's progress lines."""
    return (space.jobs / job_id / "progress.jsonl").read_text().splitlines()


def started_as_often(space: RunningSpace, times: int) -> bool:
    """Tell whether job_1 has been started so often."""
    path = space.jobs / "job_1" / "progress.jsonl"
    return path.exists() and starts(space, "job_1") == times


def worker(space: RunningSpace, job_id: str) -> int:
    """Return the process id of a job's worker."""
    pid: int = json.loads((space.jobs / job_id / "process.json").read_text())["pid"]
    return pid


async def test_jobs_run_one_after_the_other(
    space: RunningSpace, workspace: Workspace, backend: HfSpaceBackend
):
    """In the order in which they came; who waits is told behind how many."""
    workspace.scenario(steps=100_000, seconds=0.02)
    submit(backend, "job_c", "job_a", "job_b")
    await until(backend, "job_c", at_step(1))
    health = backend.health()
    assert (list(health.running), list(health.waiting)) == (["job_c"], ["job_a", "job_b"])
    assert backend.poll({"job_id": "job_b"}).message == "1 jobs wait before it"
    assert backend.poll({"job_id": "job_a"}).status == "pending"
    workspace.scenario(steps=1)
    backend.cancel({"job_id": "job_c"})
    await until(backend, "job_b", ended)
    finished = [
        json.loads((space.jobs / f"job_{n}" / "progress.jsonl").read_text().splitlines()[0])
        for n in "cab"
    ]
    assert [line["at"] for line in finished] == sorted(line["at"] for line in finished)


@pytest.mark.parametrize(("asked", "written"), [(None, 100), (7, 7)])
async def test_jobs_write_checkpoints(
    space: RunningSpace, backend: HfSpaceBackend, asked: int | None, written: int
):
    """A Space may be ended at any time: what does not say when to write one is told."""
    backend.submit("job_1", training_spec(hyperparameters={"checkpoint_steps": asked}))
    spec = json.loads((space.jobs / "job_1" / "spec.json").read_text())
    assert spec["hyperparameters"]["checkpoint_steps"] == written


async def test_each_gpu_has_a_job_of_its_own(workspace: Workspace, tmp_path: Path):
    """With two GPUs two jobs run, each of which sees one."""
    workspace.scenario(steps=100_000, seconds=0.05, gpus=[{"name": "a"}, {"name": "b"}])
    python = workspace.settings().trainer_python
    with running_space(tmp_path / "space", python) as space:
        backend = space.backend(tmp_path / "artifacts")
        await eventually(lambda: len(backend.health().gpus) == 2)
        submit(backend, "job_1", "job_2", "job_3")
        await until(backend, "job_2", at_step(1))
        assert list(backend.health().waiting) == ["job_3"]
        processes = [psutil.Process(worker(space, job)) for job in ("job_1", "job_2")]
        seen = {process.environ()["CUDA_VISIBLE_DEVICES"] for process in processes}
        assert seen == {"0", "1"}


async def test_a_job_that_waits_can_be_cancelled(
    space: RunningSpace, workspace: Workspace, backend: HfSpaceBackend
):
    """It never starts."""
    workspace.scenario(steps=100_000, seconds=0.02)
    submit(backend, "job_1", "job_2")
    await until(backend, "job_1", at_step(1))
    backend.cancel({"job_id": "job_2"})
    assert backend.poll({"job_id": "job_2"}).status == "cancelled"
    backend.cancel({"job_id": "job_1"})
    await until(backend, "job_1", ended)
    await eventually(lambda: not backend.health().running)
    assert not (space.jobs / "job_2" / "process.json").exists()
    assert backend.poll({"job_id": "job_2"}).status == "cancelled"


async def test_a_killed_app_finds_its_jobs_again(
    space: RunningSpace, workspace: Workspace, backend: HfSpaceBackend, tmp_path: Path
):
    """SIGKILL to the app alone: the worker runs on, and the queue goes on after it."""
    workspace.scenario(steps=40, seconds=0.05)
    submit(backend, "job_1", "job_2")
    await until(backend, "job_1", at_step(2))
    space.end(signal.SIGKILL)
    space.start()
    backend = space.backend(tmp_path / "artifacts")
    for job in ("job_1", "job_2"):
        assert (await until(backend, job, ended)).status == "completed"
        assert starts(space, job) == 1


async def test_a_killed_container_resumes_what_ran(
    space: RunningSpace, workspace: Workspace, backend: HfSpaceBackend, tmp_path: Path
):
    """SIGKILL to app and worker: the job goes on where it was, and completes."""
    workspace.scenario(**STOPS_AT_2)
    submit(backend, "job_1", "job_2")
    await until(backend, "job_1", at_step(2))
    space.end(signal.SIGKILL)
    os.kill(worker(space, "job_1"), signal.SIGKILL)
    workspace.scenario(steps=40)
    space.start()
    backend = space.backend(tmp_path / "artifacts")
    progress = await until(backend, "job_1", ended)
    assert (progress.status, starts(space, "job_1")) == ("completed", 2)
    assert [step for step, _ in progress.losses] == list(range(1, 41))
    assert (await until(backend, "job_2", ended)).status == "completed"


async def test_a_restarted_space_lets_its_job_write_a_checkpoint(
    space: RunningSpace, workspace: Workspace, backend: HfSpaceBackend, tmp_path: Path
):
    """SIGTERM ends the app and interrupts the worker, which the next app resumes."""
    workspace.scenario(**STOPS_AT_2)
    submit(backend, "job_1")
    await until(backend, "job_1", at_step(2))
    assert space.end(signal.SIGTERM) == 0
    assert not [line for line in space.log if "Traceback" in line]
    last = space.jobs / "job_1" / "progress.jsonl"
    await eventually(lambda: json.loads(last.read_text().splitlines()[-1])["event"] == "cancelled")
    workspace.scenario(steps=40)
    space.start()
    backend = space.backend(tmp_path / "artifacts")
    progress = await until(backend, "job_1", ended)
    assert (progress.status, starts(space, "job_1")) == ("completed", 2)


async def test_a_worker_that_is_told_to_end_goes_on(
    space: RunningSpace, workspace: Workspace, backend: HfSpaceBackend
):
    """SIGTERM without a cancellation is an interruption, also while the app watches."""
    workspace.scenario(**STOPS_AT_2)
    submit(backend, "job_1")
    await until(backend, "job_1", at_step(2))
    workspace.scenario(steps=40)
    os.kill(worker(space, "job_1"), signal.SIGTERM)
    progress = await until(backend, "job_1", ended)
    assert (progress.status, starts(space, "job_1")) == ("completed", 2)


async def test_a_job_that_keeps_dying_is_given_up(
    space: RunningSpace, workspace: Workspace, backend: HfSpaceBackend, tmp_path: Path
):
    """One that takes the container down with it does not do so for ever."""
    workspace.scenario(steps=100_000, seconds=0.02)
    submit(backend, "job_1")
    for number in range(1, 4):
        await eventually(partial(started_as_often, space, number))
        space.end(signal.SIGKILL)
        os.kill(worker(space, "job_1"), signal.SIGKILL)
        space.start()
    backend = space.backend(tmp_path / "artifacts")
    progress = await until(backend, "job_1", ended)
    assert progress.status == "failed"
    assert progress.failure is not None
    assert progress.failure.kind == "killed"
    assert "3 times" in progress.failure.message
    assert "batch_size" in progress.failure.remedy


async def test_an_end_that_was_seen_stands(
    space: RunningSpace, workspace: Workspace, backend: HfSpaceBackend, tmp_path: Path
):
    """A worker that died while the app watched has failed; a later app does not revive it."""
    workspace.scenario(steps=100_000, seconds=0.02)
    submit(backend, "job_1")
    await until(backend, "job_1", at_step(1))
    os.kill(worker(space, "job_1"), signal.SIGKILL)
    before = await until(backend, "job_1", ended)
    assert (before.status, before.failure.kind) == ("failed", "killed")
    await eventually((space.jobs / "job_1" / "settled.json").exists)
    space.end(signal.SIGKILL)
    space.start()
    backend = space.backend(tmp_path / "artifacts")
    assert backend.poll({"job_id": "job_1"}) == before
    assert starts(space, "job_1") == 1


async def test_an_ended_job_is_resumed_on_request(
    space: RunningSpace, workspace: Workspace, backend: HfSpaceBackend
):
    """It waits for its turn again and goes on where it was; asking again changes nothing."""
    workspace.scenario(steps=100_000, seconds=0.02)
    submit(backend, "job_1")
    await until(backend, "job_1", at_step(3))
    backend.cancel({"job_id": "job_1"})
    before = await until(backend, "job_1", ended)
    submit(backend, "job_2")
    await until(backend, "job_2", at_step(1))
    for _ in range(2):
        backend.resume({"job_id": "job_1"})
        waits = backend.poll({"job_id": "job_1"})
        assert (waits.status, waits.message) == ("pending", "waiting for its turn")
    workspace.scenario(steps=before.current_step + 100, seconds=0.0)
    backend.cancel({"job_id": "job_2"})
    progress = await until(backend, "job_1", ended)
    assert (progress.status, starts(space, "job_1")) == ("completed", 2)
    steps = [json.loads(line).get("step") for line in told(space, "job_1")]
    assert sorted(filter(None, steps)) == list(range(1, before.current_step + 101))
    backend.resume({"job_id": "job_1"})
    assert backend.poll({"job_id": "job_1"}).status == "completed"


async def test_a_job_that_waits_to_be_resumed_survives_a_kill_and_can_be_cancelled(
    space: RunningSpace, workspace: Workspace, backend: HfSpaceBackend, tmp_path: Path
):
    """The queue is what the folders say, resumed jobs included."""
    workspace.scenario(steps=100_000, seconds=0.02)
    submit(backend, "job_1", "job_2")
    await until(backend, "job_1", at_step(1))
    backend.cancel({"job_id": "job_1"})
    await until(backend, "job_2", at_step(1))
    backend.resume({"job_id": "job_1"})
    space.end(signal.SIGKILL)
    space.start()
    backend = space.backend(tmp_path / "artifacts")
    assert list(backend.health().waiting) == ["job_1"]
    backend.cancel({"job_id": "job_1"})
    assert backend.poll({"job_id": "job_1"}).status == "cancelled"
    assert list(backend.health().waiting) == []
    assert starts(space, "job_1") == 1


async def test_tensorboard_files_come_along_as_they_grow(
    space: RunningSpace, workspace: Workspace, tmp_path: Path
):
    """Each look brings what is new, and says where it lies."""
    workspace.scenario(steps=30, seconds=0.02)
    backend = replace(space.backend(tmp_path / "artifacts"), tensorboard_dir=tmp_path / "tb")
    submit(backend, "job_1")
    await until(backend, "job_1", at_step(5))
    progress = await until(backend, "job_1", ended)
    assert progress.tensorboard_url == (tmp_path / "tb" / "job_1").as_uri()
    theirs = space.jobs / "job_1" / "tensorboard" / "events.out.tfevents.1"
    ours = tmp_path / "tb" / "job_1" / "events.out.tfevents.1"
    assert ours.read_bytes() == theirs.read_bytes()
    with pytest.raises(NotFoundError):
        space.client().get("/tensorboard/job_1/..%2fspec.json")


async def test_a_full_queue_refuses(workspace: Workspace, tmp_path: Path):
    """With what to do, and without a folder."""
    workspace.scenario(steps=100_000, seconds=0.02)
    python = workspace.settings().trainer_python
    one = {"CHEF_SPACE_QUEUE": "1"}
    with running_space(tmp_path / "space", python, variables=one) as space:
        backend = space.backend(tmp_path / "artifacts")
        submit(backend, "job_1")
        await until(backend, "job_1", at_step(1))
        submit(backend, "job_2")
        with pytest.raises(UnavailableError, match="1 jobs wait already"):
            submit(backend, "job_3")
        submit(backend, "job_2")  # a known one is no new one
        assert not (space.jobs / "job_3").exists()


def test_two_apps_do_not_share_a_folder(space: RunningSpace):
    """The second one ends with what to do."""
    second = RunningSpace(space.state, space.trainer_python)
    assert second.start() == ""
    assert second.process.wait(60) == ConflictError.exit_code
    assert "Another Space app works" in "".join(second.log)


@pytest.mark.parametrize(
    ("variables", "arguments", "said"),
    [
        ({"MODELOPS_SPACE_TOKEN": ""}, (), "MODELOPS_SPACE_TOKEN is not set"),
        ({"CHEF_SPACE_HOST": "nowhere.invalid"}, (), "Cannot listen on"),
        ({"CHEF_SPACE_QUEUE": "0"}, (), "CHEF_SPACE_QUEUE"),
    ],
)
def test_a_space_that_is_set_up_wrong_does_not_start(
    workspace: Workspace, tmp_path: Path, variables: dict[str, str], arguments: Any, said: str
):
    """It ends with exit code 2 and a sentence."""
    python = workspace.settings().trainer_python
    space = RunningSpace(tmp_path / "space", python, variables, arguments)
    assert space.start() == ""
    assert space.process.wait(60) == 2
    assert said in "".join(space.log)
    assert TOKEN not in "".join(space.log)


def test_without_a_token_only_when_told(workspace: Workspace, tmp_path: Path):
    """--no-token opens it to everybody who can reach it."""
    python = workspace.settings().trainer_python
    variables = {"MODELOPS_SPACE_TOKEN": ""}
    with running_space(
        tmp_path / "space", python, variables=variables, arguments=("--no-token",)
    ) as space:
        assert space.client(token=None).get("/jobs").json() == {"jobs": []}


def test_a_wrong_token_is_named(space: RunningSpace, tmp_path: Path):
    """The client says which variable to correct, and never the token."""
    with pytest.raises(ChefError, match="MODELOPS_SPACE_TOKEN") as refused:
        space.backend(tmp_path, token="guess-4711").poll({"job_id": "job_1"})
    assert "guess-4711" not in str(refused.value)
