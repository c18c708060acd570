"""Sources that need no account, opened in one line."""

from __future__ import annotations

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import (
    BadRow,
    Source,
    Wanted,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.opening import Sources
from agent_orchestrator.agents.infrastructure.modelops.usecases.filters import Filters


def open_local(name: object, agent: str = "code_review", **filters: object) -> Source:
    """Open a file or ``stdlib-defects`` for an agent; filters are exact values of metadata."""
    return Sources().open(str(name), Wanted(agent=agent, filters=Filters(metadata=filters)))


def read(source: Source) -> list[Example]:
    """Return a source's examples; raise the first bad row's error."""
    rows = list(source.examples)
    for row in rows:
        if isinstance(row, BadRow):
            raise row.error
    return [row for row in rows if isinstance(row, Example)]
