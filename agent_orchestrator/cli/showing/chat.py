"""How a conversation looks at a terminal, and for machines: a JSON document for each event."""

from __future__ import annotations

import json
import sys
from types import TracebackType
from typing import Self

import anyio.to_thread
import click

from agent_orchestrator.agents.infrastructure.modelops.usecases.approvals import ApprovalView
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import JobReport
from agent_orchestrator.cli.progress import JobProgress
from agent_orchestrator.cli.tables import clock
from agent_orchestrator.conversation.events import (
    AgentWorks,
    ApprovalNeeded,
    Event,
    Message,
    Problem,
    Progress,
    Token,
)
from agent_orchestrator.errors import ChefError


class Screen:
    """Shows events. What a model writes appears as it comes; its whole message is not repeated."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._written: str | None = None
        self._progress: JobProgress | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether a person can be asked."""
        return not self._as_json and sys.stdin.isatty() and sys.stderr.isatty()

    def __enter__(self) -> Self:
        """Begin a turn."""
        self._written = None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End a turn: leave the bar as it stands."""
        self._end_progress()

    def show(self, event: Event) -> None:
        """Show one event."""
        if self._as_json:
            click.echo(event.model_dump_json())
            return
        if isinstance(event, Progress):
            self._show_progress(event)
            return
        self._end_progress()
        match event:
            case Token():
                self._show_token(event)
            case Message():
                self._show_message(event)
            case AgentWorks():
                what = f"uses {event.tool}" if event.tool else event.task or "works"
                click.secho(f"{event.agent}: {what}", dim=True, err=True)
            case Problem():
                text = " ".join(f"{event.message} {event.remedy}".split())
                click.secho(f"Error: {text}", fg="red", err=True)
            case ApprovalNeeded():
                until = clock(event.expires_at)
                click.secho(f"Waits for approval {event.approval_id}, until {until}.", err=True)
            case _:
                pass

    def failed(self, error: ChefError) -> None:
        """Show an error that is no event."""
        click.secho(f"Error: {error}", fg="red", err=True)

    async def ask_approval(self, asked: ApprovalView) -> bool | None:
        """Ask a person; None where there is none, or who leaves it waiting."""
        if not self.is_terminal:
            return None
        if (call := asked.tool_call) is not None:
            click.echo(f"{call.agent} wants to call a tool.", err=True)
            for name in ("server", "tool", "arguments"):
                click.echo(f"  {name:10} {json.dumps(getattr(call, name))}", err=True)
        else:
            click.echo(f"{asked.summary} Up to ${asked.price_ceiling_usd:.2f}.", err=True)
        click.secho(
            "Approve? [y: yes, n: reject, Enter: leave it waiting] ", nl=False, bold=True, err=True
        )
        said = await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
        answers = {"y": True, "yes": True, "n": False, "no": False}
        return answers.get(said.strip().lower())

    def _show_token(self, event: Token) -> None:
        if self._written != event.message_id:
            click.secho(f"{event.agent}> ", fg="cyan", nl=False)
            self._written = event.message_id
        click.echo(event.text, nl=False)

    def _show_message(self, event: Message) -> None:
        if self._written == event.message_id:
            click.echo()
        else:
            click.secho(f"{event.agent}> ", fg="cyan", nl=False)
            click.echo(event.text)
        self._written = None

    def _show_progress(self, event: Progress) -> None:
        if self._progress is None:
            self._progress = JobProgress()
            self._progress.__enter__()
        values = event.model_dump(exclude={"type", "seq", "stage"})
        self._progress.update(JobReport(**values, message=event.stage))

    def _end_progress(self) -> None:
        if self._progress is not None:
            self._progress.__exit__(None, None, None)
            self._progress = None
