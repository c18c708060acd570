"""What a training job is asked to do, whichever backend runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent_orchestrator.domain.models import TrainingMethod

_FORBID_EXTRA = {"extra": "forbid"}

Row = Mapping[str, Any]
"""One training example: ``messages`` whose last is the assistant's answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSpec:
    """A training job."""

    __pydantic_config__ = _FORBID_EXTRA

    agent: str
    method: TrainingMethod
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
    hardware: str | None = None
    """Name of the machine that the price is for (``t4-small`` …)."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """What the model card says beside the facts: title, description, tags, license."""
