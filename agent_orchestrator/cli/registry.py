"""``chef registry``: look into the model registry, or mend it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Any

import click
from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.cli import options, session, tables
from agent_orchestrator.domain.models import ModelVersion
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import Database

_VERSION: TypeAdapter[ModelVersion] = TypeAdapter(ModelVersion)


def _registry() -> ModelRegistry:
    return ModelRegistry(session.settings().registry_json)


def _audited(action: str, subject: str, **detail: Any) -> None:
    """Record a change by hand. The rest of the system is left out: it may not even start."""
    log = AuditLog(Database(session.settings().database))
    log.append(time.time(), session.caller().name, f"registry_{action}", subject, detail)


@click.group()
def registry() -> None:
    """Look into the model registry, or mend it."""


@registry.command()
@click.argument("agent")
@click.argument("version")
@options.as_json
def show(agent: str, version: str, as_json: bool) -> None:
    """Show everything that is known about a version, as JSON."""
    found = _registry().get_version(agent, version)
    click.echo(_VERSION.dump_json(found, indent=None if as_json else 2).decode())


@registry.command()
@click.argument("agent")
@click.argument("version")
@options.as_json
def lineage(agent: str, version: str, as_json: bool) -> None:
    """Show what a version was trained from, back to its root."""
    chain = _registry().lineage(agent, version)
    config = chain[-1].training_config
    root = config.base_model if config else None
    if as_json:
        click.echo(json.dumps({"versions": [known.version for known in chain], "root": root}))
        return
    click.echo(" ← ".join(known.version for known in chain))
    if root is not None:
        click.echo(f"{chain[-1].version} was trained from {root}.")


@registry.command()
@click.argument("agent")
@click.argument("old")
@click.argument("new")
@options.as_json
def compare(agent: str, old: str, new: str, as_json: bool) -> None:
    """Show what differs between two versions."""
    diff = _registry().compare_versions(agent, old, new)
    if as_json:
        changes = {
            "config": [asdict(change) for change in diff.config],
            "scores": [asdict(change) for change in diff.scores],
        }
        click.echo(json.dumps({"agent": agent, "a": old, "b": new, **changes}))
        return
    settings = [(change.name, change.a, change.b) for change in diff.config]
    tables.table(f"{agent}: how they were trained", ("setting", old, new), settings)
    scores = [(change.name, change.a, change.b, change.difference) for change in diff.scores]
    tables.table(f"{agent}: how they did", ("score", old, new, "difference"), scores)


@registry.command()
@click.argument("agent")
@options.as_json
def served(agent: str, as_json: bool) -> None:
    """Show what served when."""
    entries = _registry().agent(agent).served
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries]))
        return
    rows = [(e.version, e.role, f"{e.percent} %", e.since, e.until) for e in entries]
    tables.table(f"What served {agent}", ("version", "role", "share", "since", "until"), rows)


@registry.command()
@click.argument("agent")
@click.argument("version")
@click.argument("tags", nargs=-1, required=True)
@options.as_json
def tag(agent: str, version: str, tags: tuple[str, ...], as_json: bool) -> None:
    """Add tags to a version."""
    tagged = _registry().add_tags(agent, version, *tags)
    _audited("tag", agent, version=version, tags=tags)
    if as_json:
        click.echo(json.dumps({"version": tagged.version, "tags": tagged.tags}))
    else:
        click.echo(f"{tagged.version}: {', '.join(tagged.tags)}")


@registry.command()
@click.argument("agent")
@click.argument("version")
@options.as_json
def retire(agent: str, version: str, as_json: bool) -> None:
    """Archive a version that serves nobody."""
    retired = _registry().retire(agent, version)
    _audited("retire", agent, version=version)
    if as_json:
        click.echo(json.dumps({"version": version, "status": retired.deployment_status}))
    else:
        click.echo(f"{version} of {agent} is archived.")


@registry.command()
@options.as_json
def backups(as_json: bool) -> None:
    """List the backups, newest first."""
    names = [backup.name for backup in _registry().backups()]
    click.echo(json.dumps(names) if as_json else "\n".join(names) or "No backups.")


@registry.command()
@click.argument("backup")
@options.as_json
def restore(backup: str, as_json: bool) -> None:
    """Put a backup in the registry's place."""
    restored = _registry().restore(backup)
    _audited("restore", backup, revision=restored.revision)
    if as_json:
        click.echo(json.dumps({"backup": backup, "revision": restored.revision}))
    else:
        click.echo(f"Restored {backup}: revision {restored.revision}.")
