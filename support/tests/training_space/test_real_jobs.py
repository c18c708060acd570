"""Real workers behind the Space's app: every engine and method, and a container that is killed."""

import os
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.doubles import workshop
from tests.doubles.space import RunningSpace, running_space
from tests.doubles.workshop import ROWS, training_spec
from tests.doubles.workspace import eventually
from tests.training_space.test_queue import at_step, ended, until, worker

from agent_orchestrator.domain.jobs import Progress

pytestmark = [pytest.mark.trainer, pytest.mark.slow]

PAIRS = [{"prompt": f"Say {number}.", "chosen": "yes", "rejected": "no"} for number in range(8)]
LEARNS_FROM = {"sft": ROWS, "dpo": PAIRS, "orpo": PAIRS}
WORDS = ("yes", "no", "maybe", "1")
ASKED = [f"Say a word {number}." for number in range(8)]
ADAPTERS = {"rank": 4, "alpha": 8, "target_modules": ["q_proj", "v_proj"]}
BY_EPOCHS = {"max_steps": None, "num_epochs": 4}


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSpace]:
    """Return an app with both engines and a base model."""
    base = workshop.tiny_base(tmp_path_factory.getbasetemp().parent)
    offline = {name: workshop.environment()[name] for name in ("OMP_NUM_THREADS", "HF_HUB_OFFLINE")}
    engines = {"CHEF_AUTOTRAIN_PYTHON": str(workshop.autotrain_python())}
    state = tmp_path_factory.mktemp("space")
    python = workshop.trainer_python()
    with running_space(state, python, variables=offline | engines) as space:
        shutil.copytree(base, space.artifacts / "local" / "tiny")
        yield space


@pytest.mark.parametrize(
    ("engine", "method", "parameters"),
    [
        ("trl", "sft", {}),
        ("trl", "dpo", {}),
        ("autotrain", "sft", BY_EPOCHS),
        ("autotrain", "sft", BY_EPOCHS | {"lora": ADAPTERS}),
        ("autotrain", "dpo", BY_EPOCHS),
        ("autotrain", "orpo", BY_EPOCHS | {"lora": ADAPTERS}),
    ],
)
async def test_every_method_trains_on_a_space(
    space: RunningSpace,
    tmp_path: Path,
    engine: Any,
    method: Any,
    parameters: dict[str, Any],
):
    """To weights that are not the base's, fetched by their hashes."""
    job_id = f"job_{engine}_{method}_{'lora' if 'lora' in parameters else 'full'}"
    model = f"local/{job_id.replace('_', '-')}"
    spec = training_spec(
        engine=engine,
        method=method,
        rows=LEARNS_FROM[method],
        output_model=model,
        hyperparameters=parameters,
    )
    backend = space.backend(tmp_path)
    ref = backend.submit(job_id, spec)
    progress = await until(backend, job_id, ended)
    assert progress.status == "completed", (progress.failure, backend.logs(ref, 30))
    assert progress.result["weights_sha256"] != progress.result["base_weights_sha256"]
    backend.fetch(ref, model)
    base = space.artifacts / "local" / "tiny" / "model.safetensors"
    assert (tmp_path / model / "model.safetensors").read_bytes() != base.read_bytes()


async def test_rewards_train_what_a_job_before_has_made(space: RunningSpace, tmp_path: Path):
    """A model that was trained there is the base of the next job, by its name."""
    backend = space.backend(tmp_path)
    speaks = {"max_steps": 150, "learning_rate": 1e-2}
    rows = [{"prompt": asked, "completion": word} for asked in ASKED for word in WORDS]
    spec = training_spec(rows=rows, output_model="local/speaker", hyperparameters=speaks)
    backend.submit("job_speaker", spec)
    assert (await until(backend, "job_speaker", ended)).status == "completed"
    earns = {"max_steps": 10, "batch_size": 16, "learning_rate": 3e-3, "max_completion_length": 8}
    spec = training_spec(
        "local/speaker",
        method="grpo",
        rows=[{"problem": asked, "solution": "yes"} for asked in ASKED],
        output_model="local/earner",
        hyperparameters=earns,
    )
    ref = backend.submit("job_grpo", spec)
    progress = await until(backend, "job_grpo", ended)
    assert progress.status == "completed", (progress.failure, backend.logs(ref, 30))
    assert progress.result["weights_sha256"] != progress.result["base_weights_sha256"]


def _has_checkpoint(folder: Path) -> bool:
    return any(folder.glob("*/complete"))


async def test_a_killed_container_ends_with_the_very_same_weights(
    space: RunningSpace, tmp_path: Path
):
    """App and worker are killed in the middle; the next app resumes the job to the bit."""
    parameters = {"max_steps": 300, "checkpoint_steps": 10}
    backend = space.backend(tmp_path)
    results: dict[str, Progress] = {}
    for job_id in ("job_killed", "job_alone"):
        model = f"local/{job_id.replace('_', '-')}"
        backend.submit(job_id, training_spec(output_model=model, hyperparameters=parameters))
        if job_id == "job_killed":
            await until(backend, job_id, at_step(1))
            checkpoints = space.jobs / job_id / "checkpoints"
            await eventually(partial(_has_checkpoint, checkpoints))
            space.end(signal.SIGKILL)
            os.kill(worker(space, job_id), signal.SIGKILL)
            space.start()
            backend = space.backend(tmp_path)
        results[job_id] = await until(backend, job_id, ended)
    killed, alone = results["job_killed"], results["job_alone"]
    assert killed.status == alone.status == "completed", killed
    told = (space.jobs / "job_killed" / "progress.jsonl").read_text()
    assert "resuming from checkpoint-" in told
    assert killed.result["weights_sha256"] == alone.result["weights_sha256"]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"rows": [ROWS[0], {"question": "?"}]}, "bad_column"),
        ({"base_model": "nobody/no-such-model"}, "unknown_base_model"),
        ({"hyperparameters": {"learning_rate": 1e30, "max_steps": 50}}, "nan_loss"),
        ({"hyperparameters": {"max_steps": 10_000_000}, "max_seconds": 2.0}, "timeout"),
    ],
)
async def test_a_real_failure_is_diagnosed(
    space: RunningSpace, tmp_path: Path, changes: dict[str, Any], kind: str
):
    """With what happened and what to change."""
    job_id = f"job_{kind}"
    rows, parameters = changes.pop("rows", ROWS), changes.pop("hyperparameters", {})
    model = f"local/{kind.replace('_', '-')}"
    spec = training_spec(
        changes.pop("base_model", "local/tiny"),
        output_model=model,
        hyperparameters={"warmup_ratio": 0.0, **parameters},
        rows=rows,
        **changes,
    )
    backend = space.backend(tmp_path)
    backend.submit(job_id, spec)
    progress = await until(backend, job_id, ended)
    assert progress.failure is not None, progress
    assert progress.failure.kind == kind
    assert progress.failure.message
    assert progress.failure.remedy
