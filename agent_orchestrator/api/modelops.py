"""``POST /modelops/<use case>``: every use case, made from the list that all doors are made from.

====  ==============================================================================
200   the result; of a dry run what would happen (``PlannedChange``)
202   a person has to approve first: ``POST /approvals/{id}/answer``, then ``…/resume``
====  ==============================================================================
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from agent_orchestrator.agents.infrastructure.modelops.usecases.approvals import ApprovalView
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import (
    PlannedChange,
    Request,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.api.auth import Reader
from agent_orchestrator.api.services import Wired
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.errors import ApprovalRequired


class WaitsForApproval(BaseModel):
    """Nothing has been done yet: a person has to approve."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    approval_id: str
    detail: str
    """One line for a person: what waits, and at what price."""
    approval: ApprovalView


def router() -> APIRouter:
    """Return a route for each use case."""
    made = APIRouter(prefix="/modelops", tags=["modelops"])
    for use_case, spec in USE_CASES.items():
        result: Any = spec.result | PlannedChange if spec.changes else spec.result
        waits: dict[int | str, dict[str, Any]] = {
            202: {"model": WaitsForApproval, "description": "A person has to approve first"}
        }
        made.add_api_route(
            f"/{use_case}",
            _endpoint(use_case, spec.request),
            methods=["POST"],
            operation_id=use_case,
            summary=_summary(spec.request),
            description=inspect.cleandoc(spec.request.__doc__ or ""),
            response_model=result,
            responses=waits if spec.changes else None,
        )
    return made


def _endpoint(use_case: UseCaseName, kind: type[Request]) -> Callable[..., Awaitable[Response]]:
    async def run(asked: Request, caller: Reader, services: Wired) -> Response:
        coordinator = services.embedded.coordinator
        try:
            result = await coordinator.run(use_case, asked, caller)
        except ApprovalRequired as needed:
            approval = await coordinator.get_approval(needed.approval_id)
            waiting = WaitsForApproval(
                approval_id=approval.id, detail=needed.message, approval=approval
            )
            return as_json(waiting, status=202)
        return as_json(result)

    # FastAPI reads from the signature what the body is.
    own = inspect.signature(run, eval_str=True)
    body = own.parameters["asked"].replace(annotation=kind)
    parameters = [body, *list(own.parameters.values())[1:]]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


def as_json(answer: BaseModel, *, status: int = 200) -> Response:
    """Return an answer as it is, as every other door shows it; what is not finite is null."""
    return Response(answer.model_dump_json(), status_code=status, media_type="application/json")


def _summary(kind: type[Request]) -> str:
    return (kind.__doc__ or kind.__name__).strip().splitlines()[0].rstrip(".")
