"""The TRL engine: sft, dpo and grpo, watched from within."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final

from agent_orchestrator.trainer import artifact
from agent_orchestrator.trainer.base_model import load_base
from agent_orchestrator.trainer.job import Job, Trained
from agent_orchestrator.trainer.rows import Row

LIBRARIES: Final = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "tokenizers")


def train(job: Job, examples: list[Row], validation: list[Row], folder: Path) -> Trained:
    """Train as the specification says and leave model and tokenizer in ``folder``.

    Raises Refused, Cancelled, and what else stops a training.
    """
    from agent_orchestrator.trainer.loop import Material, Setting
    from agent_orchestrator.trainer.tokenizing import prepare

    spec, progress = job.spec, job.progress
    method = import_module(f"agent_orchestrator.trainer.{spec.method}")
    progress.event("loading", f"loading the base model {spec.base_model}")
    model, tokenizer = load_base(spec, job.token)
    base_sha256, base_type = artifact.weights_sha256(model), model.dtype
    progress.event("tokenizing", f"tokenizing {len(examples)} examples")
    rows = prepare(spec.method, examples, tokenizer, spec.hyperparameters)
    held_out = []
    if validation:
        held_out = prepare(spec.method, validation, tokenizer, spec.hyperparameters)

    with job.signals.deferred():
        setting = Setting(
            job_dir=job.folder,
            progress=progress,
            cancelled=lambda: job.signals.cancelled,
            sandbox=spec.sandbox,
        )
        material = Material(model=model, tokenizer=tokenizer, rows=rows, validation=held_out)
        trained, measured = method.train(spec.hyperparameters, material, setting)
    trained = trained.to(base_type)
    sha256 = artifact.weights_sha256(trained)
    artifact.check_changed(base_sha256, sha256)
    progress.event("saving", "saving the model")
    artifact.save_weights(trained, tokenizer, folder)
    metrics = {
        "train_loss_first": measured.first_loss,
        "train_loss_final": measured.final_loss,
        "validation_loss": measured.validation_loss,
        "train_seconds": measured.seconds,
        "steps": measured.steps,
        "tokens": measured.tokens,
        "examples": len(rows),
        "examples_too_long": len(examples) - len(rows),
        **measured.measures,
    }
    return Trained(
        base_sha256=base_sha256,
        sha256=sha256,
        metrics=metrics,
        seed=spec.hyperparameters.seed,
        libraries=LIBRARIES,
    )
