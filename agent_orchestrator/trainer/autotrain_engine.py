"""The AutoTrain engine: sft, dpo and orpo in a process of AutoTrain's own.

``python -m autotrain.trainers.clm --training_config params.json`` is AutoTrain's interface to a
program. It ends with status 0 also when it has failed, so that a training counts when its log holds
no error and its weights are there, are safetensors and differ from the base's.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agent_orchestrator.trainer import artifact
from agent_orchestrator.trainer import autotrain_project as project
from agent_orchestrator.trainer.autotrain_log import LogReader, lines_of
from agent_orchestrator.trainer.diagnosis import Refused, diagnose_log
from agent_orchestrator.trainer.job import Job, Trained
from agent_orchestrator.trainer.rows import Row

LIBRARIES: Final = (
    "autotrain-advanced",
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "accelerate",
)
_REPORTS: Final = 100
"""About as many progress lines a job."""
_WITHHELD: Final = ("HUGGINGFACE_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""The base is on this machine before AutoTrain starts: it needs no token."""
_PAUSES: Final = ("SPACE_ID", "ENDPOINT_ID")
"""Where AutoTrain sees one of these it pauses the Space or endpoint when it has finished."""
_PR_SET_PDEATHSIG: Final = 1


def train(job: Job, examples: list[Row], validation: list[Row], folder: Path) -> Trained:
    """Train as the specification says and leave model and tokenizer in ``folder``.

    Raises Refused, Cancelled, and what else stops a training.
    """
    spec, progress = job.spec, job.progress
    project.check(spec)
    import torch
    from transformers import AutoTokenizer

    work = job.folder / project.FOLDER
    shutil.rmtree(work, ignore_errors=True)  # of an attempt that was cut off
    progress.event("loading", f"loading the base model {spec.base_model}")
    project.copy_base(spec, job.token, work / "base")
    progress.event("tokenizing", f"tokenizing {len(examples)} examples")
    tokenizer = AutoTokenizer.from_pretrained(work / "base")  # nosec B615 - a folder
    if tokenizer.chat_template is None:
        raise Refused(
            "bad_spec",
            f"The base model {spec.base_model!r} has no chat template.",
            "Use an instruction-tuned base model, or add a chat template to its tokenizer.",
        )
    rows = project.rows_of(examples, tokenizer, spec.hyperparameters)
    steps = _expected_steps(job, rows)
    reader = LogReader(logging_steps=max(1, steps // _REPORTS))
    settings = project.parameters(
        spec, rows.longest, reader.logging_steps, gpu=torch.cuda.is_available()
    )
    _write(work, rows, settings)
    (job.folder / "tensorboard").mkdir(exist_ok=True)
    (work / project.PROJECT).mkdir()
    (work / project.PROJECT / "runs").symlink_to(job.folder / "tensorboard")
    started = time.monotonic()
    _run(job, work, reader)
    seconds = time.monotonic() - started
    base_sha256, sha256 = _collect(job, work, folder)
    for scratch in (project.PROJECT, "base", "cache"):
        shutil.rmtree(work / scratch)
    return Trained(
        base_sha256=base_sha256,
        sha256=sha256,
        metrics=_metrics(job, rows, len(examples), reader, seconds),
        seed=project.SEED,
        libraries=LIBRARIES,
        notes=project.notes(spec, len(validation), rows.longest),
    )


def _expected_steps(job: Job, rows: project.Rows) -> int:
    """Return about how many optimizer steps AutoTrain will make; its own count is followed."""
    chosen = job.spec.hyperparameters
    count = len(rows.rows)
    if job.spec.method == "sft":
        count = math.ceil((rows.tokens + count) / rows.longest)
    together = chosen.batch_size * chosen.gradient_accumulation
    return math.ceil(math.ceil(count / together) * chosen.num_epochs)


def _write(work: Path, rows: project.Rows, settings: Mapping[str, Any]) -> None:
    """Write data set and parameters. Parquet: in CSV and JSON a column of "1" becomes numbers."""
    from datasets import Dataset

    (work / "data").mkdir()
    Dataset.from_list(rows.rows).to_parquet(work / "data" / "train.parquet")
    (work / "params.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")


def _run(job: Job, work: Path, reader: LogReader) -> None:
    """Run AutoTrain to its end, telling of its progress. Raises Refused."""
    command = (sys.executable, "-m", "autotrain.trainers.clm", "--training_config", "params.json")
    job.progress.event("loading", "starting AutoTrain")
    with subprocess.Popen(  # noqa: S603
        command,
        cwd=work,
        env=_environment(work),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A worker that is killed must not leave a training behind. No thread runs here yet.
        preexec_fn=_end_with_parent,  # noqa: PLW1509
    ) as process:
        try:
            _follow(job, process, reader)
        finally:
            process.kill()
    if reader.errors:
        failure = diagnose_log(reader.errors)
        raise Refused(failure.kind, failure.message, failure.remedy)
    if process.returncode == -signal.SIGKILL:
        raise Refused(
            "killed",
            "AutoTrain's process was killed, probably for want of memory.",
            "Lower batch_size or max_length, train with LoRA, or choose larger hardware.",
        )
    if process.returncode != 0:
        raise Refused(
            "unknown",
            f"AutoTrain ended with status {process.returncode}.",
            "Read worker.log in the job's folder.",
        )


def _environment(work: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in (*_WITHHELD, *_PAUSES)}
    return {
        **kept,
        "ALLOW_REMOTE_CODE": "false",
        "PAUSE_ON_FAILURE": "0",
        "PYTHONUNBUFFERED": "1",
        "HF_DATASETS_CACHE": str(work / "cache"),
        "HF_HUB_OFFLINE": "1",
    }


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _follow(job: Job, process: subprocess.Popen[bytes], reader: LogReader) -> None:
    """Read what AutoTrain prints until it ends; pass it on to the log and the progress."""
    if process.stdout is None:
        raise RuntimeError("AutoTrain was started without a pipe.")
    started, rest = None, ""
    while chunk := os.read(process.stdout.fileno(), 65536):
        lines, rest = lines_of(rest + chunk.decode(errors="replace"))
        for line in filter(None, lines):
            sys.stdout.write(f"{line}\n")
            logged = reader.read(line)
            if started is None and reader.total_steps is not None:
                started = time.monotonic()
            if logged is not None:
                _report(job, reader, logged, started)
        sys.stdout.flush()
    process.wait()


def _report(
    job: Job, reader: LogReader, logged: Mapping[str, float], started: float | None
) -> None:
    """Write a progress line; the steps began at ``started``. Raises Refused (``nan_loss``)."""
    loss = logged["loss"]
    # transformers writes 0 for a loss that is no number; the gradient's norm gives it away.
    if not (math.isfinite(loss) and math.isfinite(logged.get("grad_norm", 0.0))):
        raise Refused(
            "nan_loss",
            f"The loss became nan by step {reader.steps}.",
            "Lower the learning rate, lengthen the warm-up, or look for broken examples.",
        )
    total, eta = reader.total_steps, None
    if total is not None and started is not None:
        eta = (time.monotonic() - started) / reader.steps * (total - reader.steps)
    job.progress.event(
        "step",
        step=reader.steps,
        total_steps=total,
        loss=loss,
        learning_rate=logged.get("learning_rate"),
        eta_seconds=eta,
    )


def _collect(job: Job, work: Path, folder: Path) -> tuple[str, str]:
    """Save what AutoTrain made as our artifact; return the hashes of base and result.

    Adapters are merged into the base in its own type. Raises Refused.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made = work / project.PROJECT
    adapted = job.spec.hyperparameters.lora is not None
    if not list(made.glob("adapter_model.safetensors" if adapted else "model*.safetensors")):
        raise Refused(
            "unknown",
            "AutoTrain ended without an error, and without weights.",
            "Read worker.log in the job's folder.",
        )
    job.progress.event("saving", "collecting the weights")
    options = {"torch_dtype": "auto", "use_safetensors": True, "trust_remote_code": False}
    base = AutoModelForCausalLM.from_pretrained(work / "base", **options)  # nosec B615
    base_sha256 = unchanged = artifact.weights_sha256(base)
    if adapted:
        model = _merged(base, made)
    else:
        model = AutoModelForCausalLM.from_pretrained(made, **options)  # nosec B615
        model = model.to(base.dtype)
        if model.config.vocab_size != base.config.vocab_size:
            # AutoTrain leaves out embeddings that no token has; that is no training.
            base.resize_token_embeddings(model.config.vocab_size)
            unchanged = artifact.weights_sha256(base)
    sha256 = artifact.weights_sha256(model)
    artifact.check_changed(unchanged, sha256)
    if not all(torch.isfinite(tensor).all() for tensor in model.state_dict().values()):
        raise Refused(
            "nan_loss",
            "The trained weights hold values that are no numbers.",
            "Lower the learning rate, or look for broken examples.",
        )
    # The base's own: AutoTrain's padding and lengths were for the training.
    tokenizer = AutoTokenizer.from_pretrained(work / "base")  # nosec B615
    model.config.name_or_path = ""  # a path of this machine, which transformers 4.48 writes down
    artifact.save_weights(model, tokenizer, folder)
    return base_sha256, sha256


def _merged(base: Any, made: Path) -> Any:
    """Return the base with AutoTrain's adapters merged into it."""
    from peft import PeftConfig, get_peft_model, set_peft_model_state_dict
    from safetensors.torch import load_file

    tensors = load_file(made / "adapter_model.safetensors")
    # Beside the adapters lie embeddings, untrained, when AutoTrain left out some that no token has.
    adapters = {name: tensor for name, tensor in tensors.items() if ".lora_" in name}
    model = get_peft_model(base, PeftConfig.from_pretrained(made))
    found = set_peft_model_state_dict(model, adapters)
    if not adapters or found.unexpected_keys:
        raise Refused(
            "unknown",
            f"AutoTrain's adapters do not fit the base: {found.unexpected_keys[:3]}.",
            "Read worker.log in the job's folder.",
        )
    return model.merge_and_unload()


def _metrics(
    job: Job, rows: project.Rows, examples: int, reader: LogReader, seconds: float
) -> dict[str, Any]:
    losses = [logged["loss"] for logged in reader.logs]
    tail = losses[-max(1, len(losses) // 10) :]
    measured = {
        "train_loss_first": losses[0],
        "train_loss_final": sum(tail) / len(tail),
        "validation_loss": None,
        "train_seconds": reader.summary.get("train_runtime", seconds),
        "steps": reader.total_steps or reader.steps,
        "tokens": round(rows.tokens * job.spec.hyperparameters.num_epochs),
        "examples": len(rows.rows),
        "examples_too_long": examples - len(rows.rows),
    }
    for name, key in (("preference_accuracy", "accuracies"), ("reward_margin", "margins")):
        values = [logged[f"rewards/{key}"] for logged in reader.logs if f"rewards/{key}" in logged]
        if values:
            measured |= {f"{name}_first": values[0], f"{name}_final": values[-1]}
    return measured
