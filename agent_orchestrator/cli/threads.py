"""``chef threads``: the conversations that are kept, and how long."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict

import click

from agent_orchestrator.cli import options, session, tables
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.thread_events import ThreadEventStore


@click.group()
def threads() -> None:
    """See the conversations; remove what nobody needs of them."""


@threads.command("list")
@options.limit
@options.as_json
def list_threads(limit: int, as_json: bool) -> None:
    """List the conversations, those that were gone on with last first."""
    with closing(Database(session.settings().database)) as database:
        found = ThreadEventStore(database).lasts(limit=limit)
    if as_json:
        shown = [
            {"thread_id": one.thread_id, "at": one.at, "waiting": one.event.get("waiting")}
            for one in found
        ]
        click.echo(json.dumps(shown))
        return
    rows = [(one.thread_id, tables.clock(one.at), one.event.get("waiting")) for one in found]
    tables.table("Conversations", ("thread", "last event", "waits for"), rows)


@threads.command()
@click.option(
    "--days",
    type=click.FloatRange(min=0),
    help="Forget those idle for so long; 0: none. [default: CHEF_THREAD_RETENTION_DAYS]",
)
@click.option(
    "--states",
    type=click.IntRange(min=0),
    help="Keep so many states of each other one; 0: all. [default: CHEF_THREAD_STATES]",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@options.as_json
def prune(days: float | None, states: int | None, dry_run: bool, as_json: bool) -> None:
    """Remove conversations that are long idle, and old states of the others.

    As the timer does every hour. Those that wait for an approval or are gone on with now stay.
    """
    from agent_orchestrator.conversation.retention import Policy
    from agent_orchestrator.wiring.conversations import open_retention, retention_policy

    settings = session.settings()
    policy = retention_policy(settings)
    policy = Policy(
        days=policy.days if days is None else days,
        states=policy.states if states is None else states,
    )
    with open_retention(settings) as retention:
        done = retention.plan(policy) if dry_run else retention.prune(policy, session.caller().name)
    if as_json:
        click.echo(json.dumps({**asdict(done), "dry_run": dry_run}))
        return
    verb = "Would remove" if dry_run else "Removed"
    click.echo(
        f"{verb} {len(done.conversations)} conversations, and {done.states} old states of others."
    )
    for thread in done.conversations:
        click.echo(f"- {thread}")
