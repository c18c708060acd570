"""One tool call: who asks, what they ask for, whether a person approves it, how it went."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import anyio
import anyio.lowlevel
from mcp import McpError, types
from mcp.server.session import ServerSession
from mcp.shared.context import RequestContext

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.coordinator import Coordinator
from agent_orchestrator.agents.infrastructure.modelops.usecases.approvals import ApprovalView
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Request, Result
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    JobReport,
    MonitorTrainingJob,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.requests import (
    build_request,
    validated,
)
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.domain.jobs import TERMINAL
from agent_orchestrator.errors import (
    ApprovalDenied,
    ApprovalRequired,
    ChefError,
    FailedError,
    InputError,
    as_document,
)
from agent_orchestrator.mcp_server.tools import CARRY_OUT, FOLLOW, CarryOutApproved, FollowJob

log = logging.getLogger(__name__)

Context = RequestContext[ServerSession, Any, Any]
Identify = Callable[[Context], Awaitable[Caller]]
"""Returns who makes a request, by what the transport knows of them; raises Forbidden for nobody."""

_POLL_SECONDS: Final = 0.5
_ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "approve": {
            "type": "boolean",
            "title": "Approve",
            "description": "Carry it out now. An approval is used once.",
        },
        "reason": {"type": "string", "title": "Reason", "description": "Why; recorded."},
    },
    "required": ["approve"],
}


class Calls:
    """Carries out tool calls through the coordinator, as whoever the transport has authenticated.

    An approval is answered by a person only: the client is asked to show the question to its user
    (elicitation), which no model's tool call can answer, and the answer counts only if the
    authenticated caller may answer this very approval.
    """

    def __init__(self, coordinator: Coordinator, identify: Identify) -> None:
        self._coordinator = coordinator
        self._identify = identify

    async def call(
        self, context: Context, name: str, arguments: Mapping[str, Any]
    ) -> types.CallToolResult:
        """Carry out a call; every failure is a result that says what to do."""
        try:
            return _succeeded(await self._run(context, name, arguments))
        except ChefError as error:
            return _failed(error)
        except Exception:
            log.exception("The tool %s failed", name)
            return _failed(
                FailedError(f"{name} failed for an unforeseen reason.", remedy="See the log.")
            )

    async def _run(self, context: Context, name: str, arguments: Mapping[str, Any]) -> Result:
        caller = await self._identify(context)
        if name == FOLLOW:
            return await self._follow(context, validated(FOLLOW, FollowJob, arguments), caller)
        if name == CARRY_OUT:
            wanted = validated(CARRY_OUT, CarryOutApproved, arguments)
            return await _finished(self._coordinator.resume(wanted.approval_id, caller))
        use_case, request = _use_case(name, arguments)
        run = self._coordinator.run(use_case, request, caller)
        try:
            return await (_finished(run) if USE_CASES[use_case].changes else run)
        except ApprovalRequired as needed:
            return await self._approved(context, needed, caller)

    async def _approved(self, context: Context, needed: ApprovalRequired, caller: Caller) -> Result:
        """Have a pending approval answered by the client's user; raise it where that cannot be."""
        if await self._coordinator.refusal(needed.approval_id, caller) is not None:
            raise needed
        approval = await self._coordinator.get_approval(needed.approval_id)
        answer = await _ask(context, approval)
        if answer is None:
            raise needed
        approve, reason = answer
        caller = await self._identify(context)  # who may have lost the right since
        await self._coordinator.answer(
            needed.approval_id, caller, approve=approve, reason=reason or "asked over MCP"
        )
        if not approve:
            raise ApprovalDenied(
                f"Approval {needed.approval_id} was rejected. {reason}".strip(),
                remedy="Nothing was done.",
            )
        return await _finished(self._coordinator.resume(needed.approval_id, caller))

    async def _follow(self, context: Context, wanted: FollowJob, caller: Caller) -> JobReport:
        request = MonitorTrainingJob(job_id=wanted.job_id, agent=wanted.agent)
        report = await self._report(request, caller)
        request = MonitorTrainingJob(job_id=report.job_id)  # a newer one is not this one
        told = -1.0
        with anyio.move_on_after(wanted.minutes * 60):
            while report.status not in TERMINAL:
                told = await _tell(context, report, told)
                await anyio.sleep(_POLL_SECONDS)
                report = await self._report(request, caller)
        await _tell(context, report, told)
        return report

    async def _report(self, request: MonitorTrainingJob, caller: Caller) -> JobReport:
        report = await self._coordinator.run("monitor_training_job", request, caller)
        if not isinstance(report, JobReport):
            raise TypeError(f"monitor_training_job returned {type(report).__name__}.")
        return report


async def _finished(change: Awaitable[Result]) -> Result:
    """Finish a change that was begun, also when the client takes its call back or goes away."""
    try:
        with anyio.CancelScope(shield=True):
            result = await change
    finally:
        # Who took the call back was answered then: a second answer would end the session.
        await anyio.lowlevel.checkpoint()
    return result


def _use_case(name: str, arguments: Mapping[str, Any]) -> tuple[UseCaseName, Request]:
    use_case = next((known for known in USE_CASES if known == name), None)
    if use_case is None:
        raise InputError(f"There is no tool {name!r}.", remedy="List the tools.")
    return use_case, build_request(use_case, arguments)


async def _ask(context: Context, approval: ApprovalView) -> tuple[bool, str] | None:
    """Return a person's answer and reason; None where the client cannot ask, or they put it off."""
    if not _can_elicit(context.session):
        return None
    question = (
        f"Needs approval {approval.id}: {approval.summary}\n"
        f"At most ${approval.price_ceiling_usd:.2f}. What runs is this and nothing else:\n"
        f"{approval.use_case} {json.dumps(approval.request)}\nApprove it?"
    )
    try:
        given = await context.session.elicit_form(
            question, _ANSWER, related_request_id=context.request_id
        )
    except McpError as refused:
        log.warning("The client could not ask about %s: %s", approval.id, refused)
        return None
    if given.action == "cancel":
        return None
    content = given.content or {}
    reason = content.get("reason")
    approve = given.action == "accept" and content.get("approve") is True
    return approve, reason if isinstance(reason, str) else ""


def _can_elicit(session: ServerSession) -> bool:
    """Return whether the client shows forms; one that names no mode does."""
    params = session.client_params
    able = params.capabilities.elicitation if params else None
    return able is not None and (able.form is not None or able.url is None)


async def _tell(context: Context, report: JobReport, told: float) -> float:
    """Notify who wants to know of a job's progress; return the last percentage that was told.

    Progress must grow with every notification (the protocol's rule).
    """
    token = context.meta.progressToken if context.meta else None
    reached = report.progress_pct or 0.0
    if token is None or reached <= told:
        return told
    await context.session.send_progress_notification(
        token,
        reached,
        total=100.0,
        message=f"{report.job_id} {report.status}. {report.message}".strip(),
        related_request_id=str(context.request_id),
    )
    return reached


def _succeeded(result: Result) -> types.CallToolResult:
    document = result.model_dump(mode="json")
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=result.model_dump_json(indent=2))],
        structuredContent=document,
    )


def _failed(error: ChefError) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=str(error))],
        structuredContent=as_document(error),
        isError=True,
    )
