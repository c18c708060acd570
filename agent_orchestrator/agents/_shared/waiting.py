"""The one place where a conversation waits for people: until an approval that it needs is answered.

``approve`` does nothing before ``interrupt``: a node that interrupts is run again from its start.
Approvals are looked up; what the message that resumes a run says counts for nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.runnables import RunnableConfig
from langgraph.types import Send, interrupt

from agent_orchestrator.agents._shared.asked_calls import Approvals, standing
from agent_orchestrator.agents._shared.callers import caller_of
from agent_orchestrator.agents._shared.telling import say, say_error
from agent_orchestrator.agents.infrastructure.modelops.authorisation import check_role
from agent_orchestrator.agents.infrastructure.modelops.usecases.approvals import ApprovalView
from agent_orchestrator.agents.infrastructure.workflows.modelops import wording
from agent_orchestrator.agents.infrastructure.workflows.modelops.steps import NAME
from agent_orchestrator.errors import NotFoundError
from agent_orchestrator.state import Assignment, PausedWork, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The node ``approve``: what the Infrastructure agent wishes and what agents' calls wait for.

    Whatever is answered first goes on first; the rest is waited for again afterwards.
    """

    approvals: Approvals
    clock: Callable[[], float] = time.time

    async def approve(self, state: State, config: RunnableConfig) -> State:
        """Wait for a person, at any door, to approve or reject.

        Raises Forbidden when a caller wakes the thread up who may carry nothing out: it waits on.
        """
        named = [work["approvals"] for work in state.get("paused", {}).values()]
        wish = state.get("approval")
        ids = [*([wish["id"]] if wish else []), *(one for several in named for one in several)]
        found = {one: await self._found(one) for one in ids}
        open_ = [view for view in found.values() if view is not None and self._is_pending(view)]
        news = self._news(state, found)
        if news:
            check_role(caller_of(config), "change", "approve")
            return news
        if open_:
            interrupt(_question(open_))
        return {}

    def _news(self, state: State, found: Mapping[str, ApprovalView | None]) -> State:
        """Return what can go on by now; nothing while everything waits."""
        news: State = {}
        wish = state.get("approval")
        if wish:
            view = found[wish["id"]]
            if view is None:
                missing = NotFoundError(f"No approval {wish['id']!r}.", remedy="Ask again.")
                news = {"approval": None, "messages": [say_error(NAME, missing)]}
            elif view.status == "approved":
                news = {"approval": {**wish, "id": view.id, "status": "approved"}}
            elif not self._is_pending(view):
                said = say(NAME, wording.not_approved(view))
                news = {"approval": None, "messages": [said]}
        ready: dict[str, PausedWork] = {
            key: {**work, "ready": True}
            for key, work in state.get("paused", {}).items()
            if not any(
                view is not None and self._is_pending(view)
                for view in (found[one] for one in work["approvals"])
            )
        }
        return {**news, "paused": ready} if ready else news

    async def _found(self, approval_id: str) -> ApprovalView | None:
        try:
            return await standing(self.approvals, approval_id)
        except NotFoundError:
            return None

    def _is_pending(self, view: ApprovalView) -> bool:
        return view.status == "pending" and self.clock() < view.expires_at


def after_approve(state: State) -> list[Send] | Literal["infrastructure", "approve", "__end__"]:
    """Carry out what was approved and go on with who waited; ask again, or end."""
    wish, paused = state.get("approval"), state.get("paused", {})
    approved = bool(wish and wish["status"] == "approved")
    pieces: list[Assignment] = [
        {"agent": work["agent"], "task": work["task"], "goes_on": key}
        for key, work in paused.items()
        if work["ready"]
    ]
    if pieces:
        own: list[Assignment] = [{"agent": NAME, "task": ""}] if approved else []
        return [
            Send(piece["agent"], {**state, "assignments": [piece]}) for piece in [*own, *pieces]
        ]
    if approved:
        return "infrastructure"
    return "approve" if wish or paused else "__end__"


def _question(waits: list[ApprovalView]) -> dict[str, Any]:
    """Return what the thread asks: its first approval, and those beside it."""
    first, *others = [_asked(view) for view in waits]
    return {"kind": "approval", **first, **({"also": others} if others else {})}


def _asked(view: ApprovalView) -> dict[str, Any]:
    return {
        "approval_id": view.id,
        "use_case": view.use_case,
        "summary": view.summary,
        "price_usd": view.price_ceiling_usd,
        "expires_at": view.expires_at,
        "requester": view.requester,
    }
