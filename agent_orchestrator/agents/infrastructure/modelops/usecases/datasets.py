"""Building a data set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, field_validator

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import (
    ChangingRequest,
    Request,
    Result,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.filters import Filters
from agent_orchestrator.domain.models import TrainingMethod

ExportForm = Literal[
    "messages",
    "prompt_completion",
    "preference",
    "problem",
    "autotrain_chat",
    "autotrain_text",
    "autotrain_preference",
]


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


class _FromSource(Request):
    """Where examples come from, which of them are wanted, and what for."""

    agent: str
    source: str = "langsmith"
    """langsmith (the agent's own data set), langsmith:<data set>, langsmith-runs:<project>,
    hub:<owner/name>, evolution or evolution:<public source> (public examples, then a mixture, then
    the agent's own, by how many of these there are), stdlib-defects, or the path of a .jsonl, .csv
    or .parquet file."""
    filters: DatasetFilters = DatasetFilters()
    """What an example's metadata must say: success, feedback_score (at least), hitl_approved,
    since, until, tags; any other key is one of the metadata, with its value."""
    columns: dict[str, str] = {}
    """Their column → ours, e.g. question=prompt."""
    method: TrainingMethod = "sft"
    """What it is to train."""
    base_model: str | None = None
    """Whose tokenizer counts the tokens; the model that training would begin from when left out."""
    max_examples: Annotated[int, Field(ge=2)] | None = None
    """Examples to take at most, the first ones that are wanted; all when left out."""
    seed: int = 0


class CheckDataset(_FromSource):
    """Check a source of examples.

    It is read, and what building would find, remove and make of it is reported. Nothing is built.
    """


class BuildDataset(_FromSource, ChangingRequest):
    """Build a data set for an agent.

    It is checked, cleaned, split and hashed.
    """

    name: str | None = None
    """Of the data set; the source's when left out."""
    as_is: bool = False
    """Neither remove nor scrub what the checks find, and refuse a source with a bad row. Leaks
    into the training split never stay."""


class ShowDataset(Request):
    """Show a data set's report."""

    name: str
    """Its id, or a name whose newest data set is meant."""


class ListDatasets(Request):
    """List the data sets, newest first."""

    agent: str | None = None


class ExportDataset(ChangingRequest):
    """Write a data set's splits in another form.

    The forms are what trainers read.
    """

    name: str
    """Its id, or a name whose newest data set is meant."""
    form: ExportForm
    """messages, prompt_completion, preference and problem: JSON lines with these columns.
    autotrain_chat: CSV with a column text, a list of messages. autotrain_text: CSV with text and
    response. autotrain_preference: CSV with prompt, chosen and rejected."""
    folder: str
    """Where to write; made when it is not there."""


class LengthProfile(Result):
    """How long something is."""

    total: int
    mean: float
    p50: int
    """This and p95 exceed the true value by 19 % at most."""
    p95: int
    max: int
    bars: list[tuple[int, int]]
    """(up to, how many): a histogram by powers of two."""


class DatasetReport(Result):
    """What is in a data set, or would be in one."""

    agent: str
    origin: str
    dataset: str | None
    """Its id; null for a source that was only checked."""
    usable: bool
    problem: str = ""
    """Why there can be no data set of it."""
    rows_read: int | None
    counts: dict[str, int]
    """Examples per split, after cleaning."""
    dataset_hash: str
    findings: list[Finding]
    trainable: dict[str, int]
    """Method → examples of the source that it could train on."""
    tokens: LengthProfile | None
    tokens_how: str
    """How they were counted, or on what the estimate rests."""
    tokens_exact: bool
    task_chars: LengthProfile | None
    answer_chars: LengthProfile | None
    languages: dict[str, float]
    """ISO 639-1 code, ``code`` or ``?`` → share of a sample."""
    language_sample: int
    categories: dict[str, int]
    reports: dict[str, str] = {}
    """``json``, ``html`` → path."""


class ListedDataset(Result):
    """A data set in a list."""

    dataset: str
    agent: str
    origin: str
    created_at: str
    counts: dict[str, int]
    findings: int
    """Kinds of findings."""


class DatasetList(Result):
    """Data sets."""

    datasets: list[ListedDataset]


class DatasetExported(Result):
    """A data set in another form."""

    dataset: str
    files: dict[str, int]
    """Path → rows."""
    left_out: int
    """Examples that lack what the form needs."""


class DatasetBuilt(Result):
    """A data set on disk."""

    dataset: str
    agent: str
    counts: dict[str, int]
    """Examples per split."""
    dataset_hash: str
    findings: list[Finding]
    path: str
