"""``chef chat``: the terminal's @chef, streaming, with approvals answered in place."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import click

from agent_orchestrator import errors
from agent_orchestrator.cli import session
from agent_orchestrator.cli.failures import ShownFailure
from agent_orchestrator.errors import ApprovalRequired, ChefError, InputError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
    from agent_orchestrator.cli.showing.chat import Screen
    from agent_orchestrator.conversation.events import ApprovalNeeded, Event
    from agent_orchestrator.wiring.orchestrator import Orchestrator

_FAREWELLS = frozenset({"exit", "quit", "bye", "/exit", "/quit"})


@click.command()
@click.argument("sentence", nargs=-1)
@click.option("--thread", help="Conversation to go on with; your own standing one when left out.")
@click.option("--new", is_flag=True, help="Begin a new conversation.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document for each event.")
def chat(sentence: tuple[str, ...], thread: str | None, new: bool, as_json: bool) -> None:
    """Talk to the agents: train, compare and deploy step by step.

    With a sentence there is one turn, else one for each line that you write. A conversation is
    kept: `chef chat "yes"` answers what was proposed last. Ctrl-C stops a turn: a tool
    that runs is finished, a job goes on without being followed.
    """
    if new and thread:
        raise InputError("--new and --thread contradict each other.", remedy="Give one of them.")
    from secrets import token_hex

    who = replace(session.caller(), door="chat")
    thread_id = f"chat-{token_hex(4)}" if new else thread or f"chat-{who.name}"
    anyio.run(_chat, " ".join(sentence), thread_id, who, as_json)


async def _chat(sentence: str, thread_id: str, who: Caller, as_json: bool) -> None:
    from agent_orchestrator.cli.showing.chat import Screen
    from agent_orchestrator.wiring.orchestrator import open_orchestrator

    async with open_orchestrator(session.settings()) as orchestrator:
        screen = Screen(as_json=as_json)
        talk = _Talk(orchestrator, thread_id, who, screen)
        if sentence:
            await talk.turn(sentence)
            talk.check()
            return
        if screen.is_terminal:
            click.echo(f"Conversation {thread_id}. Ctrl-D ends it; it is kept.", err=True)
        while (line := await _line(prompt=screen.is_terminal)) is not None:
            if line.strip().lower() in _FAREWELLS:
                return
            if line.strip():
                await talk.turn(line.strip())
        if not screen.is_terminal:
            talk.check()


class _Talk:
    """One thread, as one person talks in it at a terminal."""

    def __init__(
        self, orchestrator: Orchestrator, thread_id: str, who: Caller, screen: Screen
    ) -> None:
        self._orchestrator = orchestrator
        self._thread_id = thread_id
        self._who = who
        self._screen = screen
        self._problem: ChefError | None = None

    async def turn(self, text: str) -> None:
        """Say something, show what happens, and have approvals answered in place."""
        conversation = self._orchestrator.conversation
        asked = await self._show(conversation.send(self._thread_id, text, self._who))
        while asked is not None and await self._answered(asked):
            following = conversation.resume(self._thread_id, asked.approval_id, self._who)
            asked = await self._show(following)

    def check(self) -> None:
        """Raise what the last turn ended with: an error, or an approval that waits."""
        if self._problem is not None:
            raise self._problem

    async def _show(self, events: AsyncIterator[Event]) -> ApprovalNeeded | None:
        """Show a turn; return the approval that it waits for."""
        asked: ApprovalNeeded | None = None
        self._problem = None
        with self._screen, self._interrupt_stops():
            async for event in events:
                self._screen.show(event)
                if event.type == "approval_required":
                    asked = event
                    self._problem = ApprovalRequired(
                        event.approval_id,
                        f"Needs approval {event.approval_id}: {event.summary}",
                        remedy=f"Approve with `chef approve {event.approval_id} --only`, then go "
                        "on here.",
                    )
                elif event.type == "error":
                    self._problem = _Ended(event.error, event.message, event.remedy)
        return asked

    @contextmanager
    def _interrupt_stops(self) -> Iterator[None]:
        """Let Ctrl-C stop the turn, not the program."""
        loop = asyncio.get_running_loop()
        stop = self._orchestrator.conversation.stop
        loop.add_signal_handler(signal.SIGINT, stop, self._thread_id, self._who.name)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    async def _answered(self, asked: ApprovalNeeded) -> bool:
        """Ask whether to approve; return whether there is an answer by now."""
        coordinator = self._orchestrator.embedded.coordinator
        approval = await coordinator.get_approval(asked.approval_id)
        if approval.status != "pending":
            return True
        answer = await self._screen.ask_approval(approval)
        if answer is None:
            return False
        try:
            await coordinator.answer(
                asked.approval_id, self._who, approve=answer, reason="at the terminal"
            )
        except ChefError as error:
            self._screen.failed(error)
            return False
        return True


class _Ended(ShownFailure):
    """What a turn ended with, shown already; it has the exit code of the error that it was."""

    def __init__(self, name: str, message: str, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, ChefError):
            self.exit_code = kind.exit_code  # type: ignore[misc]  # the instance's own


async def _line(*, prompt: bool) -> str | None:
    """Read a line from the person; None at the end."""
    if prompt:
        click.secho("you> ", fg="green", nl=False, err=True)
    line = await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
    return line or None
