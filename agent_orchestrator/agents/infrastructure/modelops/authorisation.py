"""Who may do what: an approval is needed for spending and for every change of what serves."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.usecases.approvals import ApprovalView
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Request
from agent_orchestrator.domain.approvals import (
    Approval,
    Subject,
    canonical_hash,
    check_answerable,
    check_pending,
    one_line,
)
from agent_orchestrator.domain.roles import Action, Role, may, roles_that_may
from agent_orchestrator.errors import (
    ApprovalDenied,
    ApprovalRequired,
    ChefError,
    FailedError,
    Forbidden,
    InputError,
)
from agent_orchestrator.stores.approvals import ApprovalStore
from agent_orchestrator.stores.audit import AuditLog

APPROVAL_LIFETIME_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, authenticated by the door."""

    name: str
    """In the embedded mode the operating-system user."""
    door: str
    """cli, chat, http, mcp …; recorded with every approval."""
    role: Role = "viewer"
    """What they may do; a door that does not say so lets them look only."""


def check_role(caller: Caller, *actions: Action) -> None:
    """Raise Forbidden unless the caller has a name, and a role that allows one of the actions."""
    if not caller.name.strip():
        raise Forbidden("Nobody is signed in.", remedy="Come through a door that knows you.")
    if any(may(caller.role, action) for action in actions):
        return
    who = " or ".join(dict.fromkeys(role for a in actions for role in roles_that_may(a)))
    raise Forbidden(
        f"{caller.name!r} is {caller.role!r} here and may not {' or '.join(actions)}.",
        remedy=f"Ask somebody who is {who}.",
    )


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
        """Return whether a person must approve the plan; so also when its price is not a number."""
        return plan.changes_serving or not plan.cost_usd <= self._approval_above_usd

    def require(
        self,
        use_case: Subject,
        request: Request,
        plan: Plan,
        caller: Caller,
        approval_id: str | None,
    ) -> str | None:
        """Return the id of the approval that was spent on the request, None when none is needed.

        An approval that is given is always spent, also where none would be needed by now. Raises
        ApprovalRequired with a new pending approval when none was given, ApprovalDenied or
        NotFoundError when the given one does not cover exactly this request, resolved to the same
        and at this price, now; what stands against the plan; InputError for a request that JSON
        cannot hold, FailedError for a price that is no amount of money.
        """
        _check(plan)
        if approval_id is not None:
            self.spend(use_case, request, plan, caller, approval_id)
            return approval_id
        if not self.needed(plan):
            return None
        approval = self.ask(use_case, request, plan, caller)
        raise ApprovalRequired(
            approval.id,
            f"Needs approval {approval.id}: {approval.summary}",
            remedy=f"An approver answers it, at any door (`chef approve {approval.id}`).",
        )

    def ask(self, use_case: Subject, request: Request, plan: Plan, caller: Caller) -> Approval:
        """Return a new approval that waits. Raises InputError for what JSON cannot hold."""
        approval = self._asked(use_case, request, plan, caller.name)
        self._approvals.create(approval)
        self._write_down(caller, "approval_asked", approval.id, {"summary": approval.summary})
        return approval

    def _asked(self, use_case: Subject, request: Request, plan: Plan, requester: str) -> Approval:
        now = self._clock()
        body = _as_json(request)
        return Approval(
            id=f"ap_{secrets.token_hex(6)}",
            use_case=use_case,
            request=body,
            request_hash=canonical_hash(use_case, body, plan.resolved),
            summary=one_line(plan.summary),
            price_ceiling_usd=plan.cost_usd,
            requester=requester,
            created_at=now,
            expires_at=now + APPROVAL_LIFETIME_SECONDS,
            details=plan.details,
        )

    def spend(
        self,
        use_case: Subject,
        request: Request,
        plan: Plan,
        caller: Caller,
        approval_id: str,
    ) -> None:
        """Spend an approval on exactly this request. Raises NotFoundError, ApprovalDenied."""
        body = _as_json(request)
        digest = canonical_hash(use_case, body, plan.resolved)
        given = self._approvals.get(approval_id)
        same_words = canonical_hash(given.use_case, given.request) == canonical_hash(use_case, body)
        if given.status == "approved" and same_words and given.request_hash != digest:
            raise ApprovalDenied(
                f"Approval {approval_id} was given for: {given.summary} "
                f"The same request means by now: {one_line(plan.summary)}",
                remedy="Ask again.",
            )
        self._approvals.consume(
            approval_id,
            by=caller.name,
            use_case=use_case,
            request_hash=digest,
            price_usd=plan.cost_usd,
            now=self._clock(),
        )
        self._write_down(caller, "approval_spent", approval_id, {"summary": plan.summary})

    def record_failure(self, approval_id: str, error: ChefError, caller: Caller) -> None:
        """Write down that what an approval was spent on did not work."""
        self._write_down(caller, "approved_action_failed", approval_id, {"error": error.message})

    def answer(self, approval_id: str, caller: Caller, *, approve: bool, reason: str) -> Approval:
        """Record a person's answer to a pending approval.

        Raises NotFoundError, or ApprovalDenied when it is not pending any more, has expired, or
        one of its authors may not answer.
        """
        approval = self._approvals.answer(
            approval_id,
            approve=approve,
            approver=caller.name,
            reason=reason,
            now=self._clock(),
            requester_may_approve=self._requester_may_approve,
        )
        verb = "approved" if approve else "rejected"
        self._write_down(caller, verb, approval_id, {"reason": reason})
        return approval

    def refusal(self, approval_id: str, caller: Caller) -> str | None:
        """Return why ``answer`` would not take an answer of this caller now; None where it would.

        Raises NotFoundError.
        """
        approval = self._approvals.get(approval_id)
        try:
            check_role(caller, "approve")
            check_answerable(
                approval,
                caller.name,
                self._clock(),
                requester_may_approve=self._requester_may_approve,
            )
        except (ApprovalDenied, Forbidden) as error:
            return str(error)
        return None

    def check_editable(self, approval: Approval, caller: Caller) -> None:
        """Raise ApprovalDenied unless the caller may edit what is asked for now."""
        check_pending(approval, caller.name, self._clock())

    def edit(
        self,
        approval: Approval,
        request: Request,
        plan: Plan,
        caller: Caller,
        *,
        reason: str,
    ) -> Approval:
        """Put an approval of the edited request in the place of one that waits; it waits, too.

        It stays the requester's, with the caller as another author. Raises what ``require`` raises
        for a request or a price, ApprovalDenied when it is not pending any more or has expired.
        """
        _check(plan)
        asked = self._asked(approval.use_case, request, plan, approval.requester)
        successor = self._approvals.replace(
            approval.id,
            replace(asked, editors=(*approval.editors, caller.name), edited_from=approval.id),
            editor=caller.name,
            reason=reason,
        )
        detail = {"reason": reason, "replaced_by": successor.id, "summary": successor.summary}
        self._write_down(caller, "approval_edited", approval.id, detail)
        return successor

    def cancel(self, approval_id: str, caller: Caller, *, reason: str) -> Approval:
        """Take a request, or an approval that was given, back.

        Raises NotFoundError, or ApprovalDenied when it is over, or none of the caller's business.
        """
        cancelled = self._approvals.cancel(
            approval_id,
            by=caller.name,
            administers=may(caller.role, "administer"),
            reason=reason,
            now=self._clock(),
        )
        self._write_down(caller, "approval_cancelled", approval_id, {"reason": reason})
        return cancelled

    def get(self, approval_id: str) -> Approval:
        """Return an approval; NotFoundError when there is none of that id."""
        return self._approvals.get(approval_id)

    def pending(self) -> list[Approval]:
        """Return the approvals that wait for an answer, oldest first."""
        return self._approvals.pending(self._clock())

    def recent(self, limit: int) -> list[Approval]:
        """Return the newest approvals, however they ended, newest first."""
        return self._approvals.recent(limit)

    def view(self, approval: Approval) -> ApprovalView:
        """Return an approval as every door shows it, now."""
        return ApprovalView.of(approval, self._clock())

    def _write_down(
        self, caller: Caller, action: str, approval_id: str, detail: Mapping[str, Any]
    ) -> None:
        self._audit.append(
            self._clock(), caller.name, action, approval_id, {**detail, "door": caller.door}
        )


def _check(plan: Plan) -> None:
    """Raise what stands against the plan, FailedError for a price that is no amount of money."""
    if plan.objection is not None:
        raise plan.objection
    if not (math.isfinite(plan.cost_usd) and plan.cost_usd >= 0):
        raise FailedError(
            f"The price of this comes out as {plan.cost_usd!r}: {plan.summary}",
            remedy="Check prices and sizes in config/modelops/training_defaults.yaml.",
        )


def _as_json(request: Request) -> dict[str, Any]:
    """Return the request as it is kept and hashed. Raises InputError when JSON changes it."""
    body = request.model_dump(mode="json")
    if type(request).model_validate(body) != request:  # nan, a date …: null or text in JSON
        raise InputError(
            f"The request cannot be kept until it is approved: {request!r}.",
            remedy="Use finite numbers, texts, lists and mappings.",
        )
    return body
