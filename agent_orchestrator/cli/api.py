"""``chef api``: who may use the API, and what it offers."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import get_args

import click

from agent_orchestrator.cli import options, session, tables
from agent_orchestrator.domain.roles import Role
from agent_orchestrator.stores.access_tokens import AccessTokens
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import Database


def _tokens() -> AccessTokens:
    return AccessTokens(session.settings().api_tokens_file)


def _audited(action: str, name: str, **detail: str) -> None:
    log = AuditLog(Database(session.settings().database))
    log.append(time.time(), session.caller().name, f"access_token_{action}", name, detail)


@click.group()
def api() -> None:
    """Control who may use the HTTP API, and print its document."""


@api.command()
def openapi() -> None:
    """Print the OpenAPI document, from which clients are generated."""
    from agent_orchestrator.api.app import create_app

    click.echo(json.dumps(create_app(None).openapi(), indent=2))


@api.group()
def tokens() -> None:
    """Control the access tokens; servers that run follow within a second."""


@tokens.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(get_args(Role)),
    required=True,
    help="viewer: look. operator: also ask for changes. approver: look, and answer approvals. "
    "admin: everything.",
)
@options.as_json
def add(name: str, role: Role, as_json: bool) -> None:
    """Make a token for NAME, a person or a program, and show it, this once."""
    token = _tokens().add(name, role, time.time())
    _audited("added", name, role=role)
    click.echo(json.dumps({"name": name, "role": role, "token": token}) if as_json else token)


@tokens.command("list")
@options.as_json
def list_tokens(as_json: bool) -> None:
    """List who has a token, and their roles."""
    found = _tokens().read()
    if as_json:
        click.echo(json.dumps([asdict(token) for token in found]))
        return
    rows = [(one.name, one.role, tables.clock(one.created_at), one.sha256[:12]) for one in found]
    tables.table("Access tokens", ("name", "role", "since", "hash"), rows)


@tokens.command()
@click.argument("name")
@options.as_json
def revoke(name: str, as_json: bool) -> None:
    """Let NAME in no more."""
    _tokens().revoke(name)
    _audited("revoked", name)
    click.echo(json.dumps({"name": name}) if as_json else f"{name} is let in no more.")
