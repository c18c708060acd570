"""How errors look: one line on stderr and, for machines, one document on stdout."""

from __future__ import annotations

import json

import click

from agent_orchestrator.errors import ApprovalRequired, ChefError, GateFailed, JobFailed


class ShownFailure(JobFailed):
    """Work that did not succeed, its report printed already."""


def show(error: ChefError, *, as_json: bool) -> None:
    """Print an error; one of the checklist with its points, beside the one line."""
    if as_json and not isinstance(error, ShownFailure):
        document: dict[str, object] = {
            "error": type(error).__name__,
            "message": error.message,
            "remedy": error.remedy,
        }
        if isinstance(error, ApprovalRequired):
            document["approval_id"] = error.approval_id
        if isinstance(error, GateFailed):
            document["checklist"] = [
                dict(zip(("name", "verdict", "message"), point, strict=True))
                for point in error.checklist
            ]
        click.echo(json.dumps(document))
    if isinstance(error, GateFailed) and len(error.checklist) > 1:
        from agent_orchestrator.cli import tables  # its tables load slowly

        title, columns = "The checklist before traffic", ("check", "verdict", "finding")
        tables.table(title, columns, error.checklist, stderr=True)
    mark = "Waiting:" if isinstance(error, ApprovalRequired) else "Error:"
    click.echo(" ".join(f"{mark} {error}".split()), err=True)
