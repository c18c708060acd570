"""Approvals: a person's consent to exactly one request at no more than one price. Fails closed.

A request may leave things open (the newest version, the next step, the configured policy). What
they mean is resolved when the approval is asked for, and is part of what it covers: an approval of
"deploy the newest version" does not deploy one that was registered since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agent_orchestrator.domain.use_cases import UseCase
from agent_orchestrator.errors import ApprovalDenied, InputError

ApprovalStatus = Literal["pending", "approved", "rejected", "consumed"]
"""One that has expired keeps its status: the time of every use decides."""

_ByName = Literal[
    "check_dataset",
    "show_dataset",
    "list_datasets",
    "export_dataset",
    "resume_training_job",
    "list_costs",
    "search_hyperparameters",
    "list_endpoints",
    "endpoint_status",
    "wake_endpoint",
    "sleep_endpoint",
    "deploy_space",
    "space_status",
    "pause_space",
    "restart_space",
    "run_experiment",
    "score_runs",
]
UseCaseName = UseCase | _ByName
"""Every use case: those that a sentence can mean, and those that are asked for by name only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One approval. Times are seconds since the epoch."""

    id: str
    use_case: UseCaseName
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


def check_answerable(
    approval: Approval, approver: str, now: float, *, requester_may_approve: bool
) -> None:
    """Raise ApprovalDenied unless ``approver`` may answer now."""
    if approval.status != "pending":
        raise ApprovalDenied(
            f"Approval {approval.id} is {approval.status} already.", remedy="Ask again."
        )
    if now >= approval.expires_at:
        raise ApprovalDenied(f"Approval {approval.id} has expired.", remedy="Ask again.")
    if not approver.strip():
        raise ApprovalDenied(
            f"Nobody answers approval {approval.id}.", remedy="Sign in as an approver."
        )
    if approver == approval.requester and not requester_may_approve:
        raise ApprovalDenied(
            f"{approver!r} asked for {approval.id} and may not answer it.",
            remedy="Somebody else has to.",
        )


def check_usable(
    approval: Approval, use_case: str, request_hash: str, price_usd: float, now: float
) -> None:
    """Raise ApprovalDenied unless the approval covers this request at this price, now."""
    if approval.status != "approved":
        raise ApprovalDenied(
            f"Approval {approval.id} is {approval.status}, not approved.",
            remedy=f"Approve it with `chef approve {approval.id}`."
            if approval.status == "pending"
            else "Ask again.",
        )
    if now >= approval.expires_at:
        raise ApprovalDenied(f"Approval {approval.id} has expired.", remedy="Ask again.")
    if approval.use_case != use_case or approval.request_hash != request_hash:
        raise ApprovalDenied(
            f"Approval {approval.id} was given for another request.", remedy="Ask for this one."
        )
    if not price_usd <= approval.price_ceiling_usd:
        raise ApprovalDenied(
            f"Approval {approval.id} covers ${approval.price_ceiling_usd:.2f}, the request costs "
            f"${price_usd:.2f} now.",
            remedy="Ask again at the new price.",
        )
