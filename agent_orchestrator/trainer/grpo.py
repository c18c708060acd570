"""Group-relative policy optimisation (Shao et al., 2402.03300): TRL's ``GRPOTrainer``."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from trl import GRPOConfig, GRPOTrainer

from agent_orchestrator.trainer import loop, rewards
from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.spec import Hyperparameters


def train(
    parameters: Hyperparameters, material: loop.Material, setting: loop.Setting
) -> tuple[Any, loop.TrainingRun]:
    """Train ``model`` on problems; return it with what was measured.

    ``batch_size`` counts answers: every problem gets ``num_generations`` of them, which are
    compared with each other. A batch is filled up to whole groups. Measured is the mean reward at
    the first and at the last report, and on the validation rows. Raises Refused (``nan_loss``,
    ``no_reward``, ``no_sandbox``).
    """
    group = parameters.num_generations
    parameters = replace(parameters, batch_size=group * math.ceil(parameters.batch_size / group))
    total = loop.total_steps(parameters, len(material.rows) * group)
    follower = loop.Follower(setting, total, parameters)
    judges = [rewards.reward(name, setting.sandbox) for name in parameters.rewards]
    trainer = _Trainer(
        follower,
        model=loop.in_training_type(material.model, parameters),
        reward_funcs=judges,
        args=GRPOConfig(
            **loop.arguments(parameters, total, setting.job_dir),
            beta=parameters.beta,
            num_generations=group,
            max_completion_length=parameters.max_completion_length,
            temperature=parameters.temperature,
        ),
        **loop.inputs(material, parameters),
    )
    seconds = loop.run(trainer, setting, follower)
    first, last = loop.logged(trainer, "reward")
    if not any(judge.paid for judge in judges):
        raise Refused(
            "no_reward",
            f"None of the answers earned a reward ({', '.join(parameters.rewards)}).",
            "Train by SFT first, raise temperature or num_generations, or correct the rewards.",
        )
    measures = {
        "reward_first": first,
        "reward_final": last,
        "validation_reward": loop.validated(trainer, material, setting, "eval_reward"),
    }
    _, tokens = loop.logged(trainer, "num_tokens")
    measured = replace(follower.result(seconds, None, measures), tokens=int(tokens or 0))
    return loop.merged(trainer, parameters), measured


class _Trainer(loop.Watched, GRPOTrainer):
    """GRPO, watched."""
