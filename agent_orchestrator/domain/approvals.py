"""Approvals: a person's consent to exactly one request at no more than one price. Fails closed.

A request may leave things open (the newest version, the next step, the configured policy). What
they mean is resolved when the approval is asked for, and is part of what it covers: an approval of
"deploy the newest version" does not deploy one that was registered since.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from agent_orchestrator.domain.use_cases import UseCase
from agent_orchestrator.errors import ApprovalDenied, InputError

ApprovalStatus = Literal[
    "pending", "approved", "rejected", "consumed", "edited", "cancelled", "expired"
]
"""Only ``pending`` and ``approved`` can become anything else."""

CLOCK_SLACK_SECONDS: Final = 300.0
"""How far the clocks of machines that share approvals may lie apart."""

_ByName = Literal[
    "export_dataset",
    "deploy_space",
    "pause_space",
    "restart_space",
    "score_runs",
]
UseCaseName = UseCase | _ByName
"""Every use case: those that a sentence can mean, and those that are asked for by name only."""

ToolCallName = Literal["agent_tool_call"]
TOOL_CALL: Final[ToolCallName] = "agent_tool_call"
"""An agent's call of a tool that changes something outside its workspace."""

Subject = UseCaseName | ToolCallName
"""What an approval can be about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One approval. Times are seconds since the epoch."""

    id: str
    use_case: Subject
    request: Mapping[str, Any]
    """The whole request, JSON."""
    request_hash: str
    """``canonical_hash`` of use case, request and what it was resolved to."""
    summary: str
    """What the approver reads."""
    price_ceiling_usd: float
    """The request may cost this much at most, dollars."""
    requester: str
    created_at: float
    expires_at: float
    status: ApprovalStatus = "pending"
    approver: str | None = None
    reason: str = ""
    answered_at: float | None = None
    consumed_at: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    """JSON, shown beside the summary."""
    editors: tuple[str, ...] = ()
    """Who changed the request that ``requester`` made, first to last."""
    edited_from: str | None = None
    """The approval in whose place this one stands."""
    replaced_by: str | None = None
    """The approval that stands in its place, once it is ``edited``."""

    @property
    def authors(self) -> tuple[str, ...]:
        """Everybody who had a hand in what is asked for."""
        return (self.requester, *self.editors)

    def standing(self, now: float) -> ApprovalStatus:
        """Return the status at a time: what waits is void once it has expired."""
        lapsed = self.status in ("pending", "approved") and now >= self.expires_at
        return "expired" if lapsed else self.status


def same_person(one: str, other: str) -> bool:
    """Return whether two names are one person's, however a door writes them."""
    first, second = (unicodedata.normalize("NFKC", n).casefold().strip() for n in (one, other))
    return first == second


def one_line(text: str) -> str:
    """Return what a text says on one line, without the characters that play tricks on a screen.

    Line breaks, escape sequences and changes of the writing direction in a name or a reason could
    show an approver something else than is asked for.
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def canonical_hash(
    use_case: str, request: Mapping[str, Any], resolved: Mapping[str, Any] | None = None
) -> str:
    """Return the SHA-256, in hex, of a use case, its whole request and what that was resolved to.

    The order of keys does not matter. Raises InputError for what JSON cannot say (nan, infinity).
    """
    try:
        text = json.dumps(
            [use_case, dict(request), dict(resolved or {})],
            sort_keys=True,
            separators=(",", ":"),
            allow_nan=False,
        )
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The request cannot be written as JSON: {error}.",
            remedy="Use finite numbers, texts, lists and mappings.",
        ) from None
    return hashlib.sha256(text.encode()).hexdigest()


def check_pending(approval: Approval, who: str, now: float) -> None:
    """Raise ApprovalDenied unless the approval waits for an answer, and somebody gives it."""
    _check_standing(approval, ("pending",), now)
    if not who.strip():
        raise ApprovalDenied(
            f"Nobody answers approval {approval.id}.", remedy="Sign in as an approver."
        )


def check_answerable(
    approval: Approval, approver: str, now: float, *, requester_may_approve: bool
) -> None:
    """Raise ApprovalDenied unless ``approver`` may answer now.

    Whoever edited a request is an author of it, as the requester is: where the requester may not
    approve, two people have to agree to what is done.
    """
    check_pending(approval, approver, now)
    if requester_may_approve:
        return
    if same_person(approver, approval.requester):
        raise ApprovalDenied(
            f"{approver!r} asked for {approval.id} and may not answer it.",
            remedy="Somebody else has to.",
        )
    if any(same_person(approver, editor) for editor in approval.editors):
        raise ApprovalDenied(
            f"{approver!r} edited {approval.id} and may not answer it.",
            remedy="Somebody else has to.",
        )


def check_cancellable(approval: Approval, who: str, now: float, *, administers: bool) -> None:
    """Raise ApprovalDenied unless ``who`` may take the request, or a given approval, back now.

    Its authors may, who approved it, and administrators.
    """
    _check_standing(approval, ("pending", "approved"), now)
    if not (administers or _is_concerned(approval, who)):
        raise ApprovalDenied(
            f"{who!r} did not ask for {approval.id} and may not cancel it.",
            remedy=f"{approval.requester!r} may, and whoever approves may reject it.",
        )


def check_usable(
    approval: Approval,
    *,
    who: str,
    use_case: str,
    request_hash: str,
    price_usd: float,
    now: float,
) -> None:
    """Raise ApprovalDenied unless it covers this request of this person at this price, now.

    Who asked for it may use it, who edited it, and who approved it.
    """
    _check_standing(approval, ("approved",), now)
    if approval.use_case != use_case or approval.request_hash != request_hash:
        raise ApprovalDenied(
            f"Approval {approval.id} was given for another request.", remedy="Ask for this one."
        )
    if not _is_concerned(approval, who):
        raise ApprovalDenied(
            f"Approval {approval.id} was given to {approval.requester!r}, not to {who!r}.",
            remedy="Ask for one of your own.",
        )
    if not price_usd <= approval.price_ceiling_usd:
        raise ApprovalDenied(
            f"Approval {approval.id} covers ${approval.price_ceiling_usd:.2f}, the request costs "
            f"${price_usd:.2f} now.",
            remedy="Ask again at the new price.",
        )


def _is_concerned(approval: Approval, who: str) -> bool:
    concerned = (*approval.authors, *([approval.approver] if approval.approver else []))
    return any(same_person(who, name) for name in concerned)


def _check_standing(approval: Approval, wanted: tuple[ApprovalStatus, ...], now: float) -> None:
    """Raise ApprovalDenied unless the approval stands so at a time that can be right."""
    status = approval.standing(now)
    if status == "expired":
        raise ApprovalDenied(f"Approval {approval.id} has expired.", remedy="Ask again.")
    if now < max(approval.created_at, approval.answered_at or 0.0) - CLOCK_SLACK_SECONDS:
        raise ApprovalDenied(
            f"The clock stands before the time of approval {approval.id}.",
            remedy="Set the clock of this machine, then try again.",
        )
    if status in wanted:
        return
    if approval.replaced_by is not None:
        raise ApprovalDenied(
            f"Approval {approval.id} was edited: {approval.replaced_by} stands in its place.",
            remedy=f"See what took its place (`chef approvals show {approval.replaced_by}`).",
        )
    if status == "pending":
        raise ApprovalDenied(
            f"Approval {approval.id} is pending, not approved.",
            remedy=f"An approver answers it, at any door (`chef approve {approval.id}`).",
        )
    already = " already" if wanted == ("pending",) else ""
    raise ApprovalDenied(f"Approval {approval.id} is {status}{already}.", remedy="Ask again.")
