"""An agent's call of a tool that changes something outside its workspace, as a person approves it.

It is no use case: no door offers it, and none carries it out. The agent's conversation does, once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.usecases.approvals import ShownToolCall
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Request, Result
from agent_orchestrator.agents.infrastructure.modelops.usecases.requests import (
    validated,
    with_changes,
)
from agent_orchestrator.domain.approvals import TOOL_CALL, one_line
from agent_orchestrator.errors import ConflictError, InputError

_LONGEST: Final = 20_000
"""Characters of arguments that a person can be asked to read."""
_SHOWN: Final = 300


class AgentToolCall(ShownToolCall, Request):
    """One call, and what makes it this one: an approval covers all of it."""

    call_id: str
    """Of the model's message and the call in it."""
    fingerprint: str
    """SHA-256 of the server's entry in the mapping and the tool's description and parameters: an
    approval does not cover what somebody has put in its place since."""


def planned(call: AgentToolCall) -> Plan:
    """Return what an approver reads. Raises InputError for more arguments than one can read."""
    said = json.dumps(call.arguments, ensure_ascii=False)
    if len(said) > _LONGEST:
        raise InputError(
            f"The arguments of {call.tool} have {len(said)} characters; an approver is asked to "
            f"read at most {_LONGEST}.",
            remedy="Call it with less.",
        )
    shown = one_line(said)
    rest = len(shown) - _SHOWN
    if rest > 0:
        shown = f"{shown[:_SHOWN]}… ({rest} characters more: read the whole request)"

    async def elsewhere(_approval: str | None) -> Result:
        raise not_here(call)

    return Plan(
        summary=f"{call.agent} calls {call.tool} of the MCP server {call.server!r}: {shown}",
        act=elsewhere,
    )


def edited(call: AgentToolCall, changes: Mapping[str, Any]) -> AgentToolCall:
    """Return the call with other arguments; ``arguments.title`` is one of them. InputError."""
    fixed = sorted(name for name in changes if name.partition(".")[0] != "arguments")
    if fixed:
        raise InputError(
            f"{fixed[0]!r} of a tool call cannot be edited.",
            remedy="Edit arguments, or reject it with a reason: the agent reads that.",
        )
    values = with_changes(call.model_dump(mode="json"), changes)
    changed = validated(TOOL_CALL, AgentToolCall, values)
    if changed == call:
        raise InputError(
            f"Nothing would change: {dict(changes)!r}.", remedy="Give other arguments."
        )
    return changed


def not_here(call: AgentToolCall) -> ConflictError:
    """Return the error of a door that is asked to carry a call out."""
    return ConflictError(
        f"The conversation {call.thread_id!r} carries this call out: {call.agent} waits there.",
        remedy=f"Go on in that conversation, e.g. with `chef chat --thread {call.thread_id}`.",
    )
