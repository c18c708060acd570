"""A turn that its person stops: agents end before their next step, a model that writes is cut off.

A tool that was begun is finished, so that nobody has to guess what it did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from langchain.agents.middleware import (
    AgentMiddleware,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
)
from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.types import Command

from agent_orchestrator.errors import Stopped

T = TypeVar("T")


class StopSign:
    """Whether a turn shall end. Belongs to one event loop."""

    def __init__(self) -> None:
        self._given = asyncio.Event()
        self._by = ""

    def give(self, by: str) -> None:
        """Let the turn end; ``by`` is who wants it."""
        self._by = self._by or by
        self._given.set()

    def check(self) -> None:
        """Raise Stopped once the sign was given."""
        if self._given.is_set():
            raise Stopped(
                f"Stopped by {self._by!r}.", remedy="What was done until then stays. Say it again."
            )

    async def unless(self, work: Awaitable[T]) -> T:
        """Return what ``work`` returns; cut it off and raise Stopped when the sign is given.

        After the sign it is not begun.
        """
        working = asyncio.ensure_future(work)
        given = asyncio.create_task(self._given.wait())
        try:
            self.check()
            await asyncio.wait({working, given}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                self.check()
            return await working
        finally:
            given.cancel()
            if not working.done():
                working.cancel()
                await asyncio.wait({working})


def stop_sign_of(config: RunnableConfig) -> StopSign:
    """Return the sign of the turn that runs; without a conversation one that nobody gives."""
    found = config.get("configurable", {}).get("stop_sign")
    return found if isinstance(found, StopSign) else StopSign()


class Stopping(AgentMiddleware):
    """Heeds the sign before every call. Outermost: no approval is spent on a call not made."""

    async def awrap_model_call(
        self,
        request: ModelRequest[None],
        handler: Callable[[ModelRequest[None]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Call the model, which may be cut off."""
        return await stop_sign_of(get_config()).unless(handler(request))

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Call the tool, to its end."""
        stop_sign_of(get_config()).check()
        return await handler(request)
