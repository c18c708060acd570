"""Supervised fine-tuning: TRL's ``SFTTrainer``, watched at every step.

Importing this takes seconds (torch, transformers, trl).
"""

from __future__ import annotations

import inspect
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import (
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl import SFTConfig, SFTTrainer

from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.progress import ProgressLog
from agent_orchestrator.trainer.spec import Hyperparameters, Lora
from agent_orchestrator.trainer.tokenizing import IGNORED

LINE_SECONDS: Final = 0.25
"""At most one progress line in this time."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What a run measured. Losses are means per answer token, in nats."""

    first_loss: float
    """Of the first step."""
    final_loss: float
    """Mean over the last tenth of the steps."""
    steps: int
    tokens: int
    """Tokens read, padding left out."""
    seconds: float
    validation_loss: float | None = None


def train(
    parameters: Hyperparameters,
    model: Any,
    tokenizer: Any,
    rows: Rows,
    validation: Rows | None,
    *,
    job_dir: Path,
    progress: ProgressLog,
    cancelled: Callable[[], bool],
    checkpoint: Callable[[int, Any], None],
) -> tuple[Any, TrainingRun]:
    """Train ``model``; returns it (adapters merged) with what was measured.

    Between two steps it calls ``checkpoint(step, model)`` when one is due and looks whether it is
    ``cancelled()``: then it writes a checkpoint and returns early. Raises Refused (``nan_loss``)
    at the first loss that is not finite.
    """
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(job_dir / "tensorboard")
    total = total_steps(parameters, len(rows))
    follower = Follower(progress, total, parameters.checkpoint_steps, cancelled, checkpoint)
    trainer = _Trainer(
        follower,
        model=model if _on_gpu() and parameters.lora else model.float(),
        args=_arguments(parameters, total, job_dir),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(validation) if validation else None,
        processing_class=tokenizer,
        peft_config=_lora(parameters.lora, model) if parameters.lora else None,
        callbacks=[follower],
    )
    started = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - started
    loss = None
    if validation and not cancelled():
        loss = float(trainer.evaluate()["eval_loss"])
    trained = trainer.model.merge_and_unload() if parameters.lora else trainer.model
    return trained, follower.result(seconds, loss)


def total_steps(parameters: Hyperparameters, rows: int) -> int:
    """Return the number of optimizer steps, counted as ``transformers.Trainer`` counts them."""
    if parameters.max_steps is not None:
        return parameters.max_steps
    batches = math.ceil(rows / parameters.batch_size)
    per_epoch = math.ceil(batches / parameters.gradient_accumulation)
    return math.ceil(per_epoch * parameters.num_epochs)


class Follower(TrainerCallback):
    """Collects the losses, writes progress lines and checkpoints, stops a cancelled training."""

    def __init__(
        self,
        progress: ProgressLog,
        total: int,
        checkpoint_steps: int | None,
        cancelled: Callable[[], bool],
        checkpoint: Callable[[int, Any], None],
    ) -> None:
        self._progress = progress
        self._total = total
        self._checkpoint_steps = checkpoint_steps
        self._cancelled = cancelled
        self._checkpoint = checkpoint
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

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock behind the estimate of the remaining time."""
        self._started = self._last_line = time.monotonic()

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: Any,
        lr_scheduler: Any,
        **_: Any,
    ) -> None:
        """Close an optimizer step."""
        self._losses.append(self._step_loss)
        self._step_loss = 0.0
        step, now = state.global_step, time.monotonic()
        if step in (1, self._total) or now - self._last_line >= LINE_SECONDS:
            self._last_line = now
            self._line(step, now, lr_scheduler.get_last_lr()[0])
        due = self._checkpoint_steps is not None and step % self._checkpoint_steps == 0
        cancelled = self._cancelled()
        if due or cancelled:
            self._checkpoint(step, model)
        if cancelled:
            control.should_training_stop = True

    def _line(self, step: int, now: float, learning_rate: float) -> None:
        recent = self._losses[self._reported :]
        self._reported = len(self._losses)
        self._progress.event(
            "step",
            step=step,
            total_steps=self._total,
            loss=sum(recent) / len(recent),
            learning_rate=learning_rate,
            eta_seconds=(now - self._started) / step * (self._total - step),
        )

    def result(self, seconds: float, validation_loss: float | None) -> TrainingRun:
        """Return what was measured."""
        tail = self._losses[-max(1, len(self._losses) // 10) :]
        return TrainingRun(
            first_loss=self._losses[0],
            final_loss=sum(tail) / len(tail),
            steps=len(self._losses),
            tokens=self._tokens,
            seconds=seconds,
            validation_loss=validation_loss,
        )


class _Trainer(SFTTrainer):
    """Passes the loss of every forward pass to the follower; scores only answers on the CPU too."""

    def __init__(self, follower: Follower, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.remove_callback(PrinterCallback)
        self._follower = follower
        forward = inspect.signature(type(_unwrapped(self.model)).forward).parameters
        self._scores_answers_only = not _on_gpu() and "logits_to_keep" in forward

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        tokens = int(inputs["attention_mask"].sum())
        loss: torch.Tensor = super().training_step(model, inputs, *args, **kwargs)
        self._follower.forward_pass(float(loss), tokens)
        return loss

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:
        """Without Triton, TRL projects every position to the vocabulary, prompts included.

        For a small model that is nearly half of the step, so that here only the positions are
        projected whose next token is part of some answer of the batch. The loss is the same.
        """
        if not (self._scores_answers_only and model.training and not self.aux_loss_enabled):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"]
        scored = (labels[:, 1:] != IGNORED).any(dim=0).nonzero().squeeze(-1)
        outputs = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            logits_to_keep=scored,
            use_cache=False,
        )
        targets = labels[:, scored + 1].flatten()
        total = torch.nn.functional.cross_entropy(
            outputs.logits.flatten(0, 1).float(), targets, ignore_index=IGNORED, reduction="sum"
        )
        if num_items_in_batch is None:
            num_items_in_batch = (targets != IGNORED).sum()
        loss = total / num_items_in_batch
        return (loss, outputs) if return_outputs else loss


def _unwrapped(model: Any) -> Any:
    return model.get_base_model() if isinstance(model, PeftModel) else model


def _on_gpu() -> bool:
    return bool(torch.cuda.is_available())


def _arguments(parameters: Hyperparameters, total: int, job_dir: Path) -> SFTConfig:
    """Mixed precision on a GPU (bfloat16 where it has that), float32 on the CPU."""
    gpu = _on_gpu()
    brain_float = gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    return SFTConfig(
        output_dir=str(job_dir / "checkpoints"),
        save_strategy="no",  # transformers' own checkpoints hold pickles
        max_steps=total,
        per_device_train_batch_size=parameters.batch_size,
        per_device_eval_batch_size=parameters.batch_size,
        gradient_accumulation_steps=parameters.gradient_accumulation,
        learning_rate=parameters.learning_rate,
        lr_scheduler_type=parameters.lr_scheduler,
        warmup_steps=round(parameters.warmup_ratio * total),
        adam_beta2=parameters.adam_beta2,
        weight_decay=parameters.weight_decay,
        max_grad_norm=parameters.max_grad_norm,
        seed=parameters.seed,
        max_length=None,  # the rows fit already
        train_sampling_strategy="group_by_length" if parameters.group_by_length else "random",
        gradient_checkpointing=gpu,
        use_cpu=not gpu,
        bf16=brain_float,
        fp16=gpu and not brain_float,
        dataloader_pin_memory=gpu,
        logging_steps=max(1, total // 100),
        report_to=["tensorboard"],
        disable_tqdm=True,
    )


def _lora(lora: Lora, model: Any) -> LoraConfig:
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
