"""An agent: a prompt, a model that is reached through the router, and tools chosen by need."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, TypedDict
from uuid import uuid4

from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelCallLimitMiddleware,
    SummarizationMiddleware,
    ToolCallRequest,
    ToolErrorMiddleware,
    ToolRetryMiddleware,
)
from langchain.agents.structured_output import ToolStrategy
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from mcp import McpError
from pydantic import BaseModel

from agent_orchestrator.agents._shared.answer_log import Answer, AnswerLog
from agent_orchestrator.agents._shared.asked_calls import AskedCalls, unanswered
from agent_orchestrator.agents._shared.model_calls import ModelCall
from agent_orchestrator.agents._shared.odd_answers import OddAnswers
from agent_orchestrator.agents._shared.profile import AgentProfile
from agent_orchestrator.agents._shared.stopping import Stopping
from agent_orchestrator.agents._shared.tool_choice import ToolChoice
from agent_orchestrator.agents._shared.tool_news import ToolNews
from agent_orchestrator.errors import ChefError, UnavailableError

Turn = AbstractAsyncContextManager[Any]
"""Entered again and again; an ``asyncio.Lock`` is one."""
Ending = Literal["finished", "out_of_calls", "waits"]
"""The model had nothing left to do, it had no call left, or calls of tools wait for approvals."""

_KEPT_SHARE = 3
"""A third of a long conversation stays as it is, so that it is not summed up at every call."""
_RETRIES = 2


class PausedRun(TypedDict):
    """A run that waits for approvals, as it is kept: messages and plain JSON."""

    messages: list[AnyMessage]
    """The whole conversation; the last one makes calls."""
    given: list[str]
    """Ids of the messages that the run began with."""
    answers: list[Answer]
    asked: dict[str, str]
    """As in ``AskedState``."""
    unaskable: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentResult:
    """What came of one run of an agent."""

    agent: str
    messages: tuple[AnyMessage, ...]
    """What the agent added to the conversation, in order, as far as it was not summarised."""
    calls: tuple[ModelCall, ...]
    """All calls of its model, in order; none for a model that is not reached by the router."""
    outcome: Ending
    structured: BaseModel | None = None
    """The answer in the form that was asked for, where one was."""
    notes: tuple[str, ...] = ()
    """What a person should know of how it worked: a server of tools that could not be reached."""
    paused: PausedRun | None = None
    """What the run goes on with once its approvals are answered, where it waits for them."""

    @property
    def text(self) -> str:
        """The last thing that the agent said."""
        return self.messages[-1].text if self.messages else ""


class BaseAgent:
    """An agent ready to run; cheap to make, so that each workspace can have its own.

    Its conversation sticks to one arm by ``configurable.thread_id`` (see RoutedChatModel). Run in a
    node of a graph it uses that graph's checkpoints, and so survives what the graph survives.

    Args:
        profile: who it is.
        model: its model; ``serving.chat_model.RoutedChatModel`` in earnest.
        tools: all that it may use; which of them a request offers, its profile's strategy decides.
        answer: the form of its last answer, None for text.
        middleware: further middleware, outermost but for ``asking`` and ``Stopping``.
        asking: asks about tools that a person approves every call of; None: it has none.
        notes: what it has to do without, e.g. tools that could not be had; it is told, too.
        turn: held while it works, by agents that must not work at the same time.
    """

    def __init__(
        self,
        profile: AgentProfile,
        model: BaseChatModel,
        tools: Sequence[BaseTool] = (),
        *,
        answer: type[BaseModel] | None = None,
        middleware: Sequence[AgentMiddleware[Any, Any]] = (),
        asking: AskedCalls | None = None,
        notes: Sequence[str] = (),
        turn: Turn | None = None,
    ) -> None:
        self.profile = profile
        self.notes = tuple(notes)
        self._turn: Turn = turn or nullcontext()
        self._asks = asking is not None
        outermost: list[AgentMiddleware[Any, Any]] = [Stopping(), *([asking] if asking else [])]
        self.graph: Any = create_agent(
            model,
            tools,
            system_prompt="\n\n".join([profile.prompt, *notes]),
            middleware=[*outermost, *middleware, *_middleware(profile, model, tools)],
            response_format=ToolStrategy(answer) if answer else None,
        )
        """The compiled graph, for whoever wants it as a subgraph."""

    @property
    def name(self) -> str:
        """The agent's name in models.yaml."""
        return self.profile.name

    async def run(
        self, messages: Sequence[AnyMessage], config: RunnableConfig | None = None
    ) -> AgentResult:
        """Work on the last message of a conversation until it is done, waits or calls run out.

        Raises what the model raises (see RoutedChatModel), FailedError when none of its answers can
        be used; errors of tools are told to the model.
        """
        given = [_with_id(message) for message in messages]
        return await self._ran({"messages": given}, [str(m.id) for m in given], config)

    async def go_on(self, paused: PausedRun, config: RunnableConfig | None = None) -> AgentResult:
        """Go on with a run whose approvals are answered, with as many calls left as a new one."""
        kept: dict[str, Any] = {name: value for name, value in paused.items() if name != "given"}
        last = paused["messages"][-1]
        if not self._asks and isinstance(last, AIMessage):
            gone = [unanswered(c, "Its tool is not there any more.") for c in last.tool_calls]
            kept["messages"] = [*paused["messages"], *gone]
        return await self._ran(kept, paused["given"], config)

    async def _ran(
        self, begun: dict[str, Any], given: list[str], config: RunnableConfig | None
    ) -> AgentResult:
        async with self._turn:
            state = await self.graph.ainvoke(begun, config)
        answers: list[Answer] = state.get("answers", [])
        added = [m for m in state["messages"] if isinstance(m, AIMessage | ToolMessage)]
        structured = state.get("structured_response")
        paused = _paused(state, given)
        # The middleware that ends a run says so in a message that no model wrote.
        done = structured is not None or bool(answers and added[-1].id == answers[-1]["message_id"])
        return AgentResult(
            agent=self.name,
            messages=tuple(message for message in added if message.id not in given),
            calls=tuple(ModelCall(**answer["call"]) for answer in answers if answer["call"]),
            outcome="waits" if paused else "finished" if done else "out_of_calls",
            structured=structured,
            notes=self.notes,
            paused=paused,
        )


def _paused(state: dict[str, Any], given: list[str]) -> PausedRun | None:
    """Return what a run goes on with whose last message makes calls that wait."""
    last, asked = state["messages"][-1], state.get("asked", {})
    calls = last.tool_calls if isinstance(last, AIMessage) else []
    if not any(call["id"] in asked for call in calls):
        return None
    return PausedRun(
        messages=state["messages"],
        given=given,
        answers=state.get("answers", []),
        asked=asked,
        unaskable=state.get("unaskable", {}),
    )


def _with_id(message: AnyMessage) -> AnyMessage:
    return message if message.id else message.model_copy(update={"id": str(uuid4())})


def _middleware(
    profile: AgentProfile, model: BaseChatModel, tools: Sequence[BaseTool]
) -> list[AgentMiddleware[Any, Any]]:
    """Return what every agent's calls pass through; failover to other models is the router's."""
    return [
        OddAnswers(profile.name),
        AnswerLog(),
        ToolNews(profile.name),
        ModelCallLimitMiddleware(run_limit=profile.tools.model_calls),
        SummarizationMiddleware(
            model,
            trigger=("tokens", profile.tools.summarise_above_tokens),
            keep=("tokens", profile.tools.summarise_above_tokens // _KEPT_SHARE),
            # Trimming begins at a person's message: of one long piece of work nothing would remain.
            trim_tokens_to_summarize=None,
        ),
        ToolErrorMiddleware(_tell_the_model),
        # Inside of the former: what still fails after it is told.
        ToolRetryMiddleware(
            max_retries=_RETRIES,
            retry_on=(UnavailableError, ConnectionError, TimeoutError),
            on_failure="error",
        ),
        ToolChoice(profile.tools, tools),
    ]


def _tell_the_model(error: Exception, request: ToolCallRequest) -> str | None:
    """Return what the model learns of a tool's error; None for a defect of ours, which ends it."""
    if isinstance(error, ChefError | McpError | ConnectionError | TimeoutError):
        return f"{request.tool_call['name']} failed: {str(error) or type(error).__name__}"
    return None
