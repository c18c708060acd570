"""The use cases. Every door calls ``Coordinator.run`` and nothing else reaches behind it.

A reading use case answers at once. A changing one first becomes a ``Plan`` (what would happen, what
it costs, whether a person must approve); only then, approved, is it carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio.to_thread
from pydantic import ValidationError

from agent_orchestrator.agents.infrastructure.modelops.authorisation import (
    Authorisation,
    Caller,
    check_role,
)
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import (
    ChangingRequest,
    Request,
    Result,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.agents.infrastructure.modelops.usecases.tracing import (
    stays_here,
    use_case_metadata,
)
from agent_orchestrator.domain.approvals import Approval, UseCaseName
from agent_orchestrator.errors import ApprovalDenied, ChefError
from agent_orchestrator.serving.tracing import Tracer

Planner = Callable[[Any, Caller], Plan]
Reader = Callable[[Any], Result]


class Coordinator:
    """Runs use cases: ``readers`` answer what changes nothing, ``planners`` plan the rest."""

    def __init__(
        self,
        *,
        readers: Mapping[UseCaseName, Reader],
        planners: Mapping[UseCaseName, Planner],
        authorisation: Authorisation,
        tracer: Tracer | None = None,
    ) -> None:
        changing = {use_case for use_case, spec in USE_CASES.items() if spec.changes}
        if planners.keys() != changing or readers.keys() != USE_CASES.keys() - changing:
            raise ValueError("Give what changes something a planner, everything else a reader.")
        self._readers = readers
        self._planners = planners
        self._authorisation = authorisation
        self._tracer = tracer

    async def run(
        self,
        use_case: UseCaseName,
        request: Request,
        caller: Caller,
        *,
        approval_id: str | None = None,
    ) -> Result:
        """Run one use case and return its result; a dry run returns a ``PlannedChange``.

        Raises Forbidden when the caller's role does not allow it (a dry run only reads), InputError
        and its kin for a bad request, ApprovalRequired when a person must approve first (then
        ``resume``), ApprovalDenied when ``approval_id`` does not cover the
        request, FailedError when it was tried and did not work. An approval stays spent when what
        it was spent on fails; the error says so.
        """
        if type(request) is not USE_CASES[use_case].request:
            raise TypeError(f"{use_case} does not take a {type(request).__name__}.")
        changes = isinstance(request, ChangingRequest) and not request.dry_run
        check_role(caller, "change" if changes else "read")
        return await self._traced(use_case, request, caller, approval_id)

    async def _traced(
        self, use_case: UseCaseName, request: Request, caller: Caller, approval_id: str | None
    ) -> Result:
        if self._tracer is None:
            return await self._run(use_case, request, caller, approval_id)
        asked = request.model_dump(mode="json")
        with self._tracer.span(use_case, asked, use_case_metadata(asked)) as span:
            if stays_here(asked):
                span.drop()
            result = await self._run(use_case, request, caller, approval_id)
            answered = result.model_dump(mode="json")
            if stays_here(answered):
                span.drop()
            span.outputs = answered
            span.metadata.update(use_case_metadata(answered))
            return result

    async def _run(
        self, use_case: UseCaseName, request: Request, caller: Caller, approval_id: str | None
    ) -> Result:
        if not isinstance(request, ChangingRequest):
            return await anyio.to_thread.run_sync(self._readers[use_case], request)
        plan = await anyio.to_thread.run_sync(self._planners[use_case], request, caller)
        if request.dry_run:
            return plan.preview(self._authorisation.needed(plan))
        spent = await anyio.to_thread.run_sync(
            self._authorisation.require, use_case, request, plan, caller, approval_id
        )
        try:
            return await plan.act(spent)
        except ChefError as error:
            if spent is not None:
                error.remedy = f"{error.remedy} Approval {spent} is spent: ask again.".strip()
                with suppress(ChefError):  # a full disk must not hide what failed first
                    await anyio.to_thread.run_sync(
                        self._authorisation.record_failure, spent, error, caller
                    )
            raise

    async def resume(self, approval_id: str, caller: Caller) -> Result:
        """Carry out the request that an approval was given for, from any door, once.

        Who may ask for changes may do so, and who approves: the request is the approved one.
        Raises what ``run`` raises, NotFoundError for an unknown approval.
        """
        check_role(caller, "change", "approve")
        approval = await anyio.to_thread.run_sync(self._authorisation.get, approval_id)
        try:
            request = USE_CASES[approval.use_case].request.model_validate(approval.request)
        except ValidationError as error:
            raise ApprovalDenied(
                f"Approval {approval_id} was given for a request that this version does not know.",
                remedy="Ask again.",
            ) from error
        return await self._traced(approval.use_case, request, caller, approval_id)

    async def answer(
        self, approval_id: str, caller: Caller, *, approve: bool, reason: str = ""
    ) -> Approval:
        """Approve or reject; raises Forbidden, or as ``Authorisation.answer``."""
        check_role(caller, "approve")

        def answer() -> Approval:
            return self._authorisation.answer(approval_id, caller, approve=approve, reason=reason)

        return await anyio.to_thread.run_sync(answer)

    async def may_answer(self, approval_id: str, caller: Caller) -> bool:
        """Return whether ``answer`` would take an answer of this caller now; NotFoundError."""
        return await anyio.to_thread.run_sync(self._authorisation.may_answer, approval_id, caller)

    async def pending_approvals(self) -> list[Approval]:
        """Return the approvals that wait for an answer, oldest first."""
        return await anyio.to_thread.run_sync(self._authorisation.pending)

    async def get_approval(self, approval_id: str) -> Approval:
        """Return an approval; NotFoundError when there is none of that id."""
        return await anyio.to_thread.run_sync(self._authorisation.get, approval_id)
