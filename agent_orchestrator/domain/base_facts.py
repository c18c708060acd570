"""What is known of a base model before it is trained from."""

from __future__ import annotations

from dataclasses import dataclass

from agent_orchestrator.domain.licences import Licence


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFacts:
    """A base model's size and licence."""

    parameters: float
    """Number of weights."""
    licence: Licence | None = None
    """None where nobody was asked: a preset, or a model of this machine."""
