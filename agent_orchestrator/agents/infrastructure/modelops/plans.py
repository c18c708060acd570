"""A changing use case before it is carried out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import PlannedChange, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would happen, what it costs, and how to do it. Making one changes nothing."""

    summary: str
    """One line for the person who approves."""
    act: Callable[[str | None], Awaitable[Result]]
    """Carry it out; the argument is the approval's id, None when none was needed."""
    cost_usd: float = 0.0
    changes_serving: bool = False
    """Whether it changes what serves: that always needs an approval."""
    resolved: Mapping[str, Any] = field(default_factory=dict)
    """What the request leaves open, as it stands now (the newest version, the next step, the
    configured policy …), JSON. An approval covers only this."""
    details: dict[str, Any] = field(default_factory=dict)
    """JSON, shown beside the summary."""

    def preview(self, approval_needed: bool) -> PlannedChange:
        """Return what a dry run answers."""
        return PlannedChange(
            summary=self.summary,
            estimated_cost_usd=self.cost_usd,
            approval_needed=approval_needed,
            details=self.details,
        )
