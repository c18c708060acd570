"""What the methods share: the loop that is watched at every step, and its settings.

Importing this takes seconds (torch, transformers, trl).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import (
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from agent_orchestrator.trainer import checkpoints
from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.early_stopping import EarlyStopping
from agent_orchestrator.trainer.progress import ProgressLog
from agent_orchestrator.trainer.sandbox import Limits
from agent_orchestrator.trainer.spec import Hyperparameters, Lora

LINE_SECONDS: Final = 0.25
"""At most one progress line in this time."""
_FOLLOWED: Final = "followed.json"
"""What the follower had seen, in a checkpoint."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What a run measured. Losses are the method's own, the mean of a step."""

    first_loss: float
    """Of the first step."""
    final_loss: float
    """Mean over the last tenth of the steps."""
    steps: int
    tokens: int
    """Tokens read, padding left out."""
    seconds: float
    validation_loss: float | None = None
    measures: Mapping[str, float | None] = field(default_factory=dict)
    """What else the method measures, e.g. rewards; None where nothing was logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What is trained, and on what."""

    model: Any
    tokenizer: Any
    rows: Rows
    """Of ``tokenizing.prepare``."""
    validation: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a training runs in."""

    job_dir: Path
    progress: ProgressLog
    cancelled: Callable[[], bool]
    """Looked at between two steps: a cancelled training writes a checkpoint and ends early."""
    sandbox: Limits
    """For code that the model writes."""


class Follower(TrainerCallback):
    """Collects the losses, writes progress lines and checkpoints, stops a cancelled training."""

    def __init__(self, setting: Setting, total: int, parameters: Hyperparameters) -> None:
        self._progress = setting.progress
        self._cancelled = setting.cancelled
        self._total = total
        self._checkpoint_steps = parameters.checkpoint_steps
        self._stopping = _early_stopping(setting, total, parameters)
        self._validating = False
        self._losses: list[float] = []
        self._step_loss = 0.0
        self._tokens = 0
        self._reported = 0
        self._started = self._last_line = time.monotonic()

    def forward_pass(self, loss: float, tokens: int) -> None:
        """Add one forward pass's share of the step's loss. Raises Refused (``nan_loss``)."""
        if not math.isfinite(loss):
            raise Refused(
                "nan_loss",
                f"The loss became {loss} at step {len(self._losses) + 1}.",
                "Lower the learning rate, lengthen the warm-up, or look for broken examples.",
            )
        self._step_loss += loss
        self._tokens += tokens

    def resume(self, folder: Path) -> None:
        """Go on where ``folder``, a checkpoint, was written."""
        told = json.loads((folder / _FOLLOWED).read_text(encoding="utf-8"))
        self._losses, self._tokens = told["losses"], told["tokens"]
        self._reported = len(self._losses)
        if self._stopping:
            self._stopping.resume(told["early_stopping"])

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock behind the estimate of the remaining time."""
        self._started = self._last_line = time.monotonic()
        self._first_step = len(self._losses)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        lr_scheduler: Any,
        **_: Any,
    ) -> None:
        """Close an optimizer step."""
        self._losses.append(self._step_loss)
        self._step_loss = 0.0
        step = state.global_step
        now = time.monotonic()
        if step in (1, self._total) or now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            self._line(step, now, lr_scheduler.get_last_lr()[0])
        due = self._checkpoint_steps is not None and step % self._checkpoint_steps == 0
        cancelled = self._cancelled()
        self._validating = bool(self._stopping and self._stopping.due(step))
        control.should_evaluate = self._validating
        control.should_save = due or cancelled
        control.should_training_stop |= cancelled

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        metrics: dict[str, float],
        model: Any,
        **_: Any,
    ) -> None:
        """Stop when the validation loss no longer falls."""
        if self._stopping is None or not self._validating:
            return  # it is the last validation, after the training
        self._validating = False
        step, loss = state.global_step, metrics["eval_loss"]
        control.should_training_stop |= self._stopping.observe(step, loss, model)
        self._progress.event("validation", f"validation loss {loss:.4f}", step=step, loss=loss)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Close a checkpoint: it is whole from here on."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        told: dict[str, Any] = {"losses": self._losses, "tokens": self._tokens}
        if self._stopping:
            told["early_stopping"] = self._stopping.state()
        (folder / _FOLLOWED).write_text(json.dumps(told), encoding="utf-8")
        checkpoints.close(folder)
        step = state.global_step
        self._progress.event("checkpoint", f"checkpoint at step {step}", step=step)

    def _line(self, step: int, now: float, learning_rate: float) -> None:
        recent = self._losses[self._reported :]
        self._reported = len(self._losses)
        self._progress.event(
            "step",
            step=step,
            total_steps=self._total,
            loss=sum(recent) / len(recent),
            learning_rate=learning_rate,
            eta_seconds=(now - self._started) / (step - self._first_step) * (self._total - step),
        )

    def restore_best(self, model: Any) -> None:
        """Give the model its best weights, where validations chose them."""
        if self._stopping:
            self._stopping.restore(model)

    def result(
        self,
        seconds: float,
        validation_loss: float | None = None,
        measures: Mapping[str, float | None] | None = None,
    ) -> TrainingRun:
        """Return what was measured."""
        tail = self._losses[-max(1, len(self._losses) // 10) :]
        return TrainingRun(
            first_loss=self._losses[0],
            final_loss=sum(tail) / len(tail),
            steps=len(self._losses),
            tokens=self._tokens,
            seconds=seconds,
            validation_loss=validation_loss,
            measures={**(measures or {}), **self._stopped()},
        )

    def _stopped(self) -> dict[str, float | None]:
        return {"best_step": self._stopping.seen.best_step} if self._stopping else {}


def _early_stopping(
    setting: Setting, total: int, parameters: Hyperparameters
) -> EarlyStopping | None:
    if parameters.early_stopping is None:
        return None
    return EarlyStopping(
        setting.job_dir,
        patience=parameters.early_stopping,
        every=parameters.eval_steps or max(1, total // 10),
        total=total,
    )


class Watched(checkpoints.WithoutPickles):
    """Mix-in for TRL's trainers: tells the follower the loss of every forward pass."""

    def __init__(self, follower: Follower, **kwargs: Any) -> None:
        super().__init__(callbacks=[follower], **kwargs)  # type: ignore[call-arg]
        self.remove_callback(PrinterCallback)  # type: ignore[attr-defined]
        self._follower = follower

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Take one step forwards and back."""
        tokens = int(inputs["attention_mask"].sum()) if "attention_mask" in inputs else 0
        loss: torch.Tensor = super().training_step(model, inputs, *args, **kwargs)  # type: ignore[misc]
        self._follower.forward_pass(float(loss), tokens)
        return loss


def total_steps(parameters: Hyperparameters, rows: int) -> int:
    """Return the number of optimizer steps, counted as ``transformers.Trainer`` counts them."""
    if parameters.max_steps is not None:
        return parameters.max_steps
    batches = math.ceil(rows / parameters.batch_size)
    per_epoch = math.ceil(batches / parameters.gradient_accumulation)
    return math.ceil(per_epoch * parameters.num_epochs)


def on_gpu() -> bool:
    """Return whether there is a GPU."""
    return bool(torch.cuda.is_available())


def arguments(parameters: Hyperparameters, total: int, job_dir: Path) -> dict[str, Any]:
    """Return the settings that every method's configuration has.

    Mixed precision on a GPU (bfloat16 where it has that), float32 on the CPU.
    """
    gpu = on_gpu()
    brain_float = gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    return {
        "output_dir": str(job_dir / checkpoints.FOLDER),
        "save_strategy": "no",  # the follower says when
        "max_steps": total,
        "per_device_train_batch_size": parameters.batch_size,
        "per_device_eval_batch_size": parameters.batch_size,
        "gradient_accumulation_steps": parameters.gradient_accumulation,
        "learning_rate": parameters.learning_rate,
        "lr_scheduler_type": parameters.lr_scheduler,
        "warmup_steps": round(parameters.warmup_ratio * total),
        "adam_beta2": parameters.adam_beta2,
        "weight_decay": parameters.weight_decay,
        "max_grad_norm": parameters.max_grad_norm,
        "seed": parameters.seed,
        "gradient_checkpointing": gpu,
        "use_cpu": not gpu,
        "bf16": brain_float,
        "fp16": gpu and not brain_float,
        "dataloader_pin_memory": gpu,
        "logging_steps": max(1, total // 100),
        **_reports(parameters, job_dir),
        "disable_tqdm": True,
    }


def _reports(parameters: Hyperparameters, job_dir: Path) -> dict[str, Any]:
    """Return where metrics go: TensorBoard, and Trackio where that is asked for."""
    if parameters.trackio is None:
        return {"report_to": ["tensorboard"]}
    return {
        "report_to": ["tensorboard", "trackio"],
        "project": parameters.trackio,
        "run_name": job_dir.name,
        "trackio_static_space_id": False,  # nothing leaves this machine
    }


def in_training_type(model: Any, parameters: Hyperparameters) -> Any:
    """Return the model in float32, in which weights are trained.

    Adapters on a GPU, or beside four bits, leave the base in its own type.
    """
    as_it_is = parameters.quantization is not None or (on_gpu() and parameters.lora is not None)
    return model if as_it_is else model.float()


def adapters(lora: Lora | None, model: Any) -> LoraConfig | None:
    """Return the adapters' configuration; None trains all weights."""
    if lora is None:
        return None
    tied = bool(getattr(model.config, "tie_word_embeddings", False))
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules),
        modules_to_save=list(lora.modules_to_save) or None,
        # Otherwise a trained embedding that is also the output layer would part from it in merging.
        ensure_weight_tying=tied and "embed_tokens" in lora.modules_to_save,
    )


def inputs(material: Material, parameters: Hyperparameters) -> dict[str, Any]:
    """Return what every method's trainer is given beside the model and its configuration."""
    validation = material.validation
    return {
        "train_dataset": Dataset.from_list(material.rows),
        "eval_dataset": Dataset.from_list(validation) if validation else None,
        "processing_class": material.tokenizer,
        "peft_config": adapters(parameters.lora, material.model),
    }


def validated(trainer: Any, material: Material, setting: Setting, name: str) -> float | None:
    """Return a metric of the validation rows; None without them, or when cancelled."""
    if not material.validation or setting.cancelled():
        return None
    return float(trainer.evaluate()[name])


def merged(trainer: Any, parameters: Hyperparameters) -> Any:
    """Return the trained model, whole: adapters merged, unless they are into other weights."""
    if parameters.lora is None or parameters.quantization is not None:
        return trainer.model
    return trainer.model.merge_and_unload()


def run(trainer: Any, setting: Setting, follower: Follower) -> float:
    """Train, from the job's last checkpoint where it has one; return the seconds it took."""
    checkpoint = checkpoints.newest(setting.job_dir)
    if checkpoint is not None:
        follower.resume(checkpoint)
        setting.progress.event("loading", f"resuming from {checkpoint.name}")
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if not setting.cancelled():
        follower.restore_best(trainer.model)
    return time.monotonic() - started


def logged(trainer: Any, name: str) -> tuple[float | None, float | None]:
    """Return the first and the last value that a trainer logged under ``name``."""
    values = [entry[name] for entry in trainer.state.log_history if name in entry]
    return (float(values[0]), float(values[-1])) if values else (None, None)
