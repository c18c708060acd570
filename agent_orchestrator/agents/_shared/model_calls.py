"""A call of an agent's model, as judgements of the agent's work name it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One answer of an agent's model; feedback goes by its request id."""

    request_id: str
    arm: str
    version: str | None
