"""``chef gateway``: who may ask the gateway."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import click

from agent_orchestrator.cli import options, session, tables
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.gateway_keys import GatewayKeys, Scope


def _keys() -> GatewayKeys:
    return GatewayKeys(session.settings().gateway_keys_file)


def _audited(action: str, name: str, **detail: str) -> None:
    log = AuditLog(Database(session.settings().database))
    log.append(time.time(), session.caller().name, f"gateway_key_{action}", name, detail)


@click.group()
def gateway() -> None:
    """Control who may ask the gateway."""


@gateway.group()
def keys() -> None:
    """Control the clients' keys; gateways that run follow within a second."""


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(["chat", "metrics"]),
    default="chat",
    show_default=True,
    help="What it opens: /v1, or /metrics.",
)
@options.as_json
def add(name: str, scope: Scope, as_json: bool) -> None:
    """Make a key for the client NAME and show it, this once."""
    key = _keys().add(name, scope, time.time())
    _audited("added", name, scope=scope)
    click.echo(json.dumps({"name": name, "scope": scope, "key": key}) if as_json else key)


@keys.command("list")
@options.as_json
def list_keys(as_json: bool) -> None:
    """List the clients that have a key."""
    found = _keys().read()
    if as_json:
        click.echo(json.dumps([asdict(key) for key in found]))
        return
    rows = [(key.name, key.scope, tables.clock(key.created_at), key.sha256[:12]) for key in found]
    tables.table("Client keys", ("name", "scope", "since", "hash"), rows)


@keys.command()
@click.argument("name")
@options.as_json
def revoke(name: str, as_json: bool) -> None:
    """Let the client NAME in no more."""
    _keys().revoke(name)
    _audited("revoked", name)
    click.echo(json.dumps({"name": name}) if as_json else f"{name} is let in no more.")
