"""Where examples come from. Each kind of source is a module of its own that opens as a ``Source``.

Rows are read one at a time and only once, so that a source may be larger than memory. A row that is
no example is a ``BadRow``: one wrong row is a finding about the source, not the end of reading it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.usecases.filters import NO_FILTERS, Filters
from agent_orchestrator.errors import DatasetError


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is no example."""

    where: str
    """For people, e.g. ``data.jsonl, line 3``."""
    error: DatasetError
    """What is wrong with it, and the remedy."""


Rows = Iterable[Example | BadRow]


@dataclass(frozen=True, slots=True)
class Source:
    """Examples as they come, not yet a data set."""

    name: str
    """What a data set of them is called unless somebody says otherwise."""
    origin: str
    """Where they come from, for people."""
    examples: Rows
    """All of them, or the training split when the source is split already."""
    held_out: Rows | None = None
    """The evaluation split; None when the source is not split yet."""
    selected: bool = False
    """Whether only what is wanted comes already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody wants of a source. A source may use it to fetch less; it need not."""

    agent: str
    filters: Filters = NO_FILTERS
    seed: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    """Their column → ours, for sources of rows with columns."""


Open = Callable[[str, Wanted], Source]
"""Opens a source by what stands after the colon of its name.

Raises DatasetError for what cannot be a source, NotAvailable without what it needs (a key),
UnavailableError when its service does not answer; reading may raise the same.
"""
