"""Opening a source by its name, and taking from it what is wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Final

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import (
    Example,
    parse_example,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import (
    BadRow,
    Open,
    Rows,
    Source,
    Wanted,
    stdlib_defects,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.files import (
    READERS,
    open_file,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.filters import NO_FILTERS
from agent_orchestrator.errors import DatasetError

_MOST_AGENTS: Final = 20


class Sources:
    """The kinds of sources there are: ``<kind>``, ``<kind>:<argument>`` or the path of a file."""

    def __init__(self, kinds: Mapping[str, Open] | None = None) -> None:
        """``kinds`` come beside files and ``stdlib-defects``, which need nothing."""
        self._kinds: Mapping[str, Open] = {stdlib_defects.NAME: _open_stdlib, **(kinds or {})}

    def open(self, name: str, wanted: Wanted) -> Source:
        """Open a source, with only what is wanted of it. Raises as ``Open``."""
        return Selection(name, self._opened(name, wanted), wanted).source

    def _opened(self, name: str, wanted: Wanted) -> Source:
        kind, _, argument = name.partition(":")
        if kind in self._kinds:
            return self._kinds[kind](argument, wanted)
        if not PurePath(name).suffix:
            raise DatasetError(
                f"Unknown data set source {name!r}.",
                remedy=f"Use {', '.join(self._kinds)} or the path of a {', '.join(READERS)} file.",
            )
        return open_file(name, wanted)


def _open_stdlib(_argument: str, wanted: Wanted) -> Source:
    name = stdlib_defects.NAME
    train, held_out = (
        tuple(parse_example(row, f"{name}, example {n}") for n, row in enumerate(rows, 1))
        for rows in stdlib_defects.build(wanted.seed)
    )
    return Source(name, name, train, held_out)


class Selection:
    """A source from which only the wanted examples come, and what was passed over.

    Examples that name another agent in their metadata are left out, as are those that the filters
    do not want. Bad rows come through: nobody knows whose they are.
    """

    def __init__(self, spec: str, source: Source, wanted: Wanted) -> None:
        self._spec = spec
        self._wanted = wanted
        self.other_agents: Counter[str] = Counter()
        """Agent → its examples that were left out; the first few agents only."""
        self.filtered = 0
        """Examples of the agent that the filters left out."""
        if source.selected:
            self.source = source
            return
        held_out = source.held_out
        self.source = replace(
            source,
            examples=self._select(source.examples),
            held_out=None if held_out is None else self._select(held_out),
        )

    def _nothing(self) -> DatasetError:
        agents = sorted({*self.other_agents, *([self._wanted.agent] if self.filtered else [])})
        there = f" (agents there: {', '.join(agents)})" if agents else ""
        return DatasetError(
            f"Source {self._spec!r} has no example for agent {self._wanted.agent!r} with filters "
            f"{self._wanted.filters}{there}.",
            remedy="Name another agent, source or filter.",
        )

    def _select(self, rows: Rows) -> Iterator[Example | BadRow]:
        """Yield what is wanted of a split. Raises DatasetError when that is nothing."""
        left = False
        for row in rows:
            if isinstance(row, BadRow):
                left = True
                yield row
                continue
            agent = str(row.metadata.get("agent", self._wanted.agent))
            if agent != self._wanted.agent:
                if agent in self.other_agents or len(self.other_agents) < _MOST_AGENTS:
                    self.other_agents[agent] += 1
            elif not self._wanted.filters.match(row.metadata):
                self.filtered += 1
            else:
                left = True
                yield replace(row, metadata={**row.metadata, "agent": agent})
        asked = self._wanted.filters != NO_FILTERS
        if not left and (asked or self.filtered or self.other_agents):
            raise self._nothing()
