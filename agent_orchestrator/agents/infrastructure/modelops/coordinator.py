"""The use cases. Every door calls ``Coordinator.run`` and nothing else reaches behind it.

A reading use case answers at once. A changing one first becomes a ``Plan`` (what would happen, what
it costs, whether a person must approve); only then, approved, is it carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import anyio.to_thread
from pydantic import ValidationError

from agent_orchestrator.agents.infrastructure.modelops.authorisation import (
    Authorisation,
    Caller,
    check_role,
)
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.tool_calls import (
    AgentToolCall,
    edited,
    not_here,
    planned,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.approvals import ApprovalView
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import (
    ChangingRequest,
    Request,
    Result,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.agents.infrastructure.modelops.usecases.requests import changed_request
from agent_orchestrator.agents.infrastructure.modelops.usecases.tracing import (
    stays_here,
    use_case_metadata,
)
from agent_orchestrator.domain.approvals import TOOL_CALL, Approval, UseCaseName
from agent_orchestrator.errors import ApprovalDenied, ChefError, InputError
from agent_orchestrator.serving.tracing import Tracer

Planner = Callable[[Any, Caller], Plan]
Reader = Callable[[Any], Result]
_Asked = TypeVar("_Asked", bound=Request)


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
        Raises what ``run`` raises, NotFoundError for an unknown approval, ConflictError for that of
        an agent's tool call: its conversation carries it out.
        """
        check_role(caller, "change", "approve")
        approval = await anyio.to_thread.run_sync(self._authorisation.get, approval_id)
        if approval.use_case == TOOL_CALL:
            raise not_here(_call(approval))
        return await self._traced(
            approval.use_case, _asked(approval.use_case, approval), caller, approval_id
        )

    async def ask_tool_call(self, call: AgentToolCall, caller: Caller) -> ApprovalView:
        """Ask a person to approve an agent's call; the caller is who set the agent to work.

        Raises Forbidden, InputError for arguments that nobody can be asked about.
        """
        check_role(caller, "change", "approve")
        plan = planned(call)
        return await self._viewed(self._authorisation.ask, TOOL_CALL, call, plan, caller)

    async def spend_tool_call(self, approval_id: str, call: AgentToolCall, caller: Caller) -> None:
        """Spend an approval on exactly this call; the agent makes it next.

        Raises Forbidden, NotFoundError, ApprovalDenied.
        """
        check_role(caller, "change", "approve")
        plan = planned(call)
        await anyio.to_thread.run_sync(
            self._authorisation.spend, TOOL_CALL, call, plan, caller, approval_id
        )

    async def answer(
        self, approval_id: str, caller: Caller, *, approve: bool, reason: str = ""
    ) -> ApprovalView:
        """Approve or reject; raises Forbidden, or as ``Authorisation.answer``."""
        check_role(caller, "approve")

        def answer() -> Approval:
            return self._authorisation.answer(approval_id, caller, approve=approve, reason=reason)

        return await self._viewed(answer)

    async def refusal(self, approval_id: str, caller: Caller) -> str | None:
        """Return why ``answer`` would not take an answer of this caller now; None where it would.

        Raises NotFoundError.
        """
        return await anyio.to_thread.run_sync(self._authorisation.refusal, approval_id, caller)

    async def edit(
        self, approval_id: str, changes: Mapping[str, Any], caller: Caller, *, reason: str = ""
    ) -> ApprovalView:
        """Change a request that waits, plan and price it anew, and return what waits in its place.

        ``changes`` are fields of the request; ``overrides.seed`` is a value in a mapping. The old
        approval cannot be used any more, and nothing is approved: that is another step, which under
        four eyes somebody else has to take. Raises Forbidden, NotFoundError, ApprovalDenied when it
        does not wait any more, InputError and whatever planning the new request raises.
        """
        check_role(caller, "approve")
        return await self._viewed(self._edit, approval_id, changes, caller, reason)

    def _edit(
        self, approval_id: str, changes: Mapping[str, Any], caller: Caller, reason: str
    ) -> Approval:
        approval = self._authorisation.get(approval_id)
        self._authorisation.check_editable(approval, caller)
        if approval.use_case == TOOL_CALL:
            call = edited(_call(approval), changes)
            return self._authorisation.edit(approval, call, planned(call), caller, reason=reason)
        values = _asked(approval.use_case, approval).model_dump(mode="json")
        request = changed_request(approval.use_case, values, changes)
        if not isinstance(request, ChangingRequest) or request.dry_run:
            raise InputError(
                "A dry run needs no approval.", remedy=f"Reject {approval_id} instead."
            )
        plan = self._planners[approval.use_case](request, caller)
        return self._authorisation.edit(approval, request, plan, caller, reason=reason)

    async def cancel(self, approval_id: str, caller: Caller, *, reason: str = "") -> ApprovalView:
        """Take a request, or an approval that was given and not spent, back.

        Its authors may, who approved it, and administrators. Raises Forbidden, NotFoundError,
        ApprovalDenied.
        """
        check_role(caller, "change", "approve")

        def cancel() -> Approval:
            return self._authorisation.cancel(approval_id, caller, reason=reason)

        return await self._viewed(cancel)

    async def pending_approvals(self) -> list[ApprovalView]:
        """Return the approvals that wait for an answer, oldest first."""
        pending = await anyio.to_thread.run_sync(self._authorisation.pending)
        return [self._authorisation.view(approval) for approval in pending]

    async def recent_approvals(self, limit: int) -> list[ApprovalView]:
        """Return the newest approvals, however they ended, newest first."""
        recent = await anyio.to_thread.run_sync(self._authorisation.recent, limit)
        return [self._authorisation.view(approval) for approval in recent]

    async def get_approval(self, approval_id: str) -> ApprovalView:
        """Return an approval; NotFoundError when there is none of that id."""
        return await self._viewed(self._authorisation.get, approval_id)

    async def _viewed(self, act: Callable[..., Approval], *arguments: Any) -> ApprovalView:
        return self._authorisation.view(await anyio.to_thread.run_sync(act, *arguments))


def _asked(use_case: UseCaseName, approval: Approval) -> Request:
    """Return the request that an approval is about. Raises ApprovalDenied for one of old."""
    return _as(USE_CASES[use_case].request, approval)


def _call(approval: Approval) -> AgentToolCall:
    return _as(AgentToolCall, approval)


def _as(kind: type[_Asked], approval: Approval) -> _Asked:
    try:
        return kind.model_validate(approval.request)
    except ValidationError as error:
        raise ApprovalDenied(
            f"Approval {approval.id} was given for a request that this version does not know.",
            remedy="Ask again.",
        ) from error
