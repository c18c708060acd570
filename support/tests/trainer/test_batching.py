"""Smaller batches of the same effect, and what the validations of early stopping have shown."""

import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.trainer import batching
from agent_orchestrator.trainer.early_stopping import Seen
from agent_orchestrator.trainer.spec import Hyperparameters


@given(st.integers(1, 96), st.integers(1, 16), st.integers(1, 8))
def test_a_smaller_batch_has_the_same_effect(size: int, accumulation: int, unit: int):
    """At most half in memory, whole groups, and as many examples in a step as before."""
    asked = Hyperparameters(batch_size=size * unit, gradient_accumulation=accumulation)
    fewer = batching.smaller(asked, unit)
    if fewer is None:
        assert size == 1
        return
    assert fewer.batch_size <= asked.batch_size / 2
    assert fewer.batch_size % unit == 0
    assert fewer.batch_size * fewer.gradient_accumulation == size * unit * accumulation


def test_what_was_chosen_is_remembered(tmp_path: Path):
    """A worker that is started again does not run out of memory again."""
    asked = Hyperparameters(batch_size=8, gradient_accumulation=2)
    assert batching.remembered(tmp_path, asked) == asked
    fewer = batching.smaller(asked)
    batching.remember(tmp_path, fewer)
    assert batching.remembered(tmp_path, asked) == fewer
    assert (fewer.batch_size, fewer.gradient_accumulation) == (4, 4)


@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=20))
def test_the_best_validation_is_known_at_any_time(losses: list[float]):
    """The first of the lowest, and how many were not lower since; a loss that is nan is worse."""
    seen = Seen()
    for step, loss in enumerate(losses, 1):
        seen = seen.after(step, loss)
    assert seen.best_loss == min(losses)
    assert seen.best_step == losses.index(min(losses)) + 1
    assert seen.worse == len(losses) - seen.best_step
    assert seen.after(99, math.nan) == Seen(seen.best_loss, seen.best_step, seen.worse + 1)
