"""An approval as every door shows it: command line, chat, HTTP and MCP alike."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Result
from agent_orchestrator.domain.approvals import TOOL_CALL, Approval, ApprovalStatus, Subject


class ShownToolCall(Result):
    """An agent's call of a tool, as the person reads it whom it waits for."""

    agent: str
    server: str
    """The MCP server, as config/mcp-agent-tool-mapping.yaml names it."""
    tool: str
    """As the server names it."""
    arguments: dict[str, Any]
    """All that an edit may change."""
    thread_id: str
    """The conversation that waits: when it goes on it carries the call out; nothing else does."""


class ApprovalView(Result):
    """One approval, as it stands at the moment of looking. Times are seconds since the epoch."""

    id: str
    use_case: Subject
    request: dict[str, Any]
    """The whole request: what runs is this and nothing else."""
    tool_call: ShownToolCall | None
    """The call that it is about; null for a use case, which ``resume`` carries out."""
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
        call = approval.request if approval.use_case == TOOL_CALL else None
        shown = None if call is None else {name: call[name] for name in ShownToolCall.model_fields}
        return cls(**stored | {"status": approval.standing(now), "tool_call": shown})
