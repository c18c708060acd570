"""Direct preference optimisation (Rafailov et al., 2305.18290): TRL's ``DPOTrainer``."""

from __future__ import annotations

import copy
from typing import Any

from trl import DPOConfig, DPOTrainer

from agent_orchestrator.trainer import loop
from agent_orchestrator.trainer.spec import Hyperparameters


def train(
    parameters: Hyperparameters, material: loop.Material, setting: loop.Setting
) -> tuple[Any, loop.TrainingRun]:
    """Train ``model`` on pairs of answers; return it with what was measured.

    The reference that the model is held to is the base itself: a copy, or with LoRA the model
    without its adapters. Measured are the share of pairs whose chosen answer has the higher
    implicit reward, and by how much, at the first and at the last report. Raises Refused
    (``nan_loss``).
    """
    total = loop.total_steps(parameters, len(material.rows))
    follower = loop.Follower(setting, total, parameters)
    model = loop.in_training_type(material.model, parameters)
    trainer = _Trainer(
        follower,
        model=model,
        ref_model=None if parameters.lora else copy.deepcopy(model),
        args=DPOConfig(
            **loop.arguments(parameters, total, setting.job_dir),
            beta=parameters.beta,
            max_length=None,  # the rows fit already
        ),
        **loop.inputs(material, parameters),
    )
    seconds = loop.run(trainer, setting, follower)
    loss = loop.validated(trainer, material, setting, "eval_loss")
    first_accuracy, last_accuracy = loop.logged(trainer, "rewards/accuracies")
    first_margin, last_margin = loop.logged(trainer, "rewards/margins")
    measures = {
        "preference_accuracy_first": first_accuracy,
        "preference_accuracy_final": last_accuracy,
        "reward_margin_first": first_margin,
        "reward_margin_final": last_margin,
    }
    return loop.merged(trainer, parameters), follower.result(seconds, loss, measures)


class _Trainer(loop.Watched, DPOTrainer):
    """DPO, watched."""
