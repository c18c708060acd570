"""``chef status``, ``chef jobs``, ``chef audit``: what serves whom, what runs, who did what."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import click
from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.overview import Overview
from agent_orchestrator.cli import options, session, tables
from agent_orchestrator.domain.jobs import JobEvent, JobStatus
from agent_orchestrator.domain.routing import Arm
from agent_orchestrator.domain.wording import counted
from agent_orchestrator.wiring.embedded import Embedded

_OPEN: tuple[JobStatus, ...] = ("pending", "running")
_LOOK_SECONDS = 1.0


def _share(arm: Arm) -> str:
    copies = f" (copies {arm.mirror} %)" if arm.mirror else ""
    return f"{arm.version or arm.name} {arm.weight} %{copies}"


@click.command()
@options.as_json
def status(as_json: bool) -> None:
    """Show what serves whom, and what waits or runs."""
    overview = session.embedded().overview.read()
    if as_json:
        click.echo(TypeAdapter(Overview).dump_json(overview).decode())
        return
    tables.table(
        "What serves whom",
        ("agent", "serves", "version", "split", "rollout"),
        [
            (
                agent.agent,
                agent.model,
                agent.version,
                " / ".join(map(_share, agent.arms)) if agent.rollout_id else None,
                f"{agent.rollout_id} ({agent.phase})" if agent.rollout_id else None,
            )
            for agent in overview.agents
        ],
    )
    for process in overview.processes:
        name = f"{process.name} {process.address or ''}".rstrip()
        click.echo(f"{name}: {process.state.replace('_', ' ')} {process.detail}".rstrip())
    click.echo(
        f"{counted(overview.pending_approvals, '[approval waits|approvals wait]')}, "
        f"{counted(overview.running_jobs, '[job runs|jobs run]')}, "
        f"{counted(overview.unfinished_intents, '[deployment was|deployments were]')} cut off."
    )


@click.command()
@click.option("--agent", help="Only this agent's.")
@options.limit
@click.option("--follow", is_flag=True, help="Tell what becomes of them until all have ended.")
@options.as_json
def jobs(agent: str | None, limit: int, follow: bool, as_json: bool) -> None:
    """List the jobs, newest first; or follow those that have not ended, a line an event."""
    embedded = session.embedded()
    if follow:
        _follow(embedded, agent, as_json=as_json)
        return
    embedded.job_desk.refresh_all()
    found = embedded.jobs.newest(agent=agent, limit=limit)
    if as_json:
        click.echo(json.dumps([asdict(job) for job in found], default=dict))
        return
    tables.table(
        "Jobs",
        ("id", "kind", "agent", "status", "backend", "created"),
        [(j.id, j.kind, j.agent, j.status, j.backend, tables.clock(j.created_at)) for j in found],
    )


def _follow(embedded: Embedded, agent: str | None, *, as_json: bool) -> None:
    """Show every event from now on until no job is open."""
    seen = embedded.job_events.last()
    while True:
        embedded.job_desk.refresh_all()
        is_open = any(embedded.jobs.newest(agent=agent, status=s, limit=1) for s in _OPEN)
        for event in embedded.job_events.after(seen, agent=agent):
            seen = event.seq
            _show_event(event, as_json=as_json)
        if not is_open:
            return
        time.sleep(_LOOK_SECONDS)


def _show_event(event: JobEvent, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(event)))
        return
    what = f"{event.job_id} ({event.kind}, {event.agent}, {event.backend}) {event.status}"
    click.echo(f"{tables.clock(event.at)} {what} {event.message}".rstrip())


@click.command()
@options.limit
@options.as_json
def audit(limit: int, as_json: bool) -> None:
    """Show who did what, newest last."""
    entries = session.embedded().audit.tail(limit)
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries], default=dict))
        return
    tables.table(
        "Audit log",
        ("at", "who", "what", "subject", "detail"),
        [
            (tables.clock(e.at), e.actor, e.action, e.subject, json.dumps(dict(e.detail)))
            for e in entries
        ],
    )
