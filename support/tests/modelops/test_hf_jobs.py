"""HF Jobs as a training backend, by the Hub's own client against the double."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from tests.doubles.hub import FINE_GRAINED, READ, USER, WRITE, HubDouble
from tests.doubles.hub_jobs import Job
from tests.doubles.hub_workshop import jobs_backend
from tests.doubles.workshop import training_spec

from agent_orchestrator.agents.infrastructure.modelops.backends.hf_jobs import HfJobsBackend
from agent_orchestrator.agents.infrastructure.modelops.backends.job_log import JobLog
from agent_orchestrator.domain.jobs import Progress
from agent_orchestrator.domain.training import TrainingSpec
from agent_orchestrator.errors import (
    ConfigurationError,
    InputError,
    NotFoundError,
    UnavailableError,
)

JOB = "job_2026-11-20_ab12cd34"
REPO = f"{USER}/code-chef-job-2026-11-20_ab12cd34"
FINE = {"weights_sha256": "ab" * 32}


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    """Return a running Hub."""
    with HubDouble() as double:
        yield double


@pytest.fixture
def backend(hub: HubDouble, tmp_path: Path) -> HfJobsBackend:
    """Return the backend of somebody who may run jobs."""
    return jobs_backend(hub, tmp_path)


def spec(**changes: Any) -> TrainingSpec:
    """Return a training for the smallest machine."""
    given = {"base_model": "acme/tiny", "output_model": f"{USER}/better", "hardware": "t4-small"}
    return training_spec(**{**given, "max_seconds": 36_000.0, "push_to_hub": True, **changes})


def leave(hub: HubDouble, **files: Any) -> None:
    """Leave files in the job's repository, as the worker's machine does; values are JSON."""
    operations = [
        CommitOperationAdd(path, json.dumps(content).encode()) for path, content in files.items()
    ]
    HfApi(endpoint=hub.url, token=WRITE).create_commit(
        REPO, operations, commit_message="left", repo_type="dataset"
    )


def tell(job: Job, event: str, **values: Any) -> None:
    """Have the worker say something in the job's log."""
    job.log("chef-progress " + json.dumps({"event": event, "message": event, **values}))


def look(backend: HfJobsBackend, step: int) -> Progress:
    """Poll until a step was heard of."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        progress = backend.poll({"job_id": JOB})
        if progress.current_step == step:
            return progress
        time.sleep(0.05)
    pytest.fail(f"Step {step} was not heard of: {progress}")


def test_what_is_submitted(hub: HubDouble, backend: HfJobsBackend):
    """An explicit time-out, the priced machine, a label, and a private repository with the job."""
    ref = backend.submit(JOB, spec())
    (job,) = hub.jobs.all()
    assert ref == {"job_id": JOB, "hf_job": job.id, "url": f"{hub.url}/jobs/{USER}/{job.id}"}
    assert job.payload["flavor"] == "t4-small"
    assert job.payload["timeoutSeconds"] == 3 * 3600 + 30 * 60
    assert job.payload["environment"]["CHEF_STOP_AFTER"] == "10800"
    assert job.labels["chef-job"] == JOB
    assert job.payload["command"][:2] == ["uv", "run"]
    assert "trl==1.16.0" in job.payload["command"]
    assert job.payload["command"][-1] == REPO
    repo = hub.repos.get("dataset", REPO)
    assert repo.private
    worker = json.loads(repo.files["spec.json"].content)
    assert worker["base_model"] == "acme/tiny"
    assert worker["push_to_hub"] == {"repo": f"{USER}/better"}
    assert worker["hyperparameters"]["checkpoint_steps"] == 1
    assert len(repo.files["train.jsonl"].content.splitlines()) == len(spec().rows)
    assert "worker/agent_orchestrator/trainer/worker.py" in repo.files
    assert "worker/agent_orchestrator/__init__.py" in repo.files


def test_the_token_is_a_secret_of_the_job_and_nowhere_else(
    hub: HubDouble, backend: HfJobsBackend, caplog: pytest.LogCaptureFixture
):
    """Not in its command, its environment, its repository, our reference or our log."""
    ref = backend.submit(JOB, spec())
    (job,) = hub.jobs.all()
    assert job.payload["secrets"] == {"HUGGINGFACE_TOKEN": WRITE, "HF_TOKEN": WRITE}
    told = {key: value for key, value in job.payload.items() if key != "secrets"}
    files = hub.repos.get("dataset", REPO).files
    stored = [file.content for path, file in files.items() if not path.startswith("worker/")]
    urls = [f"{request.path} {request.query}" for request in hub.requests]
    assert WRITE not in json.dumps([told, ref, urls]) + caplog.text
    assert not any(WRITE.encode() in content for content in stored)


def test_the_same_id_again_starts_nothing_new(
    hub: HubDouble, backend: HfJobsBackend, tmp_path: Path
):
    """Neither in this process nor in another, which finds the job by its label."""
    first = backend.submit(JOB, spec())
    again = jobs_backend(hub, tmp_path / "elsewhere").submit(JOB, spec())
    assert first == again == backend.submit(JOB, spec())
    assert len(hub.jobs.all()) == 1


def test_a_submission_that_broke_off_can_be_repeated(hub: HubDouble, backend: HfJobsBackend):
    """The repository is there already; the job is started then."""
    hub.fail(503, method="POST", path=f"^/api/jobs/{USER}$")
    with pytest.raises(UnavailableError):
        backend.submit(JOB, spec())
    assert not hub.jobs.all()
    backend.submit(JOB, spec())
    assert len(hub.jobs.all()) == 1


@pytest.mark.parametrize("path", ["/commit/", "/repos/create", "/whoami-v2"])
def test_a_hub_that_fails_before_the_start_has_started_nothing(
    hub: HubDouble, backend: HfJobsBackend, path: str
):
    """No machine is paid for."""
    hub.fail(None, path=path, times=99)
    with pytest.raises(UnavailableError):
        backend.submit(JOB, spec())
    assert not hub.jobs.all()


def test_a_running_job_is_followed(hub: HubDouble, backend: HfJobsBackend, tmp_path: Path):
    """Waiting, running with its steps and its machine; a restarted process hears it all again."""
    backend.submit(JOB, spec())
    (job,) = hub.jobs.all()
    assert backend.poll({"job_id": JOB}).status == "pending"
    job.move("RUNNING")
    job.log("Installed 61 packages in 9 s")
    tell(job, "started")
    for step in (1, 2, 3):
        tell(job, "step", step=step, total_steps=5, loss=1 / step, eta_seconds=60.0)
    progress = look(backend, 3)
    assert (progress.status, progress.total_steps, progress.eta_seconds) == ("running", 5, 60.0)
    assert progress.losses == ((1, 1.0), (2, 0.5), (3, 1 / 3))
    gpu = {"utilization": 97, "memory_used_bytes": 2**30, "memory_total_bytes": 2**34}
    job.metrics = {"gpus": {"a": gpu}}
    tell(job, "step", step=4, total_steps=5, loss=0.25)
    deadline = time.monotonic() + 60
    while "GPU 97 %" not in (message := look(backend, 4).message):
        assert time.monotonic() < deadline, message
        time.sleep(0.05)
    assert message == "step (GPU 97 %, 1,024 of 16,384 MiB)"
    assert look(jobs_backend(hub, tmp_path / "later"), 4).losses[-1] == (4, 0.25)
    assert backend.logs({"job_id": JOB}, 2)[-1].startswith("chef-progress")
    assert backend.logs({"job_id": JOB}, 0) == []
    job.move("CANCELED")


def test_whoever_follows_a_job_does_not_ask_the_service_each_time(hub: HubDouble, tmp_path: Path):
    """Steps come from the log; its end has the service asked at once, and so has a change."""
    backend = jobs_backend(hub, tmp_path, look_again_s=600.0)
    backend.submit(JOB, spec())
    (job,) = hub.jobs.all()
    job.move("RUNNING")
    tell(job, "step", step=1, total_steps=5, loss=1.0)
    look(backend, 1)
    asked = len(hub.seen("GET", f"^/api/jobs/{USER}$"))
    tell(job, "step", step=2, total_steps=5, loss=1.0)
    look(backend, 2)
    assert len(hub.seen("GET", f"^/api/jobs/{USER}$")) == asked
    job.move("ERROR", "Job timeout")
    deadline = time.monotonic() + 60
    while backend.poll({"job_id": JOB}).status != "failed":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    backend.resume({"job_id": JOB})
    assert backend.poll({"job_id": JOB}).status == "pending"


def test_a_stream_that_breaks_is_taken_up_again(hub: HubDouble, backend: HfJobsBackend):
    """Nothing is lost and nothing counted twice."""
    backend.submit(JOB, spec())
    (job,) = hub.jobs.all()
    job.move("RUNNING")
    for step in range(1, 7):
        tell(job, "step", step=step, total_steps=9, loss=1.0)
    hub.jobs.break_logs_after = 3
    assert [step for step, _ in look(backend, 6).losses] == [1, 2, 3, 4, 5, 6]
    job.move("CANCELED")


def test_a_broken_log_waits_for_somebody_who_asks():
    """Nothing listens on for a reader that has gone; who comes back hears it all."""
    opened = threading.Semaphore(0)

    def stream() -> Iterator[str]:
        opened.release()
        yield "a line"
        raise UnavailableError("The log is away.", remedy="Wait.")

    log = JobLog(stream, lambda line: {"said": line})
    assert opened.acquire(timeout=60)
    log._thread.join(60)
    assert not log._thread.is_alive()
    assert not log.has_ended
    while not opened.acquire(timeout=0.05):
        assert log.events(0.0) == ({"said": "a line"},)


def test_a_completed_job_has_its_manifest(hub: HubDouble, backend: HfJobsBackend):
    """From the repository: the log need not have said it."""
    backend.submit(JOB, spec())
    (job,) = hub.jobs.all()
    leave(hub, **{"manifest.json": FINE, "progress.jsonl": {"event": "step", "step": 5}})
    job.move("COMPLETED")
    progress = backend.poll({"job_id": JOB})
    assert (progress.status, progress.result, progress.current_step) == ("completed", FINE, 5)
    assert backend.poll({"job_id": JOB}) == progress


def test_a_failed_job_says_why(hub: HubDouble, backend: HfJobsBackend):
    """The worker's diagnosis, else the last line of its log."""
    backend.submit(JOB, spec())
    (job,) = hub.jobs.all()
    job.log("error: no solution found when resolving dependencies")
    job.move("ERROR", "Job failed with exit code: 1")
    failure = backend.poll({"job_id": JOB}).failure
    assert failure is not None
    assert "exit code: 1. Its last line: error: no solution found" in failure.message
    leave(hub, **{"failure.json": {"kind": "gated_model", "message": "m", "remedy": "r"}})
    failure = backend.poll({"job_id": JOB}).failure
    assert failure is not None
    assert failure.kind == "gated_model"


def test_a_job_that_was_cut_off_goes_on_from_its_checkpoint(
    hub: HubDouble, backend: HfJobsBackend, tmp_path: Path
):
    """On another machine, once, for the rest of its time; and only while it gets further."""
    ref = backend.submit(JOB, spec(max_seconds=7200.0))
    (job,) = hub.jobs.all()
    assert backend.go_on(ref)  # it runs
    job.move("ERROR", "Job timeout")
    assert not backend.go_on(ref)  # without a checkpoint there is nothing to go on from
    leave(hub, **{"checkpoints/checkpoint-4/complete": {}})
    failed = backend.poll(ref)
    assert failed.failure is not None
    assert "checkpoint of step 4 is kept" in failed.failure.message
    assert jobs_backend(hub, tmp_path / "elsewhere").go_on(ref)
    assert backend.go_on(ref)
    _, second = hub.jobs.all()
    assert second.labels["chef-step"] == "4"
    assert float(second.payload["environment"]["CHEF_STOP_AFTER"]) <= 7200
    assert backend.poll(ref).status == "pending"
    second.move("ERROR", "Job timeout")
    assert not backend.go_on(ref)  # it got no further than where it began
    assert backend.poll(ref).status == "failed"


def test_a_job_that_failed_or_was_cancelled_is_resumed_on_request(
    hub: HubDouble, backend: HfJobsBackend
):
    """With its whole time once more; one that runs or is completed is left alone."""
    ref = backend.submit(JOB, spec(max_seconds=7200.0))
    backend.resume(ref)
    assert len(hub.jobs.all()) == 1
    hub.jobs.all()[0].move("ERROR", "Job failed with exit code: 1")
    failure = {"kind": "out_of_memory", "message": "m", "remedy": "r"}
    leave(hub, **{"failure.json": failure, "checkpoints/checkpoint-4/complete": {}})
    assert not backend.go_on(ref)
    backend.resume(ref)
    second = hub.jobs.all()[-1]
    assert (second.labels["chef-step"], second.labels["chef-part"]) == ("4", "1")
    assert float(second.payload["environment"]["CHEF_STOP_AFTER"]) == 7200
    assert "failure.json" not in hub.repos.get("dataset", REPO).files
    assert backend.poll(ref).status == "pending"
    backend.cancel(ref)
    backend.resume(ref)
    third = hub.jobs.all()[-1]
    assert third.labels["chef-part"] == "2"
    leave(hub, **{"manifest.json": FINE})
    third.move("COMPLETED")
    backend.resume(ref)
    assert len(hub.jobs.all()) == 3
    assert backend.poll(ref).status == "completed"


def test_a_job_is_cancelled(hub: HubDouble, backend: HfJobsBackend):
    """Asking again, or after its end, does nothing."""
    ref = backend.submit(JOB, spec())
    backend.cancel(ref)
    backend.cancel(ref)
    assert len(hub.seen("POST", "/cancel$")) == 1
    assert backend.poll(ref).status == "cancelled"
    assert not backend.go_on(ref)


def test_a_job_that_nobody_knows_is_not_found(backend: HfJobsBackend):
    """Whatever one asks of it."""
    for call in (backend.poll, backend.cancel, lambda ref: backend.logs(ref, 5)):
        with pytest.raises(NotFoundError, match="HF Jobs know no job 'job_2'"):
            call({"job_id": "job_2"})


@pytest.mark.parametrize(
    ("token", "said"),
    [(READ, "may only read"), ("hf_wrong", "refused the token")],
)
def test_who_may_not_run_jobs_is_told_before(hub: HubDouble, tmp_path: Path, token: str, said: str):
    """By the check that comes before pricing; nothing was made."""
    with pytest.raises(ConfigurationError, match=said):
        jobs_backend(hub, tmp_path, token=token).check(USER, "trl")
    jobs_backend(hub, tmp_path, token=FINE_GRAINED).check(USER, "trl")
    assert not hub.repos.ids("dataset")


def test_autotrain_has_an_environment_of_its_own(hub: HubDouble, backend: HfJobsBackend):
    """Python 3.11, its pins, itself without dependencies; and all of the job's time at once."""
    backend.check(USER, "autotrain")
    long = spec(engine="autotrain", max_seconds=5 * 3600.0)
    backend.submit(JOB, long)
    (job,) = hub.jobs.all()
    command = job.payload["command"]
    assert command[command.index("--python") + 1] == "3.11"
    assert {"transformers==4.48.0", "trl==0.13.0"} <= set(command)
    assert command[-2:] == [REPO, "autotrain-advanced==0.8.36"]
    assert "python3.11" in job.payload["dockerImage"]
    assert job.payload["environment"]["CHEF_STOP_AFTER"] == str(5 * 3600.0)
    worker = json.loads(hub.repos.get("dataset", REPO).files["spec.json"].content)
    assert worker["engine"] == "autotrain"
    assert worker["hyperparameters"].get("checkpoint_steps") is None
    job.move("ERROR", "Job failed with exit code: 75")
    assert not backend.go_on({"job_id": JOB})
    backend.resume({"job_id": JOB})
    assert hub.jobs.all()[-1].payload["command"] == command


def test_what_hf_jobs_cannot_do_is_refused(hub: HubDouble, backend: HfJobsBackend):
    """Another owner, an impossible id, no machine, no credit."""
    with pytest.raises(ConfigurationError, match="paid by 'acme'"):
        backend.check("stranger", "trl")
    with pytest.raises(InputError, match="Not a job id"):
        backend.submit("../etc", spec())
    with pytest.raises(InputError, match="does not belong to 'acme'"):
        backend.submit(JOB, spec(output_model="stranger/better"))
    with pytest.raises(InputError, match="No hardware"):
        backend.submit(JOB, spec(hardware=None))
    hub.fail(402, method="POST", path="/api/jobs", message="Pre-paid credit balance is zero")
    with pytest.raises(ConfigurationError, match="wants to be paid: Pre-paid credit"):
        backend.submit(JOB, spec())
