"""Examples from traced runs: the roots of a LangSmith project, page by page.

What the filters say is asked of the service as far as it can be, and checked again by the reader.
A run's metadata become the example's, with ``success`` (it ended without an error),
``feedback_score`` and ``hitl_approved`` (means of its feedback), ``created_at`` and ``tags``. The
runs of one conversation are one group, so that none is parted by the split.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from langsmith import Client

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
from agent_orchestrator.agents.infrastructure.modelops.usecases.filters import Filters
from agent_orchestrator.errors import DatasetError

T = TypeVar("T")
_PAGE: Final = 100
_APPROVED: Final = "hitl_approved"
_HALF: Final = 0.5
#: Metadata that names a conversation, in the order in which they count.
CONVERSATIONS: Final = ("thread_id", "session_id", "conversation_id")
_FIELDS: Final = (
    *("ID", "INPUTS", "OUTPUTS", "METADATA", "STATUS", "ERROR"),
    *("START_TIME", "TAGS", "FEEDBACK_STATS"),
)


class LangSmithRuns:
    """``langsmith-runs:<project>``."""

    def __init__(
        self,
        connect: Connect,
        *,
        feedback_keys: Sequence[str],
        since: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``feedback_keys``: the first that a run has is its score. ``since``: how far back."""
        self._connect = connect
        self._feedback_keys = feedback_keys
        self._since = since
        self._now = now

    def open(self, project: str, wanted: Wanted) -> Source:
        """Open a project. Raises DatasetError when there is none, SettingsError, UpstreamError."""
        if not project:
            raise DatasetError(
                "Source 'langsmith-runs' needs a project.", remedy="Write langsmith-runs:<project>."
            )
        client, project_id = self.find(project)
        origin = f"runs of LangSmith project {project}"
        return Source(slug(project), origin, self._examples(client, project_id, wanted.filters))

    def find(self, project: str) -> tuple[Client, str]:
        """Return a client and a project's id. Raises as ``open``."""
        client = self._connect()
        with reading(f"project {project!r}"):
            return client, str(client.read_project(project_name=project).id)

    def _examples(
        self, client: Client, project_id: str, filters: Filters
    ) -> Iterator[Example | BadRow]:
        for run in query_runs(client, self.query(project_id, filters)):
            yield example_of(
                run.inputs or {},
                run.outputs or {},
                self.metadata(run),
                example_id=str(run.id),
                where=f"run {run.id}",
            )

    def query(self, project_id: str, filters: Filters) -> dict[str, Any]:
        """Return how to ask for root runs; the service would look at the last day by default."""
        conditions = [f"has(tags, {json.dumps(tag)})" for tag in filters.tags]
        if filters.feedback_score is not None:
            rated = [
                f"and(eq(feedback_key, {json.dumps(key)}), "
                f"gte(feedback_score, {filters.feedback_score}))"
                for key in self._feedback_keys
            ]
            conditions.append(rated[0] if len(rated) == 1 else f"or({', '.join(rated)})")
        query: dict[str, Any] = {
            "project_ids": [project_id],
            "is_root": True,
            "selects": list(_FIELDS),
            "page_size": _PAGE,
            "min_start_time": filters.since or self._now() - self._since,
        }
        if filters.until is not None:
            query["max_start_time"] = filters.until
        if conditions:
            joined = ", ".join(conditions)
            query["filter"] = conditions[0] if len(conditions) == 1 else f"and({joined})"
        return query

    def metadata(self, run: Any) -> dict[str, Any]:
        """Return a run's metadata, with what else is known of it under the filters' names."""
        own = dict(run.metadata or {})
        means = {key: stats.avg for key, stats in (run.feedback_stats or {}).items()}
        known: dict[str, Any] = {"success": run.error is None}
        score = next((means[k] for k in self._feedback_keys if means.get(k) is not None), None)
        if score is not None:
            known["feedback_score"] = score
        if means.get(_APPROVED) is not None:
            known[_APPROVED] = means[_APPROVED] >= _HALF
        if run.start_time is not None:
            known["created_at"] = _moment(run.start_time)
        if run.tags:
            known["tags"] = list(run.tags)
        conversation = next((str(own[k]) for k in CONVERSATIONS if own.get(k)), None)
        if conversation is not None:
            known["group"] = conversation
        return {**known, **_plain(own)}


def _moment(at: object) -> str:
    return at.isoformat() if isinstance(at, datetime) else str(at)


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that JSON can hold."""
    return {k: v for k, v in metadata.items() if isinstance(v, str | int | float | bool | list)}


def query_runs(client: Client, query: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the runs of a query; the client asks for them asynchronously only."""
    with asyncio.Runner() as loop, reading("runs"):
        api = client.runs
        try:
            page = loop.run(_awaited(api.query(**query)))
            while True:
                yield from page.items or []
                if not page.has_next_page():
                    return
                page = loop.run(page.get_next_page())
        finally:
            loop.run(api._client.close())  # noqa: SLF001 - its connections are this loop's


async def _awaited(paginator: Any) -> Any:
    return await paginator
