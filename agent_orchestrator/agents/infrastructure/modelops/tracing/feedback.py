"""Feedback that people and evaluators give in LangSmith, on its way to our verdicts.

Feedback on a traced request, or on a run whose metadata has its ``request_id``, becomes a judgement
on that request, as if it had been posted to the gateway. It counts once, as it was first given:
its source is ``langsmith:`` and its id. What we sent there ourselves does not come back.

Read is what was created since the last time, and a while before: runs and outcomes may arrive after
the feedback on them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.langsmith_client import (
    reading,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.langsmith_runs import (
    query_runs,
)
from agent_orchestrator.agents.infrastructure.modelops.tracing.export import SENT_BY
from agent_orchestrator.domain.outcomes import Feedback
from agent_orchestrator.errors import InputError, NotFoundError
from agent_orchestrator.stores.cursors import CursorStore
from agent_orchestrator.stores.outcomes import OutcomeStore

if TYPE_CHECKING:
    from langsmith import Client
    from langsmith.schemas import Feedback as Given

log = logging.getLogger(__name__)

_CURSOR: Final = "langsmith feedback"
_AGAIN: Final = timedelta(minutes=10)
"""How far back before the newest feedback is read again."""
_FIRST: Final = timedelta(days=7)
"""How far back is read at first."""
_OLDEST_RUN: Final = timedelta(days=30)
"""How long after a run feedback on it is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackSource:
    """Where feedback is given."""

    project: str
    keys: Sequence[str]
    """The keys of feedback that judge an answer's quality, 0 bad to 1 good."""
    connect: Callable[[], Client]


class FeedbackPull:
    """Appends the feedback of a LangSmith project to that on our requests.

    Idempotent: an interrupted or repeated pull adds nothing twice. One process at a time.
    """

    def __init__(
        self,
        source: FeedbackSource,
        outcomes: OutcomeStore,
        cursors: CursorStore,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._outcomes = outcomes
        self._cursors = cursors
        self._clock = clock
        self._client: Client | None = None
        self._settled: set[UUID] = set()
        """Feedback of the time that is read again, of which nothing more can come."""

    def tick(self) -> None:
        """Pull what is new. Raises UpstreamError, SettingsError for a refused key, StorageError."""
        client = self._client = self._client or self._source.connect()
        with reading(f"feedback of project {self._source.project!r}"):
            project = next(client.list_projects(name=self._source.project, limit=1), None)
            if project is None:
                return  # nothing was traced yet
            given = [one for one in self._given(client, str(project.id)) if _is_foreign(one)]
            self._append(client, str(project.id), given)
        self._settled &= {one.id for one in given}
        if given:
            self._cursors.set(_CURSOR, max(_created(one) for one in given).isoformat())

    def _given(self, client: Client, project: str) -> Iterable[Given]:
        return client.list_feedback(
            feedback_key=self._source.keys,
            session=[project],
            has_score=True,
            min_created_at=self._since().isoformat(),
        )

    def _since(self) -> datetime:
        newest = self._cursors.get(_CURSOR)
        if newest is None:
            return datetime.fromtimestamp(self._clock(), UTC) - _FIRST
        return datetime.fromisoformat(newest) - _AGAIN

    def _append(self, client: Client, project: str, given: Sequence[Given]) -> None:
        """Add judgements; by the run's own id, which is most requests', else by what it says."""
        new = [(one, str(one.run_id)) for one in given if one.id not in self._settled]
        unknown = self._judge(new)
        asked = _request_ids(client, project, unknown) if unknown else {}
        self._judge([(one, asked[one.run_id]) for one in unknown if one.run_id in asked])

    def _judge(self, given: Sequence[tuple[Given, str]]) -> list[Given]:
        """Add judgements on requests; return those whose request nobody knows."""
        refused = self._outcomes.add_feedback_many(
            [_feedback(one, request_id) for one, request_id in given]
        )
        unknown = []
        for (one, request_id), fault in zip(given, refused, strict=True):
            if isinstance(fault, NotFoundError):
                unknown.append(one)
                continue
            self._settled.add(one.id)
            if isinstance(fault, InputError):
                log.warning("Feedback %s of LangSmith on %s: %s", one.id, request_id, fault)
        return unknown


def _feedback(given: Given, request_id: str) -> Feedback:
    return Feedback(
        request_id=request_id,
        score=float(given.score or 0.0),
        source=f"langsmith:{given.id}",
        at=_created(given).timestamp(),
    )


def _created(given: Given) -> datetime:
    """Return when it was created; LangSmith's times without a zone are UTC."""
    at = given.created_at
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _is_foreign(given: Given) -> bool:
    """Return whether somebody else judged a run."""
    source = given.feedback_source
    ours = source is not None and (source.metadata or {}).get(SENT_BY) is not None
    return given.run_id is not None and given.score is not None and not ours


def _request_ids(
    client: Client, project: str, judged: Sequence[Given]
) -> Mapping[UUID | None, str]:
    """Return run → the request that its metadata names."""
    query = {
        "project_ids": [project],
        "ids": sorted({str(one.run_id) for one in judged}),
        "selects": ["ID", "METADATA"],
        "min_start_time": min(_created(one) for one in judged) - _OLDEST_RUN,
    }
    named = ((run.id, (run.metadata or {}).get("request_id")) for run in query_runs(client, query))
    return {UUID(str(run)): request for run, request in named if isinstance(request, str)}
