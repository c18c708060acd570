"""An approval as every door shows it: command line, chat, HTTP and MCP alike."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Result
from agent_orchestrator.domain.approvals import Approval, ApprovalStatus, UseCaseName


class ApprovalView(Result):
    """One approval, as it stands at the moment of looking. Times are seconds since the epoch."""

    id: str
    use_case: UseCaseName
    request: dict[str, Any]
    """The whole request: what runs is this and nothing else."""
    request_hash: str
    """SHA-256 of use case, request and what the request leaves open as it stood when asked for."""
    summary: str
    """One line: what would happen."""
    details: dict[str, Any]
    """What belongs to the summary, as a dry run shows it."""
    price_ceiling_usd: float
    """What it costs, and may cost at most."""
    requester: str
    editors: tuple[str, ...]
    """Who changed the request since, first to last."""
    status: ApprovalStatus
    """``expired`` also for one that nobody has touched since."""
    created_at: float
    expires_at: float
    approver: str | None
    """Who approved, rejected or edited it."""
    reason: str
    """The last thing that was said about it."""
    answered_at: float | None
    consumed_at: float | None
    """When it was spent; an approval can be spent once."""
    edited_from: str | None
    """The approval in whose place this one stands."""
    replaced_by: str | None
    """The approval that stands in its place: it was edited."""

    @classmethod
    def of(cls, approval: Approval, now: float) -> ApprovalView:
        """Return the view of an approval at a time."""
        stored = {field.name: getattr(approval, field.name) for field in fields(approval)}
        return cls(**stored | {"status": approval.standing(now)})
