"""Supervised fine-tuning: TRL's ``SFTTrainer``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices
from trl import SFTConfig, SFTTrainer

from agent_orchestrator.trainer import loop
from agent_orchestrator.trainer.spec import Hyperparameters
from agent_orchestrator.trainer.tokenizing import IGNORED


def train(
    parameters: Hyperparameters, material: loop.Material, setting: loop.Setting
) -> tuple[Any, loop.TrainingRun]:
    """Train ``model``; return it (adapters merged) with what was measured.

    Raises Refused (``nan_loss``) at the first loss that is not finite.
    """
    total = loop.total_steps(parameters, len(material.rows))
    follower = loop.Follower(setting, total, parameters)
    trainer = _Trainer(
        follower,
        model=loop.in_training_type(material.model, parameters),
        args=SFTConfig(
            **loop.arguments(parameters, total, setting.job_dir),
            max_length=None,  # the rows fit already
            train_sampling_strategy="group_by_length" if parameters.group_by_length else "random",
        ),
        **loop.inputs(material, parameters),
    )
    seconds = loop.run(trainer, setting, follower)
    loss = loop.validated(trainer, material, setting, "eval_loss")
    return loop.merged(trainer, parameters), follower.result(seconds, loss)


class _Trainer(loop.Watched, SFTTrainer):
    """Scores only answers on the CPU too."""

    def __init__(self, follower: loop.Follower, **kwargs: Any) -> None:
        super().__init__(follower, **kwargs)
        forward = inspect.signature(type(_unwrapped(self.model)).forward).parameters
        self._scores_answers_only = not loop.on_gpu() and "logits_to_keep" in forward

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Any:
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        rows = self.train_dataset if train_dataset is None else train_dataset
        together = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return _ByLength([len(ids) for ids in rows["input_ids"]], together, self.args.seed)

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


class _ByLength(Sampler[int]):
    """Batches of about equal length, their order drawn anew in every epoch.

    transformers' own draws it from the shared random state, so that a resumed training would see
    another order than one that was left alone; here it follows from seed and epoch.
    """

    def __init__(self, lengths: list[int], together: int, seed: int) -> None:
        self._lengths = lengths
        self._together = together
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the order of another epoch; the data loader calls this."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        drawn = torch.Generator().manual_seed(self._seed + self._epoch)
        return iter(get_length_grouped_indices(self._lengths, self._together, generator=drawn))


def _unwrapped(model: Any) -> Any:
    return model.get_base_model() if isinstance(model, PeftModel) else model
