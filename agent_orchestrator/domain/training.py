"""What a training job is asked to do, whichever backend runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agent_orchestrator.domain.models import TrainingEngine, TrainingMethod
from agent_orchestrator.errors import InputError

_FORBID_EXTRA = {"extra": "forbid"}

Row = Mapping[str, Any]
"""One training example: ``messages`` whose last is the assistant's answer."""

METHODS: Final[Mapping[TrainingEngine, tuple[TrainingMethod, ...]]] = {
    "trl": ("sft", "dpo", "grpo"),
    "autotrain": ("sft", "dpo", "orpo"),
}
"""What each engine can do."""


def choose_engine(method: TrainingMethod, asked: TrainingEngine | None) -> TrainingEngine:
    """Return the engine for a method: the one asked for, else the first that has it.

    Raises InputError when the engine that was asked for lacks the method.
    """
    able = [engine for engine, methods in METHODS.items() if method in methods]
    if asked is None:
        return able[0]
    if asked not in able:
        raise InputError(
            f"engine={asked!r} has no method {method!r}; it has {', '.join(METHODS[asked])}.",
            remedy=f"Use engine {' or '.join(able)} for {method}.",
        )
    return asked


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSpec:
    """A training job."""

    __pydantic_config__ = _FORBID_EXTRA

    agent: str
    method: TrainingMethod
    engine: TrainingEngine = "trl"
    base_model: str
    """Model id of the base."""
    output_model: str
    """Model id of what is made."""
    rows: Sequence[Row]
    dataset: str
    """Data set id, for the model card."""
    hyperparameters: Mapping[str, Any]
    """Names and values as in the worker's ``spec.json``."""
    validation_rows: Sequence[Row] = ()
    push_to_hub: bool = False
    max_seconds: float | None = None
    """Wall-clock limit."""
    trackio: Mapping[str, str] | None = None
    """Where Trackio shows the job: ``project`` and, for one of the Hub's Spaces, ``space``."""
    hardware: str | None = None
    """Name of the machine that the price is for (``t4-small`` …)."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """What the model card says beside the facts: title, description, tags, license."""
