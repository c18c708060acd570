"""Building a data set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import ConfigDict, field_validator

from agent_orchestrator.agents.infrastructure.modelops.filters import Filters
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import (
    ChangingRequest,
    Request,
    Result,
)
from agent_orchestrator.domain.models import TrainingMethod


class Finding(Result):
    """Something the data set's check found."""

    kind: str
    count: int
    message: str
    suggestion: str
    examples: list[str] = []
    """Ids, or places, of the first few."""
    action: Literal["kept", "removed", "scrubbed"] = "kept"
    """What was done about it."""


class DatasetFilters(Request):
    """What an example's metadata must say; a further key is one of the metadata, with its value."""

    model_config = ConfigDict(extra="allow")

    success: bool | None = None
    feedback_score: float | None = None
    """At least this."""
    hitl_approved: bool | None = None
    since: datetime | None = None
    """Made at this time or later; without a time zone: UTC."""
    until: datetime | None = None
    """Made before this."""
    tags: list[str] = []
    """All of them."""

    @field_validator("tags", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value

    @field_validator("since", "until")
    @classmethod
    def _aware(cls, value: datetime | None) -> datetime | None:
        return value.replace(tzinfo=UTC) if value and not value.tzinfo else value

    def selected(self) -> Filters:
        """Return the filters that this asks for."""
        return Filters(
            success=self.success,
            feedback_score=self.feedback_score,
            hitl_approved=self.hitl_approved,
            since=self.since,
            until=self.until,
            tags=tuple(self.tags),
            metadata=self.model_extra or {},
        )


class BuildDataset(ChangingRequest):
    """Build a data set for an agent.

    It is checked, cleaned, split and hashed.
    """

    agent: str
    source: str = "langsmith"
    """langsmith (the agent's own data set), langsmith:<data set>, langsmith-runs:<project>,
    hub:<owner/name>, stdlib-defects, or the path of a .jsonl, .csv or .parquet file."""
    name: str | None = None
    filters: DatasetFilters = DatasetFilters()
    """What an example's metadata must say: success, feedback_score (at least), hitl_approved,
    since, until, tags; any other key is one of the metadata, with its value."""
    columns: dict[str, str] = {}
    """Their column → ours, e.g. question=prompt."""
    method: TrainingMethod = "sft"
    """What it is to train."""
    seed: int = 0
    as_is: bool = False
    """Neither remove nor scrub what the checks find, and refuse a source with a bad row. Leaks
    into the training split never stay."""


class DatasetBuilt(Result):
    """A data set on disk."""

    dataset: str
    agent: str
    counts: dict[str, int]
    """Examples per split."""
    dataset_hash: str
    findings: list[Finding]
    path: str
