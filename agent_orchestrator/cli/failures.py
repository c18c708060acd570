"""How errors look: one line on stderr and, for machines, one document on stdout."""

from __future__ import annotations

import json

import click

from agent_orchestrator.errors import (
    ApprovalRequired,
    ChefError,
    GateFailed,
    JobFailed,
    as_document,
)


class ShownFailure(JobFailed):
    """Work that did not succeed, its report printed already."""


def show(error: ChefError, *, as_json: bool) -> None:
    """Print an error; one of the checklist with its points, beside the one line."""
    if as_json and not isinstance(error, ShownFailure):
        click.echo(json.dumps(as_document(error)))
    if isinstance(error, GateFailed) and len(error.checklist) > 1:
        from agent_orchestrator.cli import tables  # its tables load slowly

        title, columns = "The checklist before traffic", ("check", "verdict", "finding")
        tables.table(title, columns, error.checklist, stderr=True)
    mark = "Waiting:" if isinstance(error, ApprovalRequired) else "Error:"
    click.echo(" ".join(f"{mark} {error}".split()), err=True)
