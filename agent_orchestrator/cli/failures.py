"""How errors look: one line on stderr and, for machines, one document on stdout."""

from __future__ import annotations

import json

import click

from agent_orchestrator.errors import ApprovalRequired, ChefError, JobFailed


class ShownFailure(JobFailed):
    """Work that did not succeed, its report printed already."""


def show(error: ChefError, *, as_json: bool) -> None:
    """Print an error."""
    if as_json and not isinstance(error, ShownFailure):
        document = {
            "error": type(error).__name__,
            "message": error.message,
            "remedy": error.remedy,
        }
        if isinstance(error, ApprovalRequired):
            document["approval_id"] = error.approval_id
        click.echo(json.dumps(document))
    mark = "Waiting:" if isinstance(error, ApprovalRequired) else "Error:"
    click.echo(" ".join(f"{mark} {error}".split()), err=True)
