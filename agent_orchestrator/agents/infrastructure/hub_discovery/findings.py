"""What a search of the Hub finds, as its tools return it. What the Hub does not say is null."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

RepoType = Literal["model", "dataset", "space"]


class _Finding(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class FoundModel(_Finding):
    """A model."""

    id: str
    url: str
    task: str | None
    library: str | None
    licence: str | None
    parameters: int | None
    """Of its safetensors weights."""
    gated: bool
    """Whether its authors let in who accepts their terms."""
    downloads: int | None
    """In the last 30 days."""
    likes: int | None
    updated: str | None
    """ISO 8601."""


class FoundModels(_Finding):
    """Models, in the order that was asked for."""

    models: list[FoundModel]


class FoundDataset(_Finding):
    """A data set."""

    id: str
    url: str
    description: str
    licence: str | None
    tasks: list[str]
    languages: list[str]
    size: str | None
    """The Hub's class of it, e.g. 10K<n<100K."""
    gated: bool
    downloads: int | None
    likes: int | None
    updated: str | None


class FoundDatasets(_Finding):
    """Data sets, in the order that was asked for."""

    datasets: list[FoundDataset]


class FoundSpace(_Finding):
    """A Space."""

    id: str
    url: str
    title: str
    description: str | None
    category: str | None
    sdk: str | None
    stage: str | None
    """RUNNING, SLEEPING …"""
    likes: int
    speaks_mcp: bool
    """Whether its functions can be called as MCP tools."""
    relevance: float | None
    """0..1."""


class FoundSpaces(_Finding):
    """Spaces, the most relevant first."""

    spaces: list[FoundSpace]


class FoundPaper(_Finding):
    """A paper."""

    id: str
    """Of arXiv."""
    url: str
    title: str | None
    authors: list[str]
    published: str | None
    summary: str | None
    upvotes: int | None


class FoundPapers(_Finding):
    """Papers, the most relevant first."""

    papers: list[FoundPaper]


class RepoFile(_Finding):
    """A file of a repository."""

    path: str
    bytes: int | None


class RepoDetails(_Finding):
    """A repository, as far as one needs to know before one uses it."""

    id: str
    type: RepoType
    url: str
    licence: str | None
    gated: bool
    private: bool
    tags: list[str]
    task: str | None = None
    library: str | None = None
    parameters: int | None = None
    base_models: list[str] = []
    """What it was made from, by its card."""
    trained_on: list[str] = []
    """Data sets, by its card."""
    downloads: int | None = None
    likes: int | None = None
    updated: str | None = None
    files: list[RepoFile] = []
    """The first ones."""
    file_count: int = 0
    card: str | None = None
    """The beginning of its README, when that was asked for."""


class DocExcerpt(_Finding):
    """A place in the documentation."""

    product: str
    title: str
    section: str | None
    url: str
    text: str


class DocExcerpts(_Finding):
    """Places in the documentation, the most relevant first."""

    excerpts: list[DocExcerpt]


class DocPage(_Finding):
    """A page of the documentation."""

    url: str
    text: str
    """Markdown."""
    next_offset: int | None
    """Where the rest begins; null at the end."""
