"""Examples from a LangSmith data set, page by page.

A data set with a split ``train`` and one of ``eval``, ``test`` or ``validation`` stays split so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from langsmith import Client
from langsmith.schemas import Example as LangSmithExample

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import (
    BadRow,
    Source,
    Wanted,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.langsmith_client import (
    Connect,
    reading,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.naming import slug
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.traces import example_of
from agent_orchestrator.errors import DatasetError

_SHOWN: Final = 10
_TRAIN: Final = ("train",)
_HELD_OUT: Final = ("eval", "test", "validation")


class LangSmithDatasets:
    """``langsmith:<data set>``; without a name the agent's own, by ``default_name``."""

    def __init__(self, connect: Connect, *, default_name: str) -> None:
        """``default_name`` may hold ``{agent}``."""
        self._connect = connect
        self._default_name = default_name

    def open(self, name: str, wanted: Wanted) -> Source:
        """Open a data set. Raises DatasetError when there is none, SettingsError, UpstreamError."""
        name = name or self._default_name.format(agent=wanted.agent)
        client = self._connect()
        with reading(f"data set {name!r}"):
            dataset = next(client.list_datasets(dataset_name=name, limit=1), None)
            if dataset is None:
                raise _unknown(name, [d.name for d in client.list_datasets(limit=_SHOWN)])
            split = all(_any(client, name, splits) for splits in (_TRAIN, _HELD_OUT))
        origin = f"LangSmith data set {name} ({dataset.id})"
        if not split:
            return Source(slug(name), origin, _examples(client, name))
        return Source(
            slug(name), origin, _examples(client, name, _TRAIN), _examples(client, name, _HELD_OUT)
        )


def _unknown(name: str, known: Sequence[str]) -> DatasetError:
    there = f"There are {', '.join(known)}." if known else "There is none for this key."
    return DatasetError(f"LangSmith has no data set {name!r}.", remedy=there)


def _any(client: Client, name: str, splits: Sequence[str]) -> bool:
    found = client.list_examples(dataset_name=name, splits=splits, limit=1)
    return next(found, None) is not None


def _examples(
    client: Client, name: str, splits: Sequence[str] | None = None
) -> Iterator[Example | BadRow]:
    with reading(f"data set {name!r}"):
        for found in client.list_examples(dataset_name=name, splits=splits):
            yield example_of(
                found.inputs or {},
                found.outputs or {},
                _metadata(found),
                example_id=str(found.id),
                where=f"LangSmith data set {name}, example {found.id}",
            )


def _metadata(found: LangSmithExample) -> dict[str, Any]:
    own = {k: v for k, v in (found.metadata or {}).items() if k != "dataset_split"}
    return {"created_at": found.created_at.isoformat(), **own}
