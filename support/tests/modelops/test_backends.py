"""What every training backend must do, checked on the fake and with real workers."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.doubles import workshop
from tests.doubles.hub import HubDouble
from tests.doubles.hub_workshop import jobs_backend, publish, really_run
from tests.doubles.space import running_space
from tests.doubles.workshop import local_backend, training_spec

from agent_orchestrator.agents.infrastructure.modelops.backends import (
    GoesOn,
    KeepsArtifacts,
    Ref,
    Resumes,
    TrainerBackend,
)
from agent_orchestrator.agents.infrastructure.modelops.backends.fake import FakeBackend, Scenario
from agent_orchestrator.agents.infrastructure.modelops.backends.traced import traced
from agent_orchestrator.domain.jobs import TERMINAL, Failure, Progress
from agent_orchestrator.domain.outcomes import Feedback
from agent_orchestrator.domain.training import TrainingSpec
from agent_orchestrator.errors import NotFoundError
from agent_orchestrator.serving.tracing import Span, Tracer

PATIENCE_SECONDS = 180.0
ENDLESS = {"max_steps": 100_000}


@dataclass(frozen=True)
class Case:
    """A backend and a job for it."""

    backend: TrainerBackend
    job_id: str
    spec: TrainingSpec

    def submit(self) -> Ref:
        """Start the job."""
        return self.backend.submit(self.job_id, self.spec)

    def wait(self, ref: Ref, until: Callable[[Progress], bool]) -> Progress:
        """Poll until the job stands so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            progress = self.backend.poll(ref)
            if until(progress):
                return progress
            assert progress.status not in TERMINAL, progress
            time.sleep(0.05)
        pytest.fail("The job did not come so far.")

    def end(self, ref: Ref) -> Progress:
        """Poll until the job has ended."""
        return self.wait(ref, lambda progress: progress.status in TERMINAL)


@dataclass(frozen=True)
class Bench:
    """Jobs on one kind of backend."""

    good: Case
    endless: Case
    failing: Case
    ref_of_nobody: Ref


@dataclass(frozen=True)
class Completed:
    """A good job that was submitted twice and has come to its end."""

    case: Case
    first: Ref
    second: Ref
    progress: Progress


def endless_spec() -> TrainingSpec:
    """Return a job with a result of its own: none that exists already may be written over."""
    return training_spec(output_model="local/other", hyperparameters=ENDLESS)


def fake_bench(_request: pytest.FixtureRequest, _folder: Path) -> Bench:
    """Return jobs that only seem to run."""
    failure = Failure("unknown_base_model", "No such model.", "Name another.")

    def case(job_id: str, **scenario: Any) -> Case:
        return Case(FakeBackend(Scenario(steps=5, **scenario)), job_id, training_spec())

    return Bench(
        good=case("job_good", seconds=0.5),
        endless=case("job_endless", seconds=1000.0),
        failing=case("job_failing", seconds=0.1, failure=failure),
        ref_of_nobody={"job_id": "job_nobody"},
    )


def local_bench(request: pytest.FixtureRequest, folder: Path) -> Bench:
    """Return jobs of real workers."""
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    backend = local_backend(folder, workshop.tiny_base(factory.getbasetemp().parent))
    return Bench(
        good=Case(backend, "job_good", training_spec()),
        endless=Case(backend, "job_endless", endless_spec()),
        failing=Case(backend, "job_failing", training_spec("./no-such-folder")),
        ref_of_nobody={"folder": str(folder / "jobs" / "job_nobody")},
    )


def space_bench(request: pytest.FixtureRequest, folder: Path) -> Bench:
    """Return jobs of real workers behind the Space's app."""
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    offline = {name: workshop.environment()[name] for name in ("OMP_NUM_THREADS", "HF_HUB_OFFLINE")}
    running = running_space(folder / "space", workshop.trainer_python(), variables=offline)
    space = running.__enter__()
    request.addfinalizer(lambda: running.__exit__(None, None, None))
    base = workshop.tiny_base(factory.getbasetemp().parent)
    shutil.copytree(base, space.artifacts / "local" / "tiny")
    backend = space.backend(folder / "artifacts")
    return Bench(
        good=Case(backend, "job_good", training_spec()),
        endless=Case(backend, "job_endless", endless_spec()),
        failing=Case(backend, "job_failing", training_spec("./no-such-folder")),
        ref_of_nobody={"job_id": "job_nobody"},
    )


def jobs_bench(request: pytest.FixtureRequest, folder: Path) -> Bench:
    """Return jobs of real workers on machines of HF Jobs."""
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    running = HubDouble()
    hub = running.__enter__()
    request.addfinalizer(lambda: running.__exit__(None, None, None))
    publish(hub, "acme/tiny", workshop.tiny_base(factory.getbasetemp().parent))
    really_run(hub, folder)
    backend = jobs_backend(hub, folder)

    def case(job_id: str, base: str = "acme/tiny", **changes: Any) -> Case:
        given = {"output_model": "acme/better", "hardware": "t4-small", **changes}
        return Case(backend, job_id, training_spec(base, **given))

    return Bench(
        good=case("job_good"),
        endless=case("job_endless", output_model="acme/other", hyperparameters=ENDLESS),
        failing=case("job_failing", "acme/absent"),
        ref_of_nobody={"job_id": "job_nobody"},
    )


class _Nobody:
    """Takes traces and does nothing with them."""

    def take(self, spans: Sequence[Span]) -> None:
        """Take them."""
        assert spans

    def judge(self, feedback: Feedback) -> None:
        """Take it."""


def traced_bench(request: pytest.FixtureRequest, folder: Path) -> Bench:
    """Return the fake's jobs, with every call traced."""
    plain, tracer = fake_bench(request, folder), Tracer(_Nobody())
    cases = {
        name: replace(case, backend=traced("fake", case.backend, tracer))
        for name in ("good", "endless", "failing")
        for case in [getattr(plain, name)]
    }
    return replace(plain, **cases)


KINDS = {
    "fake": fake_bench,
    "traced": traced_bench,
    "local": local_bench,
    "hf_space": space_bench,
    "hf_jobs": jobs_bench,
}


@pytest.fixture(
    scope="module",
    params=[
        "fake",
        "traced",
        pytest.param("local", marks=pytest.mark.trainer),
        pytest.param("hf_space", marks=[pytest.mark.trainer, pytest.mark.slow]),
        pytest.param("hf_jobs", marks=[pytest.mark.trainer, pytest.mark.slow]),
    ],
)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Return each kind of backend in turn."""
    return KINDS[request.param](request, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def completed(bench: Bench) -> Completed:
    """Run the good job once, for all tests that only look at one that has ended."""
    first, second = bench.good.submit(), bench.good.submit()
    return Completed(bench.good, first, second, bench.good.end(first))


def test_a_job_runs_to_its_manifest(completed: Completed):
    """A completed job has gone all its steps and hands out the worker's manifest."""
    progress = completed.progress
    assert progress.status == "completed", progress
    assert progress.progress_pct == 100.0
    assert progress.current_step == progress.total_steps == 5
    assert progress.eta_seconds is None
    assert progress.result is not None
    assert progress.result["job_id"] == "job_good"
    assert progress.result["weights_sha256"] != progress.result["base_weights_sha256"]
    assert progress.result["metrics"]["examples"] == len(workshop.ROWS)
    assert [step for step, _ in progress.losses] == sorted({step for step, _ in progress.losses})
    assert progress.current_loss == progress.losses[-1][1]


def test_polling_changes_nothing(completed: Completed):
    """An ended job reads the same however often one asks."""
    backend, ref = completed.case.backend, completed.first
    assert backend.poll(ref) == backend.poll(ref) == completed.progress


def test_the_same_id_again_starts_nothing_new(completed: Completed):
    """Whoever is not sure whether a submission arrived repeats it, while it runs or later."""
    assert completed.first == completed.second
    assert completed.case.submit() == completed.first
    assert completed.case.backend.poll(completed.first).status == "completed"


def test_a_running_job_can_be_cancelled(bench: Bench):
    """It ends as cancelled, without a result; asking twice does no harm."""
    ref = bench.endless.submit()
    bench.endless.wait(ref, lambda progress: progress.status == "running")
    bench.endless.backend.cancel(ref)
    bench.endless.backend.cancel(ref)
    progress = bench.endless.end(ref)
    assert (progress.status, progress.result, progress.failure) == ("cancelled", None, None)


def test_cancelling_an_ended_job_does_nothing(completed: Completed):
    """A completed job stays completed."""
    completed.case.backend.cancel(completed.first)
    assert completed.case.backend.poll(completed.first).status == "completed"


def test_a_failing_job_says_why(bench: Bench):
    """The diagnosis has a kind, what happened and what to do."""
    ref = bench.failing.submit()
    progress = bench.failing.end(ref)
    assert progress.status == "failed"
    assert progress.result is None
    assert progress.failure is not None
    assert progress.failure.kind == "unknown_base_model"
    assert progress.failure.message
    assert progress.failure.remedy


def test_a_job_that_nobody_submitted_is_not_found(bench: Bench):
    """The backend does not invent a state."""
    with pytest.raises(NotFoundError):
        bench.good.backend.poll(bench.ref_of_nobody)


def test_the_log_is_cut_to_its_tail(completed: Completed):
    """At most as many lines as asked for, none for none."""
    backend, ref = completed.case.backend, completed.first
    assert len(backend.logs(ref, 1)) <= 1
    assert backend.logs(ref, 0) == []
    everything = backend.logs(ref, 1000)
    assert everything[-1:] == backend.logs(ref, 1)


class _Everything(FakeBackend):
    """A backend with every port there is."""

    def check(self, owner: str, engine: str) -> None:
        """Find nothing wrong."""

    def go_on(self, ref: Ref) -> bool:
        """Go on."""
        return True

    def resume(self, ref: Ref) -> None:
        """Resume."""

    def fetch(self, ref: Ref, model: str) -> None:
        """Fetch."""


@pytest.mark.parametrize("port", [GoesOn, KeepsArtifacts, Resumes])
def test_a_traced_backend_has_the_ports_of_its_own(port: type):
    """Tracing neither takes a port away nor makes one up."""
    tracer = Tracer(_Nobody())
    assert isinstance(traced("all", _Everything(), tracer), port)
    assert not isinstance(traced("fake", FakeBackend(), tracer), port)


def test_a_job_that_stays_here_is_not_traced():
    """Of such a job no call reaches the tracer's sink."""
    taken: list[Span] = []

    class Sink:
        def take(self, spans: Sequence[Span]) -> None:
            taken.extend(spans)

        def judge(self, feedback: Feedback) -> None:
            raise AssertionError(feedback)

    backend = traced("fake", FakeBackend(), Tracer(Sink()), lambda job_id: job_id == "job_1")
    for job_id in ("job_1", "job_2"):
        backend.poll(backend.submit(job_id, training_spec()))
    assert {span.metadata["job_id"] for span in taken} == {"job_2"}
