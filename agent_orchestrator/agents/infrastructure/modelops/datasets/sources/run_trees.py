"""Whole traced runs of a LangSmith project: each root with all that ran beneath it.

A run that LangGraph interrupted, to have a person approve something, ends there; what follows the
answer is another trace of the same thread. Both are read as one run.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

from langsmith import Client

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Wanted
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.langsmith_client import (
    reading,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.langsmith_runs import (
    CONVERSATIONS,
    LangSmithRuns,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.traces import example_of
from agent_orchestrator.errors import DatasetError

#: How a run's error begins when LangGraph stopped it to ask a person.
_INTERRUPTS: Final = ("GraphInterrupt", "NodeInterrupt")
_AT_ONCE: Final = 8
_PAGE: Final = 100
_MOST_ANSWERS: Final = 20
"""Interrupts of one run that are followed."""
_FIELDS: Final = (
    *("ID", "NAME", "RUN_TYPE", "STATUS", "START_TIME", "END_TIME", "ERROR", "METADATA", "TAGS"),
    *("INPUTS", "OUTPUTS", "PARENT_RUN_IDS", "PROMPT_TOKENS", "COMPLETION_TOKENS"),
    *("FEEDBACK_STATS", "REFERENCE_EXAMPLE_ID"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRun:
    """One run of a trace."""

    id: str
    name: str
    kind: str
    """``chain``, ``llm``, ``tool`` …"""
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    error: str | None
    metadata: Mapping[str, Any]
    started: datetime
    ended: datetime
    parents: tuple[str, ...]
    """Ids from the root down to the one that called it."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    @property
    def interrupted(self) -> bool:
        """Whether it stopped to ask a person."""
        return self.error is not None and self.error.startswith(_INTERRUPTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTree:
    """A finished run."""

    roots: tuple[TracedRun, ...]
    """The first, then what went on after each interrupt."""
    runs: tuple[TracedRun, ...]
    """Everything in order of its start, the roots among it."""
    metadata: Mapping[str, Any]
    """The root's, with ``success``, ``feedback_score``, ``hitl_approved``, ``group`` …"""
    reference: Example | None = None
    """The example of a data set that it was run on; None when it was real work."""


@dataclass(frozen=True, slots=True)
class FoundTrees:
    """What a project has."""

    trees: Sequence[RunTree]
    """The newest first."""
    unfinished: int
    """Runs that have not ended, or wait for a person."""
    more: bool
    """Whether there are further ones."""


class RunTrees:
    """Reads traced runs whole."""

    def __init__(self, runs: LangSmithRuns) -> None:
        self._runs = runs

    def read(self, project: str, wanted: Wanted, limit: int) -> FoundTrees:
        """Return the newest finished runs of a project that are wanted, ``limit`` at most.

        Raises DatasetError when there is no such project or no such run, SettingsError for a key
        that is missing or refused, UpstreamError.
        """
        client, project_id = self._runs.find(project)
        with reading(f"runs of project {project!r}"):
            found = asyncio.run(_Reading(self._runs, client, project_id).read(wanted, limit))
        if not found.trees:
            raise DatasetError(
                f"Project {project!r} has no finished run of {wanted.agent} with filters "
                f"{wanted.filters}.",
                remedy="Name another agent, project or filter; by default only recent runs count.",
            )
        return found


@dataclass(slots=True)
class _Reading:
    """One look into a project."""

    runs: LangSmithRuns
    client: Client
    project_id: str
    _free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def read(self, wanted: Wanted, limit: int) -> FoundTrees:
        try:
            roots, unfinished, more = await self._roots(wanted, limit)
            trees = await asyncio.gather(*map(self._tree, roots))
        finally:
            await self.client.runs._client.close()  # noqa: SLF001 - its connections are this loop's
        whole = [tree for tree in trees if tree is not None]
        references = self._references(roots)
        return FoundTrees(
            [
                _with_reference(tree, references.get(_reference_id(root)))
                for root, tree in zip(roots, trees, strict=True)
                if tree is not None
            ],
            unfinished + len(roots) - len(whole),
            more,
        )

    async def _roots(self, wanted: Wanted, limit: int) -> tuple[list[Any], int, bool]:
        """Return the runs to read, how many had not ended, and whether there were more."""
        roots: list[Any] = []
        unfinished = 0
        query = {**self.runs.query(self.project_id, wanted.filters), "selects": list(_FIELDS)}
        async for run in self._query(query):
            metadata = self.runs.metadata(run)
            ours = str(metadata.get("agent", wanted.agent)) == wanted.agent
            if _goes_on(run) or not ours or not wanted.filters.match(metadata):
                continue
            if run.end_time is None:
                unfinished += 1
            elif len(roots) == limit:
                return roots, unfinished, True
            else:
                roots.append(run)
        return roots, unfinished, False

    async def _tree(self, root: Any) -> RunTree | None:
        """Return a root with all beneath it; None when it still waits for a person."""
        found = await self._of_trace(root)
        roots, runs = [_traced(root)], found
        metadata = self.runs.metadata(root)
        while any(run.interrupted for run in found):
            following = await self._following(roots[-1], metadata)
            if following is None or len(roots) > _MOST_ANSWERS:
                return None
            found = await self._of_trace(following)
            roots.append(_traced(following))
            runs = [*runs, *found]
        return RunTree(
            roots=tuple(roots),
            runs=tuple(sorted(runs, key=lambda run: (run.started, len(run.parents)))),
            metadata=metadata,
        )

    async def _of_trace(self, root: Any) -> list[TracedRun]:
        """Return the runs of a trace that have ended."""
        query = {
            "project_ids": [self.project_id],
            "trace_id": str(root.id),
            "min_start_time": root.start_time,
            "selects": list(_FIELDS),
        }
        async with self._free:
            return [_traced(run) async for run in self._query(query) if run.end_time is not None]

    async def _following(self, root: TracedRun, metadata: Mapping[str, Any]) -> Any:
        """Return the trace that goes on where ``root`` was interrupted, None when none does."""
        key = next((key for key in CONVERSATIONS if metadata.get(key)), None)
        if key is None:
            return None
        thread = json.dumps(str(metadata[key]))
        query = {
            "project_ids": [self.project_id],
            "is_root": True,
            "filter": f'and(eq(metadata_key, "{key}"), eq(metadata_value, {thread}))',
            "min_start_time": root.ended,
            "selects": list(_FIELDS),
        }
        async with self._free:
            later = [run async for run in self._query(query) if run.end_time is not None]
        following = min(later, key=lambda run: _utc(run.start_time), default=None)
        return following if following is not None and _goes_on(following) else None

    async def _query(self, query: Mapping[str, Any]) -> AsyncIterator[Any]:
        page = await self.client.runs.query(**query)
        while True:
            for run in page.items or []:
                yield run
            if not page.has_next_page():
                return
            page = await page.get_next_page()

    def _references(self, roots: Sequence[Any]) -> dict[str, Example]:
        """Return the examples that runs were made on, by id."""
        ids = sorted({_reference_id(root) for root in roots} - {""})
        batches = [ids[at : at + _PAGE] for at in range(0, len(ids), _PAGE)]
        found = {}
        for example in chain.from_iterable(
            self.client.list_examples(example_ids=batch) for batch in batches
        ):
            known = example_of(
                example.inputs or {},
                example.outputs or {},
                example.metadata or {},
                example_id=str(example.id),
                where=f"example {example.id}",
            )
            if isinstance(known, Example):
                found[str(example.id)] = known
        return found


def _goes_on(run: Any) -> bool:
    """Return whether a root answers an interrupt: its input is a ``Command(resume=…)``."""
    command = (run.inputs or {}).get("input")
    return isinstance(command, Mapping) and command.get("resume") is not None


def _reference_id(run: Any) -> str:
    return str(run.reference_example_id or "")


def _with_reference(tree: RunTree, reference: Example | None) -> RunTree:
    return RunTree(roots=tree.roots, runs=tree.runs, metadata=tree.metadata, reference=reference)


def _traced(run: Any) -> TracedRun:
    return TracedRun(
        id=str(run.id),
        name=run.name or "",
        kind=str(run.run_type or "").lower(),
        inputs=run.inputs or {},
        outputs=run.outputs or {},
        error=run.error or None,
        metadata=run.metadata or {},
        started=_utc(run.start_time),
        ended=_utc(run.end_time),
        parents=tuple(map(str, run.parent_run_ids or ())),
        prompt_tokens=run.prompt_tokens,
        completion_tokens=run.completion_tokens,
    )


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
