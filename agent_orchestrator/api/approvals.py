"""Approvals: what waits, and a person's answer, under the name that their token is for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, create_model

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.approvals import ApprovalView
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.api.auth import Reader
from agent_orchestrator.api.idempotency import Once
from agent_orchestrator.api.ids import ApprovalId
from agent_orchestrator.api.modelops import as_json
from agent_orchestrator.api.services import Services, Wired

router = APIRouter(prefix="/approvals", tags=["approvals"])

_LONGEST_REASON = 2000


class Reason(BaseModel):
    """Why; it is recorded."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=_LONGEST_REASON)


class Answer(Reason):
    """A person's answer."""

    approve: bool


class Edit(Reason):
    """A change of what is asked for."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    changes: dict[str, Any] = Field(min_length=1)
    """Fields of the request; ``overrides.seed`` is a value in a mapping."""


class ShownApproval(ApprovalView):
    """An approval, for whoever looks at it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    may_answer: bool
    """Whether an answer of theirs would be taken now."""
    refusal: str | None
    """Why it would not; null where it would."""


class Approvals(BaseModel):
    """Several approvals."""

    approvals: list[ShownApproval]


def _done() -> Any:
    """Return the type of a use case's name beside its result, told apart by the name."""
    union: Any = None
    for use_case, spec in USE_CASES.items():
        if spec.changes:
            named: Any = Literal[use_case]
            model = create_model(
                f"{use_case.title().replace('_', '')}Done",
                __doc__=f"What ``{use_case}`` did.",
                use_case=(named, ...),
                result=(spec.result, ...),
            )
            union = model if union is None else union | model
    return Annotated[union, Field(discriminator="use_case")]


async def _shown(approval: ApprovalView, caller: Caller, services: Services) -> ShownApproval:
    refusal = await services.embedded.coordinator.refusal(approval.id, caller)
    return ShownApproval(**dict(approval), may_answer=refusal is None, refusal=refusal)


@router.get("", operation_id="list_approvals")
async def listed(
    caller: Reader,
    services: Wired,
    everything: Annotated[bool, Query(alias="all", description="Also what is over.")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Approvals:
    """List what waits, oldest first; all approvals newest first."""
    coordinator = services.embedded.coordinator
    if everything:
        found = await coordinator.recent_approvals(limit)
    else:
        found = (await coordinator.pending_approvals())[:limit]
    return Approvals(approvals=[await _shown(one, caller, services) for one in found])


@router.get("/{approval_id}", operation_id="get_approval")
async def get(approval_id: ApprovalId, caller: Reader, services: Wired) -> ShownApproval:
    """Show one approval: the whole request, its price, and what became of it."""
    approval = await services.embedded.coordinator.get_approval(approval_id)
    return await _shown(approval, caller, services)


@router.post("/{approval_id}/answer", operation_id="answer_approval", response_model=ApprovalView)
async def answer(
    approval_id: ApprovalId, given: Answer, caller: Reader, services: Wired, once: Once
) -> Response:
    """Approve or reject. Nothing is carried out yet: see ``resume``."""
    coordinator = services.embedded.coordinator

    async def answered() -> Response:
        approve, reason = given.approve, given.reason
        return as_json(
            await coordinator.answer(approval_id, caller, approve=approve, reason=reason)
        )

    return await once.answered(answered)


@router.post("/{approval_id}/edit", operation_id="edit_approval", response_model=ApprovalView)
async def edit(
    approval_id: ApprovalId, given: Edit, caller: Reader, services: Wired, once: Once
) -> Response:
    """Change what is asked for. It is priced anew and waits under a new id."""
    coordinator = services.embedded.coordinator

    async def edited() -> Response:
        reason = given.reason
        return as_json(await coordinator.edit(approval_id, given.changes, caller, reason=reason))

    return await once.answered(edited)


@router.post("/{approval_id}/cancel", operation_id="cancel_approval", response_model=ApprovalView)
async def cancel(
    approval_id: ApprovalId, given: Reason, caller: Reader, services: Wired, once: Once
) -> Response:
    """Take a request back, or an approval that nobody has used."""
    coordinator = services.embedded.coordinator

    async def cancelled() -> Response:
        return as_json(await coordinator.cancel(approval_id, caller, reason=given.reason))

    return await once.answered(cancelled)


@router.post("/{approval_id}/resume", operation_id="resume_approval", response_model=_done())
async def resume(approval_id: ApprovalId, caller: Reader, services: Wired, once: Once) -> Response:
    """Carry out what was approved, once; return what the use case returns."""
    coordinator = services.embedded.coordinator

    async def resumed() -> Response:
        approval = await coordinator.get_approval(approval_id)
        result = await coordinator.resume(approval_id, caller)
        return as_json(_Done(use_case=approval.use_case, result=result.model_dump(mode="json")))

    return await once.answered(resumed)


class _Done(BaseModel):
    use_case: str
    result: dict[str, Any]
