"""The trainer's interpreter in tests: where it is, and a base model that trains in seconds."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from agent_orchestrator.agents.infrastructure.modelops.backends.local import LocalBackend
from agent_orchestrator.domain.training import TrainingSpec

ROOT = Path(__file__).resolve().parents[3]
PYTHON = ROOT / ".venv-trainer" / "bin" / "python"
AUTOTRAIN_PYTHON = ROOT / ".venv-autotrain" / "bin" / "python"
ROWS = [
    {
        "messages": [
            {"role": "user", "content": f"Say {word} {number}."},
            {"role": "assistant", "content": word},
        ]
    }
    for number in range(8)
    for word in ("yes", "no", "maybe")
]
QUICK: Mapping[str, Any] = {
    "learning_rate": 3e-3,
    "max_steps": 5,
    "batch_size": 8,
    "gradient_accumulation": 1,
    "max_length": 128,
}


def trainer_python() -> Path:
    """Return the trainer's interpreter; fail with what to do when it is missing."""
    if not PYTHON.exists():
        pytest.fail(f"No {PYTHON.relative_to(ROOT)}: run `make setup-trainer`.", pytrace=False)
    return PYTHON


def autotrain_python() -> Path:
    """Return AutoTrain's interpreter; fail with what to do when it is missing."""
    if not AUTOTRAIN_PYTHON.exists():
        name = AUTOTRAIN_PYTHON.relative_to(ROOT)
        pytest.fail(f"No {name}: run `make setup-autotrain`.", pytrace=False)
    return AUTOTRAIN_PYTHON


def environment() -> dict[str, str]:
    """Return what a trainer process needs from ours; it stays off the network."""
    names = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def tiny_base(shared: Path) -> Path:
    """Make the base model once for all test processes; ``shared`` is a folder they share."""
    folder = shared / "tiny-base"
    with FileLock(shared / "tiny-base.lock"):
        if not folder.exists():
            corpus = shared / "corpus.jsonl"
            write_rows(corpus, ROWS)
            size = "--vocabulary 300 --hidden 32 --layers 1 --heads 2 --intermediate 64 --steps 2"
            module = ("-m", "agent_orchestrator.trainer.tiny_base")
            done = subprocess.run(
                [trainer_python(), *module, "--corpus", corpus, "--output", folder, *size.split()],
                env=environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
    return folder


def write_rows(path: Path, rows: Any) -> None:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def job_folder(folder: Path, base: Path | str, **changes: Any) -> Path:
    """Make a job's folder for the worker; ``changes`` go into its specification."""
    folder.mkdir(parents=True)
    hyperparameters = {**QUICK, **changes.pop("hyperparameters", {})}
    spec = {
        "protocol": 1,
        "job_id": folder.name,
        "base_model": str(base),
        "dataset": {"train": "train.jsonl", "name": "say-it"},
        "output_dir": "artifact",
        "hyperparameters": hyperparameters,
        **changes,
    }
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    write_rows(folder / "train.jsonl", ROWS)
    return folder


#: Imports the engine, which takes seconds, then forks a worker for each job that it is told of.
_ENGINE = """
import json, os, sys
sys.path[0] = os.getcwd()
from trl import DPOTrainer, GRPOTrainer, SFTTrainer
from pathlib import Path
from agent_orchestrator.trainer.worker import run
for line in sys.stdin:
    folder = Path(json.loads(line))
    child = os.fork()
    if not child:
        log = os.open(folder / "worker.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(log, stream)
        status = run(folder)
        sys.stdout.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@cache
def _engine() -> subprocess.Popen[str]:
    """Return a process that has imported TRL; it ends with ours."""
    process = subprocess.Popen(
        [trainer_python(), "-c", _ENGINE],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    atexit.register(process.communicate)
    return process


def run_worker(folder: Path, *, python: Path | None = None, **variables: str) -> int:
    """Run the worker on a job's folder to its end; return its exit status.

    ``python`` is the engine's interpreter, TRL's when left out. Without it and ``variables`` the
    worker does not begin by importing the engine, as all other ways to start one do.
    """
    if python is None and not variables:
        engine = _engine()
        assert engine.stdin
        assert engine.stdout
        print(json.dumps(str(folder.resolve())), file=engine.stdin, flush=True)
        status = engine.stdout.readline()
        assert status, f"The engine ended with {engine.wait()}: can {trainer_python()} import trl?"
        return int(status)
    with (folder / "worker.log").open("wb") as log:
        return subprocess.run(
            [python or trainer_python(), "-m", "agent_orchestrator.trainer", folder],
            env={**environment(), **variables},
            stdout=log,
            stderr=log,
            check=False,
        ).returncode


def events(folder: Path) -> list[dict[str, Any]]:
    """Return a job's progress lines."""
    lines = (folder / "progress.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def training_spec(base_model: str = "local/tiny", **changes: Any) -> TrainingSpec:
    """Return a job that a real worker finishes in seconds."""
    hyperparameters = {**QUICK, **changes.pop("hyperparameters", {})}
    return TrainingSpec(
        agent="code_review",
        method=changes.pop("method", "sft"),
        base_model=base_model,
        output_model=changes.pop("output_model", "local/better"),
        rows=changes.pop("rows", ROWS),
        dataset="say-it",
        hyperparameters=hyperparameters,
        **changes,
    )


def local_backend(folder: Path, base: Path, **changes: Any) -> LocalBackend:
    """Return a local backend that lives in ``folder``; ``base`` is its model ``local/tiny``."""
    artifacts = folder / "artifacts"
    if not (artifacts / "local" / "tiny").exists():
        shutil.copytree(base, artifacts / "local" / "tiny")
    settings = {
        "jobs_dir": folder / "jobs",
        "artifacts_dir": artifacts,
        "trainer_python": trainer_python(),
        "autotrain_python": AUTOTRAIN_PYTHON,
        "environment": environment(),
    }
    return LocalBackend(**{**settings, **changes})
