"""How many examples go through the model at once, when the memory does not hold as many as asked.

Half as many, in twice as many parts of a step: the optimizer sees the same examples in the same
steps, so that a training goes on from checkpoints that were written before.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

from agent_orchestrator.trainer.artifact import write_json
from agent_orchestrator.trainer.spec import Hyperparameters

_FILE: Final = "batch.json"
"""In the job's folder: what had to be chosen; a worker that is started again begins with it."""


def smaller(parameters: Hyperparameters, unit: int = 1) -> Hyperparameters | None:
    """Return settings of the same effective batch with at most half of it in memory, or None.

    A batch is a multiple of ``unit``: GRPO's groups stay whole.
    """
    size, accumulation = parameters.batch_size, parameters.gradient_accumulation
    fits = (n for n in range(size // 2, 0, -1) if size % n == 0 and n % unit == 0)
    fewer = next(fits, None)
    if fewer is None:
        return None
    return replace(
        parameters, batch_size=fewer, gradient_accumulation=accumulation * (size // fewer)
    )


def remember(job_dir: Path, parameters: Hyperparameters) -> None:
    """Write down the settings that were chosen."""
    names = ("batch_size", "gradient_accumulation")
    write_json(job_dir / _FILE, {name: getattr(parameters, name) for name in names})


def remembered(job_dir: Path, parameters: Hyperparameters) -> Hyperparameters:
    """Return the settings with which the job went on last time, at first those it asks for."""
    try:
        chosen = json.loads((job_dir / _FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return parameters
    return replace(parameters, **chosen)
