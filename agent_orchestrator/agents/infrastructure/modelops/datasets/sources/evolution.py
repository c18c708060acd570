"""Public examples that give way to the agent's own, as these become more.

An agent that has answered little yet is trained on public examples; then on a mixture, four public
ones for each of its own unless configured otherwise; then on its own alone. Which stage it is, the
number of its own examples decides. The draw is seeded: the same examples and seed give the same
data set. Splits that the sources have are not kept: the mixture is split anew, by group.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import (
    BadRow,
    Rows,
    Source,
    Wanted,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.naming import slug
from agent_orchestrator.agents.infrastructure.modelops.usecases.filters import NO_FILTERS
from agent_orchestrator.errors import DatasetError

OpenSelected = Callable[[str, Wanted], Source]
"""Opens a source by its full name, with only what is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of the evolution."""

    name: str
    up_to: int | None
    """The most own examples of this stage; None for the last."""
    own_share: float
    """Share of own examples in the mixture, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How examples evolve."""

    own: str
    """Source of the agent's own examples."""
    public: Mapping[str, str]
    """Agent → source of public examples; ``default`` for the others."""
    stages: Sequence[Stage]
    """By ``up_to``, upwards; the last has none."""
    public_examples: int
    """Public examples in a stage without own ones."""
    public_pool: int
    """Public rows that are looked at: a sample is drawn from these."""


class Evolution:
    """``evolution``, or ``evolution:<public source>``."""

    def __init__(self, plan: Plan, open_selected: OpenSelected) -> None:
        self._plan = plan
        self._open = open_selected

    def open(self, public: str, wanted: Wanted) -> Source:
        """Open the mixture. Raises DatasetError without a public source, and as the sources do.

        An agent without own examples is at the first stage. The own examples are read here, up to
        the number that tells the stage.
        """
        most = max(stage.up_to or 0 for stage in self._plan.stages)
        rows, why = self._own(wanted)
        own = list(islice(rows, most + 1))
        stage = next(s for s in self._plan.stages if s.up_to is None or len(own) <= s.up_to)
        many = f"{len(own)} own examples" if len(own) <= most else f"more than {most} own examples"
        origin = f"stage {stage.name}: {many} of {self._plan.own}{why}"
        if stage.own_share == 1:
            mixture: Rows = chain(own, rows)
        else:
            name = public or self._public(wanted.agent)
            count = self._plan.public_examples
            if stage.own_share > 0:
                count = round(len(own) * (1 - stage.own_share) / stage.own_share)
            else:
                own = []
            origin += f", {count} of {name}"
            mixture = chain(own, self._sample(name, wanted, count))
        return Source(slug(f"{wanted.agent}-{stage.name}"), origin, mixture, selected=True)

    def _own(self, wanted: Wanted) -> tuple[Iterator[Example | BadRow], str]:
        """Return the agent's own examples; when there are none, why."""
        try:
            rows = _marked(self._open(self._plan.own, wanted), "own")
            first = next(rows, None)
        except DatasetError as error:
            return iter(()), f" ({error.message.rstrip('.')})"
        return (iter(()) if first is None else chain([first], rows)), ""

    def _public(self, agent: str) -> str:
        public = self._plan.public
        name = public.get(agent) or public.get("default")
        if name is None:
            raise DatasetError(
                f"No public source of examples is known for {agent!r}.",
                remedy="Write evolution:<public source>, or name one under evolution.public in "
                "config/modelops/dataset_defaults.yaml.",
            )
        return name

    def _sample(self, name: str, wanted: Wanted, count: int) -> Iterator[Example | BadRow]:
        """Yield ``count`` of the first public rows, drawn uniformly, in their order."""
        source = self._open(name, replace(wanted, filters=NO_FILTERS))
        rng = random.Random(wanted.seed)  # noqa: S311 - a reproducible draw, not a secret
        kept: list[tuple[int, Example | BadRow]] = []
        for number, row in enumerate(islice(_marked(source, "public"), self._plan.public_pool)):
            if len(kept) < count:
                kept.append((number, row))
            elif (place := rng.randrange(number + 1)) < count:
                kept[place] = (number, row)
        yield from (row for _, row in sorted(kept, key=lambda pair: pair[0]))


def _marked(source: Source, kind: str) -> Iterator[Example | BadRow]:
    """Yield all rows of a source, the examples marked with where they come from."""
    rows: Iterable[Example | BadRow] = chain(source.examples, source.held_out or ())
    for row in rows:
        if isinstance(row, BadRow):
            yield row
        else:
            yield replace(row, metadata={**row.metadata, "data_source": kind})
