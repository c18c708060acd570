"""Building a data set."""

from __future__ import annotations

from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import ChangingRequest, Result
from agent_orchestrator.domain.models import TrainingMethod


class Finding(Result):
    """Something the data set's check found."""

    kind: str
    count: int
    message: str
    suggestion: str
    examples: list[str] = []


class BuildDataset(ChangingRequest):
    """Build a data set for an agent.

    It is validated, split, hashed and checked for leaks.
    """

    agent: str
    source: str = "langsmith"
    """``stdlib-defects``, or the path of a JSONL or CSV file."""
    name: str | None = None
    filters: dict[str, Any] = {}
    """Metadata key → value that an example must have."""
    method: TrainingMethod = "sft"
    seed: int = 0


class DatasetBuilt(Result):
    """A data set on disk."""

    dataset: str
    agent: str
    counts: dict[str, int]
    """Examples per split."""
    dataset_hash: str
    findings: list[Finding]
    path: str
