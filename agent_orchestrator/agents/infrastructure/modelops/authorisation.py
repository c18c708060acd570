"""Who may do what: an approval is needed for spending and for every change of what serves."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.usecases import ChangingRequest
from agent_orchestrator.domain.approvals import Approval, canonical_hash
from agent_orchestrator.domain.intents import UseCase
from agent_orchestrator.errors import ApprovalRequired
from agent_orchestrator.stores.approvals import ApprovalStore
from agent_orchestrator.stores.audit import AuditLog

APPROVAL_LIFETIME_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, authenticated by the door."""

    name: str
    """In the embedded mode the operating-system user."""
    door: str
    """cli, chat, http, mcp …"""


class Authorisation:
    """Asks for approvals and spends them. Fails closed: without a valid approval nothing runs."""

    def __init__(
        self,
        approvals: ApprovalStore,
        audit: AuditLog,
        *,
        approval_above_usd: float,
        requester_may_approve: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._approvals = approvals
        self._audit = audit
        self._approval_above_usd = approval_above_usd
        self._requester_may_approve = requester_may_approve
        self._clock = clock

    def needed(self, plan: Plan) -> bool:
        """Return whether a person must approve the plan."""
        return plan.changes_serving or plan.cost_usd > self._approval_above_usd

    def require(
        self,
        use_case: UseCase,
        request: ChangingRequest,
        plan: Plan,
        caller: Caller,
        approval_id: str | None,
    ) -> str | None:
        """Return the id of the approval that was spent on the request, None when none is needed.

        Raises ApprovalRequired with a new pending approval when none was given, ApprovalDenied when
        the given one does not cover exactly this request at this price, now.
        """
        if not self.needed(plan):
            return None
        body = request.model_dump(mode="json")
        now = self._clock()
        if approval_id is not None:
            digest = canonical_hash(use_case, body)
            self._approvals.consume(approval_id, use_case, digest, plan.cost_usd, now)
            self._audit.append(now, caller.name, "approval_spent", approval_id, {})
            return approval_id
        approval = Approval(
            id=f"ap_{secrets.token_hex(6)}",
            use_case=use_case,
            request=body,
            request_hash=canonical_hash(use_case, body),
            summary=plan.summary,
            price_ceiling_usd=plan.cost_usd,
            requester=caller.name,
            created_at=now,
            expires_at=now + APPROVAL_LIFETIME_SECONDS,
        )
        self._approvals.create(approval)
        self._audit.append(
            now, caller.name, "approval_asked", approval.id, {"summary": plan.summary}
        )
        raise ApprovalRequired(
            approval.id,
            f"Needs approval {approval.id}: {plan.summary}",
            remedy=f"Approve with `chef approve {approval.id}`.",
        )

    def answer(self, approval_id: str, caller: Caller, *, approve: bool, reason: str) -> Approval:
        """Record a person's answer to a pending approval.

        Raises NotFoundError, or ApprovalDenied when it is not pending any more, has expired, or
        the requester may not answer.
        """
        now = self._clock()
        approval = self._approvals.answer(
            approval_id,
            approve=approve,
            approver=caller.name,
            reason=reason,
            now=now,
            requester_may_approve=self._requester_may_approve,
        )
        verb = "approved" if approve else "rejected"
        self._audit.append(now, caller.name, verb, approval_id, {"reason": reason})
        return approval

    def get(self, approval_id: str) -> Approval:
        """Return an approval; NotFoundError when there is none of that id."""
        return self._approvals.get(approval_id)

    def pending(self) -> list[Approval]:
        """Return the approvals that wait for an answer, oldest first."""
        return self._approvals.pending(self._clock())
