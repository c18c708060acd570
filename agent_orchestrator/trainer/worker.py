"""One job from its first line to its manifest."""

from __future__ import annotations

import fcntl
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from agent_orchestrator.trainer import artifact
from agent_orchestrator.trainer.base_model import check_local_base
from agent_orchestrator.trainer.diagnosis import Cancelled, Refused, diagnose
from agent_orchestrator.trainer.job import Job, Trained
from agent_orchestrator.trainer.progress import ProgressLog
from agent_orchestrator.trainer.rows import read_rows
from agent_orchestrator.trainer.signals import Signals
from agent_orchestrator.trainer.spec import Spec, read_spec
from agent_orchestrator.trainer.trackio_log import tracked

COMPLETED: Final = 0
FAILED: Final = 1
CANCELLED: Final = 128 + signal.SIGTERM
CarryOut = Callable[[Path, ProgressLog, Signals], None]
"""Does what the folder's ``spec.json`` says and writes its ``manifest.json`` last."""


def run(job_dir: Path, carry_out: CarryOut | None = None) -> int:
    """Carry out the job in ``job_dir``, a training unless told otherwise. Never raises.

    Returns the exit status.
    """
    carry_out = carry_out or _carry_out
    progress = ProgressLog(job_dir)
    signals = Signals()
    try:
        os.chdir(job_dir)  # what a library drops beside itself stays with the job
        with _alone(job_dir):
            progress.event("started", "starting", pid=os.getpid())
            progress.reserve()
            carry_out(job_dir, progress, signals)
    except Cancelled:
        return _cancelled(progress)
    except AlreadyRunningError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    except BaseException as error:  # noqa: BLE001 - the process boundary: it becomes a diagnosis
        traceback.print_exc()
        # Whatever a library made of the interruption, it was the time limit.
        progress.fail(diagnose(signals.time_is_up or error))
        return FAILED
    return COMPLETED


class AlreadyRunningError(Exception):
    """Another process works on the same job."""


@contextmanager
def _alone(job_dir: Path) -> Iterator[None]:
    """Hold the job's lock, which ends with the process. Raises AlreadyRunningError."""
    with (job_dir / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(f"Job {job_dir.name} is being worked on already.") from None
        yield


def _cancelled(progress: ProgressLog) -> int:
    progress.release()
    try:
        progress.event("cancelled", "cancelled on request")
    except OSError as error:
        progress.fail(diagnose(error))
        return FAILED
    return CANCELLED


def _carry_out(job_dir: Path, progress: ProgressLog, signals: Signals) -> None:
    """Do what the specification says, cheap checks before heavy imports."""
    spec = read_spec(job_dir / "spec.json")
    if spec.max_seconds is not None:
        signals.limit(spec.max_seconds)
    job = Job(job_dir, spec, _token(spec), progress, signals)
    check_local_base(spec.base_model)
    examples = read_rows(job_dir / spec.dataset.train, spec.method)
    held_out = spec.dataset.validation
    validation = read_rows(job_dir / held_out, spec.method) if held_out else []
    output = job_dir / spec.output_dir
    with artifact.appearing(output, spec.job_id) as partial:
        progress.event("loading", "loading the libraries")
        _prepare_environment(job)
        engine = import_module(f"agent_orchestrator.trainer.{spec.engine}_engine")
        with tracked(job):
            trained: Trained = engine.train(job, examples, validation, partial)
        card = artifact.model_card(spec, trained.metrics, trained.notes)
        (partial / "README.md").write_text(card, encoding="utf-8")
        files = [asdict(entry) for entry in artifact.list_files(partial)]
    hub_url = _push(job, output)
    signals.ignore()
    progress.release()
    progress.event("completed", "completed")
    artifact.write_json(
        job_dir / "manifest.json",
        {**_manifest(spec, trained), "output_dir": str(output), "files": files, "hub_url": hub_url},
    )


def _manifest(spec: Spec, trained: Trained) -> dict[str, Any]:
    libraries = {library: version(library) for library in trained.libraries}
    return {
        "protocol": spec.protocol,
        "status": "completed",
        "job_id": spec.job_id,
        "engine": spec.engine,
        "method": spec.method,
        "finished_at": time.time(),
        "base_model": spec.base_model,
        "base_revision": spec.base_revision,
        "base_weights_sha256": trained.base_sha256,
        "weights_sha256": trained.sha256,
        "metrics": dict(trained.metrics),
        "notes": list(trained.notes),
        "hyperparameters": asdict(spec.hyperparameters),
        "seed": trained.seed,
        "libraries": {"python": platform.python_version(), **libraries},
    }


def _prepare_environment(job: Job) -> None:
    """Set what the libraries read from the environment when they are imported."""
    if job.spec.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(job.spec.threads)
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(job.folder / "tensorboard")
    os.environ["TRACKIO_DIR"] = str(job.folder / "trackio")
    # Threads that spin while they wait make a step several times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # One worker, one GPU: SFTTrainer refuses torch's DataParallel.
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")


def _token(spec: Spec) -> str | None:
    """Return the Hub token. Raises Refused when one is needed and not there."""
    token = os.environ.get("HUGGINGFACE_TOKEN") or None
    if spec.push_to_hub is not None and token is None:
        raise Refused(
            "bad_spec",
            f"push_to_hub = {spec.push_to_hub.repo!r} needs HUGGINGFACE_TOKEN, which is not set.",
            "Set HUGGINGFACE_TOKEN, or train without push_to_hub.",
        )
    return token


def _push(job: Job, output: Path) -> str | None:
    """Publish the artifact when that was asked for; returns its URL."""
    target = job.spec.push_to_hub
    if target is None or job.token is None:
        return None
    job.progress.event("saving", f"pushing to {target.repo}")
    try:
        return artifact.push(output, target.repo, private=target.private, token=job.token)
    except artifact.hub_errors() as error:
        raise Refused(
            "unavailable",
            f"The model was trained but not pushed to {target.repo!r}: {error}",
            f"It is kept in {output}; push it with 'hf upload' when the Hub answers.",
        ) from error
