"""The router as a LangChain chat model, for agents in this process."""

# The signatures are LangChain's.
# ruff: noqa: A002

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from typing import Any, TypeVar
from uuid import uuid4

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    BaseRunManager,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    convert_to_openai_messages,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from agent_orchestrator.serving.langchain_messages import (
    SentCalls,
    as_sent,
    served_metadata,
    to_chunk,
    to_message,
)
from agent_orchestrator.serving.langchain_runs import langchain_run
from agent_orchestrator.serving.router import Router
from agent_orchestrator.serving.tracing import traced_under

T = TypeVar("T")


class RoutedChatModel(BaseChatModel):
    """The model of one agent, whichever arm that is for the task.

    The task is ``metadata.task_id`` of the call's config, else its ``thread_id`` (metadata or
    configurable), else every call is a task of its own. Answers carry ``usage_metadata`` and, in
    ``response_metadata``, ``agent, arm, model_version, rollout_id, request_id, model_name``.

    Asynchronous calls run on the router's event loop. Synchronous ones are handed to it from
    another thread; on its own thread they raise RuntimeError, as they would wait for themselves.
    Raises what ``Router.complete`` and ``Router.stream`` raise.
    """

    agent: str
    router: Router = Field(exclude=True, repr=False)
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    """Fields of every request's body, e.g. ``temperature``."""
    cache: Any = Field(default=False, exclude=True)
    """Off: an answer from a cache would be missing among the outcomes."""

    @property
    def _llm_type(self) -> str:
        return "code-chef-routed"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": f"agent/{self.agent}", **self.parameters}

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools; ``tool_choice`` is a tool's name, ``auto``, ``any`` or ``none``."""
        offered = [convert_to_openai_tool(tool) for tool in tools]
        if tool_choice:
            kwargs["tool_choice"] = _tool_choice(tool_choice)
        return self.bind(tools=offered, **kwargs)

    # LangChain hands the config to these four only; what they call sees just the keyword arguments.

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answer; see the class for the task and the errors."""
        return as_sent(super().invoke(input, config, **_with_task(config, kwargs)))

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """Answer; see the class for the task and the errors."""
        return as_sent(await super().ainvoke(input, config, **_with_task(config, kwargs)))

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        """Answer in chunks; see the class for the task and the errors."""
        return super().stream(input, config, **_with_task(config, kwargs))

    def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        """Answer in chunks; see the class for the task and the errors."""
        return super().astream(input, config, **_with_task(config, kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await self._answer(messages, stop, run_manager, kwargs)

    async def _answer(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run_manager: BaseRunManager | None,
        kwargs: dict[str, Any],
    ) -> ChatResult:
        task_id, body = self._request(messages, stop, kwargs)
        request_id = str(uuid4())
        with traced_under(langchain_run(run_manager, request_id)):
            routed = await self.router.complete(
                self.agent, body, task_id=task_id or request_id, request_id=request_id
            )
        completion = routed.completion
        choice = completion.answer.data["choices"][0]
        message = to_message(choice, completion.usage, served_metadata(routed.served))
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with aclosing(self._chunks(messages, stop, run_manager, kwargs)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _chunks(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run_manager: BaseRunManager | None,
        kwargs: dict[str, Any],
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        task_id, body = self._request(messages, stop, kwargs)
        body = {"stream_options": {"include_usage": True}, **body, "stream": True}
        request_id = str(uuid4())
        with traced_under(langchain_run(run_manager, request_id)):
            stream = await self.router.stream(
                self.agent, body, task_id=task_id or request_id, request_id=request_id
            )
        async with stream:
            metadata = served_metadata(stream.served)
            calls = SentCalls()
            async for chunk in stream:
                if chunk.data is not None:
                    yield ChatGenerationChunk(message=to_chunk(chunk.data, metadata))
                    metadata = {}  # once: LangChain adds the chunks' metadata up
                    calls.add(chunk.data)
            for last in calls.chunks():
                yield ChatGenerationChunk(message=last)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._wait_for(self._answer(messages, stop, run_manager, kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        chunks = self._chunks(messages, stop, run_manager, kwargs)

        async def following() -> ChatGenerationChunk | None:
            return await anext(chunks, None)

        try:
            while (chunk := self._wait_for(following())) is not None:
                yield chunk
        finally:
            self._wait_for(_close(chunks))

    def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the router's event loop, from another thread."""
        if _runs_here(self.router.loop):
            work.close()
            raise RuntimeError("A synchronous call on the router's own event loop: use ainvoke.")
        future = asyncio.run_coroutine_threadsafe(work, self.router.loop)
        try:
            return future.result()
        finally:
            future.cancel()  # no effect unless this thread was interrupted

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> tuple[str | None, dict[str, Any]]:
        """Return the task id, None without one, and the request's body."""
        task_id = kwargs.pop(_TASK, None)
        body = {"messages": convert_to_openai_messages(messages), **self.parameters, **kwargs}
        if stop:
            body["stop"] = stop
        return task_id, body


_TASK = "task_id"


def _with_task(config: RunnableConfig | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments with the task id of the config, its parent's included."""
    whole = ensure_config(config)
    metadata, configurable = whole.get("metadata") or {}, whole.get("configurable") or {}
    found = (
        metadata.get("task_id"),
        metadata.get("thread_id"),
        configurable.get("task_id"),
        configurable.get("thread_id"),
    )
    task_id = next((str(value) for value in found if value), None)
    return {_TASK: task_id, **kwargs} if task_id else kwargs


def _tool_choice(choice: str | dict[str, Any] | bool) -> str | dict[str, Any]:
    if isinstance(choice, bool) or choice == "any":  # False was left out
        return "required"
    if isinstance(choice, str) and choice not in {"auto", "none", "required"}:
        return {"type": "function", "function": {"name": choice}}
    return choice


async def _close(chunks: AsyncGenerator[ChatGenerationChunk, None]) -> None:
    await chunks.aclose()


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
