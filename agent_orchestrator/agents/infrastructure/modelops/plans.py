"""A changing use case before it is carried out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import PlannedChange, Result
from agent_orchestrator.errors import ChefError

Act = Callable[[str | None], Awaitable[Result]]
"""Carries a plan out; the argument is the approval's id, None when none was needed."""


def in_thread(act: Callable[..., Result], *arguments: Any) -> Act:
    """Return what calls ``act``, which blocks, with these arguments and the approval's id."""

    async def run(approval_id: str | None) -> Result:
        return await anyio.to_thread.run_sync(partial(act, *arguments, approval_id))

    return run


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would happen, what it costs, and how to do it. Making one changes nothing."""

    summary: str
    """One line for the person who approves."""
    act: Act
    cost_usd: float = 0.0
    per_hour: bool = False
    """Whether ``cost_usd`` is the price of every hour from then on."""
    minutes: float | None = None
    """How long a job would take; None where that cannot be told."""
    changes_serving: bool = False
    """Whether it changes what serves: that always needs an approval."""
    resolved: Mapping[str, Any] = field(default_factory=dict)
    """What the request leaves open, as it stands now (the newest version, the next step, the
    configured policy …), JSON. An approval covers only this."""
    details: dict[str, Any] = field(default_factory=dict)
    """JSON, shown beside the summary."""
    afterwards: str | None = None
    """What would usually come next, at its price."""
    objection: ChefError | None = None
    """Why it is not carried out as it stands: a dry run says so, all else raises it."""

    def preview(self, approval_needed: bool) -> PlannedChange:
        """Return what a dry run answers."""
        return PlannedChange(
            summary=self.summary,
            estimated_cost_usd=self.cost_usd,
            cost_is_per_hour=self.per_hour,
            estimated_minutes=self.minutes,
            approval_needed=approval_needed,
            afterwards=self.afterwards,
            objection=str(self.objection) if self.objection else None,
            details=self.details,
        )
