"""``chef approvals`` (list, show, edit, cancel), ``chef approve``, ``chef reject``."""

from __future__ import annotations

import json

import anyio
import click
from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.usecases.approvals import ApprovalView
from agent_orchestrator.cli import options, session, tables


@click.group(invoke_without_command=True)
@options.as_json
@click.option("--all", "everything", is_flag=True, help="Also those that are over, newest first.")
@options.limit
@click.pass_context
def approvals(context: click.Context, as_json: bool, everything: bool, limit: int) -> None:
    """List what waits for approval; show, edit, cancel."""
    if context.invoked_subcommand is not None:
        return
    coordinator = session.embedded().coordinator

    async def main() -> list[ApprovalView]:
        if everything:
            return await coordinator.recent_approvals(limit)
        return (await coordinator.pending_approvals())[:limit]

    found = anyio.run(main)
    if as_json:
        click.echo(TypeAdapter(list[ApprovalView]).dump_json(found).decode())
        return
    rows = [
        (
            approval.id,
            approval.summary,
            f"${approval.price_ceiling_usd:.2f}",
            _authors(approval),
            approval.status,
            tables.clock(approval.expires_at),
        )
        for approval in found
    ]
    tables.table("Approvals", ("id", "what", "up to", "asked by", "status", "expires"), rows)


@approvals.command()
@click.argument("approval_id")
@options.as_json
def show(approval_id: str, as_json: bool) -> None:
    """Show one approval: the whole request, its price, and what became of it."""
    coordinator = session.embedded().coordinator
    _shown(anyio.run(coordinator.get_approval, approval_id), as_json=as_json)


@approvals.command()
@click.argument("approval_id")
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE...")
@options.reason
@options.as_json
def edit(approval_id: str, changes: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Change what is asked for, e.g. max_examples=50 or overrides.num_epochs=2.

    It is priced anew and waits under a new id; the old approval cannot be used any more.
    """
    coordinator = session.embedded().coordinator
    values = options.read_pairs("KEY=VALUE", changes)

    async def main() -> ApprovalView:
        return await coordinator.edit(approval_id, values, session.caller(), reason=reason)

    _shown(anyio.run(main), as_json=as_json)


@approvals.command()
@click.argument("approval_id")
@options.reason
@options.as_json
def cancel(approval_id: str, reason: str, as_json: bool) -> None:
    """Take back what you asked for, or an approval that you gave and nobody has used."""
    coordinator = session.embedded().coordinator

    async def main() -> ApprovalView:
        return await coordinator.cancel(approval_id, session.caller(), reason=reason)

    _answered(anyio.run(main), as_json=as_json)


@click.command()
@click.argument("approval_id")
@options.reason
@options.as_json
@options.wait
@click.option("--only", is_flag=True, help="Approve, but let whoever asked carry it out.")
def approve(approval_id: str, reason: str, as_json: bool, wait: bool, only: bool) -> None:
    """Approve a request and carry it out. An approval can be used once.

    An agent's tool call is carried out in its conversation, when that goes on.
    """
    coordinator = session.embedded().coordinator

    async def main() -> None:
        who = session.caller()
        approval = await coordinator.get_approval(approval_id)
        if approval.status != "approved":
            approval = await coordinator.answer(approval_id, who, approve=True, reason=reason)
        if only or approval.tool_call is not None:
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

    async def main() -> ApprovalView:
        who = session.caller()
        return await coordinator.answer(approval_id, who, approve=False, reason=reason)

    _answered(anyio.run(main), as_json=as_json)


def _answered(approval: ApprovalView, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"approval_id": approval.id, "status": approval.status}))
        return
    click.echo(f"{approval.id} is {approval.status}.")
    if (call := approval.tool_call) is not None:
        click.echo(f"The agent goes on in its conversation: `chef chat --thread {call.thread_id}`.")


def _shown(approval: ApprovalView, *, as_json: bool) -> None:
    """Print one approval; values of the request as JSON, so that none plays tricks on a screen."""
    if as_json:
        click.echo(approval.model_dump_json())
        return
    click.echo(f"{approval.id} is {approval.status}: {approval.summary}")
    facts = {
        "up to": f"${approval.price_ceiling_usd:.2f}",
        "asked by": _authors(approval),
        "expires": tables.clock(approval.expires_at),
        "answered by": approval.approver,
        "reason": json.dumps(approval.reason) if approval.reason else None,
        "in the place of": approval.edited_from,
        "replaced by": approval.replaced_by,
        "use case": approval.use_case,
    }
    for name, text in facts.items():
        if text:
            click.echo(f"  {name:18} {text}")
    for title, values in (("the request:", approval.request), ("which means:", approval.details)):
        said = {name: value for name, value in values.items() if _says_something(value)}
        if said:
            click.echo(f"  {title}")
        for name, value in said.items():
            click.echo(f"    {name:16} {json.dumps(value)}")
    if approval.status == "pending":
        click.echo(f"Answer with `chef approve {approval.id}` or `chef reject {approval.id}`.")


def _says_something(value: object) -> bool:
    """Return whether a value is worth a line; zero is."""
    return value is not None and value is not False and value not in ("", [], {})


def _authors(approval: ApprovalView) -> str:
    edited = f", edited by {', '.join(approval.editors)}" if approval.editors else ""
    return f"{approval.requester}{edited}"
