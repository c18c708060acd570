"""``POST /modelops/<use case>``: every use case, made from the list that all doors are made from.

====  ==============================================================================
200   the result; of a dry run what would happen (``PlannedChange``)
202   a person has to approve first: ``POST /approvals/{id}/answer``, then ``…/resume``
====  ==============================================================================
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, cast

from fastapi import APIRouter, Response
from fastapi import Request as HttpRequest
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.approvals import ApprovalView
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import (
    PlannedChange,
    Request,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.agents.infrastructure.modelops.usecases.requests import build_request
from agent_orchestrator.api import problems
from agent_orchestrator.api.auth import Reader
from agent_orchestrator.api.idempotency import Once
from agent_orchestrator.api.services import Services, Wired
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.errors import ApprovalRequired, InputError


class WaitsForApproval(BaseModel):
    """Nothing has been done yet: a person has to approve."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    approval_id: str
    detail: str
    """One line for a person: what waits, and at what price."""
    approval: ApprovalView


def router() -> APIRouter:
    """Return a route for each use case."""
    made = APIRouter(prefix="/modelops", tags=["modelops"], route_class=_UseCaseRoute)
    for use_case, spec in USE_CASES.items():
        result: Any = spec.result | PlannedChange if spec.changes else spec.result
        waits: dict[int | str, dict[str, Any]] = {
            202: {"model": WaitsForApproval, "description": "A person has to approve first"}
        }
        made.add_api_route(
            f"/{use_case}",
            _endpoint(use_case, spec.request, changes=spec.changes),
            methods=["POST"],
            operation_id=use_case,
            summary=_summary(spec.request),
            description=inspect.cleandoc(spec.request.__doc__ or ""),
            response_model=result,
            responses=waits if spec.changes else None,
        )
    return made


class _UseCaseRoute(APIRoute):
    """A route that says what is wrong with a request in the words of every other door."""

    def get_route_handler(self) -> Callable[[HttpRequest], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: HttpRequest) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as invalid:
                if not isinstance(invalid.body, dict):
                    raise
                try:
                    build_request(cast("UseCaseName", self.operation_id), invalid.body)
                except InputError as error:
                    fields = problems.of_invalid(invalid.errors()).errors
                    said = problems.of_error(error).model_copy(update={"errors": fields})
                    return problems.response(said)
                raise

        return answer


def _endpoint(
    use_case: UseCaseName, kind: type[Request], *, changes: bool
) -> Callable[..., Awaitable[Response]]:
    async def read(asked: Request, caller: Reader, services: Wired) -> Response:
        return as_json(await services.embedded.coordinator.run(use_case, asked, caller))

    async def change(asked: Request, caller: Reader, services: Wired, once: Once) -> Response:
        return await once.answered(partial(_change, use_case, asked, caller, services))

    # FastAPI reads from the signature what the body is.
    run: Any = change if changes else read
    own = inspect.signature(run, eval_str=True)
    body = own.parameters["asked"].replace(annotation=kind)
    parameters = [body, *list(own.parameters.values())[1:]]
    run.__signature__ = own.replace(parameters=parameters)
    endpoint: Callable[..., Awaitable[Response]] = run
    return endpoint


async def _change(
    use_case: UseCaseName, asked: Request, caller: Caller, services: Services
) -> Response:
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


def as_json(answer: BaseModel, *, status: int = 200) -> Response:
    """Return an answer as it is, as every other door shows it; what is not finite is null."""
    return Response(answer.model_dump_json(), status_code=status, media_type="application/json")


def _summary(kind: type[Request]) -> str:
    return (kind.__doc__ or kind.__name__).strip().splitlines()[0].rstrip(".")
