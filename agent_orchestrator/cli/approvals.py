"""``chef approvals``, ``chef approve``, ``chef reject``."""

from __future__ import annotations

import json

import anyio
import click
from pydantic import TypeAdapter

from agent_orchestrator.cli import options, session, tables
from agent_orchestrator.domain.approvals import Approval


@click.command()
@options.as_json
def approvals(as_json: bool) -> None:
    """List the approvals that wait for an answer."""
    pending = anyio.run(session.embedded().coordinator.pending_approvals)
    if as_json:
        click.echo(TypeAdapter(list[Approval]).dump_json(pending).decode())
        return
    rows = [
        (
            approval.id,
            approval.summary,
            f"${approval.price_ceiling_usd:.2f}",
            approval.requester,
            tables.clock(approval.expires_at),
        )
        for approval in pending
    ]
    tables.table("Approvals", ("id", "what", "up to", "asked by", "expires"), rows)


@click.command()
@click.argument("approval_id")
@options.reason
@options.as_json
@options.wait
@click.option("--only", is_flag=True, help="Approve, but let somebody else carry it out.")
def approve(approval_id: str, reason: str, as_json: bool, wait: bool, only: bool) -> None:
    """Approve a request and carry it out. An approval can be used once."""
    coordinator = session.embedded().coordinator

    async def main() -> None:
        who = session.caller()
        approval = await coordinator.get_approval(approval_id)
        if approval.status != "approved":
            approval = await coordinator.answer(approval_id, who, approve=True, reason=reason)
        if only:
            _answered(approval, as_json=as_json)
            return
        result = await coordinator.resume(approval_id, who)
        await session.finish(coordinator, result, as_json=as_json, wait=wait)

    anyio.run(main)


@click.command()
@click.argument("approval_id")
@options.reason
@options.as_json
def reject(approval_id: str, reason: str, as_json: bool) -> None:
    """Reject a request; it cannot be carried out any more."""
    coordinator = session.embedded().coordinator

    async def main() -> None:
        who = session.caller()
        answered = await coordinator.answer(approval_id, who, approve=False, reason=reason)
        _answered(answered, as_json=as_json)

    anyio.run(main)


def _answered(approval: Approval, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"approval_id": approval.id, "status": approval.status}))
    else:
        click.echo(f"{approval.id} is {approval.status}.")
