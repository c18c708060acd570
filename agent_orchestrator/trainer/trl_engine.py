"""The TRL engine: sft, dpo and grpo, watched from within."""

from __future__ import annotations

import gc
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent_orchestrator.trainer import artifact, batching, quantized
from agent_orchestrator.trainer.base_model import load_base
from agent_orchestrator.trainer.diagnosis import Refused, diagnose
from agent_orchestrator.trainer.job import Job, Trained
from agent_orchestrator.trainer.rows import Row
from agent_orchestrator.trainer.spec import Hyperparameters, Spec

if TYPE_CHECKING:
    from agent_orchestrator.trainer.loop import Material, TrainingRun

LIBRARIES: Final = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "tokenizers")


def train(job: Job, examples: list[Row], validation: list[Row], folder: Path) -> Trained:
    """Train as the specification says and leave model and tokenizer in ``folder``.

    Raises Refused, Cancelled, and what else stops a training.
    """
    from agent_orchestrator.trainer.loop import Material
    from agent_orchestrator.trainer.tokenizing import prepare

    spec, progress = job.spec, job.progress
    quantized.check(spec)
    _check_trackio(spec)
    in_four_bits = spec.hyperparameters.quantization is not None
    progress.event("loading", f"loading the base model {spec.base_model}")
    model, tokenizer = load_base(spec, job.token)
    base_sha256, base_type = artifact.weights_sha256(model), model.dtype
    progress.event("tokenizing", f"tokenizing {len(examples)} examples")
    rows = prepare(spec.method, examples, tokenizer, spec.hyperparameters)
    held_out = []
    if validation:
        held_out = prepare(spec.method, validation, tokenizer, spec.hyperparameters)
    loaded = [] if in_four_bits else [model]
    del model  # nothing here may hold what the memory does not hold
    trained, measured, used = _fit(
        job,
        lambda model: Material(model=model, tokenizer=tokenizer, rows=rows, validation=held_out),
        lambda: loaded.pop() if loaded else _load(spec, job.token),
    )
    if in_four_bits:
        trained = quantized.merged(trained, load_base(spec, job.token)[0])
    trained = trained.to(base_type)
    sha256 = artifact.weights_sha256(trained)
    artifact.check_changed(base_sha256, sha256)
    progress.event("saving", "saving the model")
    artifact.save_weights(trained, tokenizer, folder)
    return Trained(
        base_sha256=base_sha256,
        sha256=sha256,
        metrics=_metrics(measured, len(rows), len(examples) - len(rows)),
        seed=spec.hyperparameters.seed,
        libraries=LIBRARIES,
        notes=_notes(spec.hyperparameters, used),
    )


def _fit(
    job: Job, material: Callable[[Any], Material], load: Callable[[], Any]
) -> tuple[Any, TrainingRun, Hyperparameters]:
    """Train with as large a batch as the memory holds; return the settings that were used too."""
    from agent_orchestrator.trainer.loop import Setting

    spec = job.spec
    setting = Setting(
        job_dir=job.folder,
        progress=job.progress,
        cancelled=lambda: job.signals.cancelled,
        sandbox=spec.sandbox,
    )
    method = import_module(f"agent_orchestrator.trainer.{spec.method}")
    used = batching.remembered(job.folder, spec.hyperparameters)
    while True:
        try:
            with job.signals.deferred():
                trained, measured = method.train(used, material(load()), setting)
        except (RuntimeError, MemoryError) as error:
            fewer = _fewer(error, spec, used)
            if fewer is None:
                raise
        else:
            return trained, measured, used
        _free_memory()
        job.progress.event(
            "loading",
            f"out of memory with batch_size {used.batch_size}: going on with {fewer.batch_size}, "
            f"gradient_accumulation {fewer.gradient_accumulation}",
        )
        used = fewer
        batching.remember(job.folder, used)


def _metrics(measured: TrainingRun, examples: int, too_long: int) -> dict[str, Any]:
    return {
        "train_loss_first": measured.first_loss,
        "train_loss_final": measured.final_loss,
        "validation_loss": measured.validation_loss,
        "train_seconds": measured.seconds,
        "steps": measured.steps,
        "tokens": measured.tokens,
        "examples": examples,
        "examples_too_long": too_long,
        **measured.measures,
    }


def _check_trackio(spec: Spec) -> None:
    if spec.hyperparameters.trackio is not None and find_spec("trackio") is None:
        raise Refused(
            "unavailable",
            f"hyperparameters.trackio = {spec.hyperparameters.trackio!r} needs Trackio, which is "
            "not installed.",
            "Install it into .venv-trainer (pip install trackio), or leave trackio out.",
        )


def _load(spec: Spec, token: str | None) -> Any:
    """Load the base as it is trained."""
    if spec.hyperparameters.quantization is not None:
        return quantized.load(spec, token)
    return load_base(spec, token)[0]


def _fewer(error: BaseException, spec: Spec, used: Hyperparameters) -> Hyperparameters | None:
    """Return settings that need less memory when that is what ``error`` asks for."""
    if not spec.hyperparameters.auto_batch_size or diagnose(error).kind != "out_of_memory":
        return None
    return batching.smaller(used, used.num_generations if spec.method == "grpo" else 1)


def _free_memory() -> None:
    import torch

    gc.collect()
    torch.cuda.empty_cache()


def _notes(asked: Hyperparameters, used: Hyperparameters) -> tuple[str, ...]:
    if asked == used:
        return ()
    said = (
        f"The memory was not enough for batch_size {asked.batch_size}: trained with batch_size "
        f"{used.batch_size} and gradient_accumulation {used.gradient_accumulation}."
    )
    return (said,)
