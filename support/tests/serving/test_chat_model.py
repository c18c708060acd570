"""The router as a LangChain chat model, driven through LangChain's own entry points."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from langchain_core.callbacks import AsyncCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from pydantic import BaseModel
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.serving.harness import (
    AGENT,
    CANDIDATE,
    PATIENT,
    STABLE,
    Recording,
    Tables,
    routing_table,
    settled,
    several_arms,
    upstream,
)

from agent_orchestrator.domain.routing import Arm, Strategy
from agent_orchestrator.serving.cache import CachePolicy, ResponseCache
from agent_orchestrator.serving.chat_model import RoutedChatModel
from agent_orchestrator.serving.failures import UpstreamFailure
from agent_orchestrator.serving.router import NoAnswerError, Router

CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "read_file", "arguments": '{"path": "a.py"}'},
}


@tool
def read_file(path: str) -> str:
    """Read a file."""
    return path


class Setting:
    """A chat model and what stands behind it."""

    def __init__(self, router: Router, recording: Recording, server: OpenAIServer) -> None:
        self.model = RoutedChatModel(agent=AGENT, router=router)
        self.recording = recording
        self.server = server

    @property
    def tasks(self) -> list[str]:
        """Return the task ids of the outcomes so far."""
        return [outcome.task_id for outcome in self.recording.outcomes]

    @property
    def body(self) -> Any:
        """Return the last request's body."""
        return self.server.requests[-1].body


@asynccontextmanager
async def serving(reply: Reply | None = None) -> AsyncIterator[Setting]:
    """Serve AGENT's canary, all of it on the candidate."""
    async with OpenAIServer(reply or Reply("Hello there")) as server, upstream() as models:
        urls = {CANDIDATE: server.url, STABLE: server.url}
        recording = Recording()
        tables = Tables(routing_table(urls, weight=100))
        yield Setting(Router(tables, models, recording, breaker=PATIENT), recording, server)


@contextmanager
def serving_in_a_thread(reply: Reply | None = None) -> Iterator[Setting]:
    """The same on an event loop in another thread, as a synchronous program has it."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving(reply)) as setting,
    ):
        yield setting


METADATA = {
    "agent": AGENT,
    "arm": "candidate",
    "model_version": "v1.1.0",
    "rollout_id": "ro_1",
    "model_name": CANDIDATE,
    "finish_reason": "stop",
}


def check_metadata(message: AIMessage) -> None:
    """Check who is said to have answered."""
    metadata = dict(message.response_metadata)
    assert len(metadata.pop("request_id")) == 36
    assert metadata == METADATA


async def test_a_message_says_who_answered_and_what_it_cost():
    """Content, usage, arm, version and request id."""
    async with serving() as setting:
        message = await setting.model.ainvoke("Hello")
    assert message.content == "Hello there"
    assert message.usage_metadata == {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}
    check_metadata(message)
    [outcome] = setting.recording.outcomes
    assert outcome.request_id == message.response_metadata["request_id"]
    assert setting.body["messages"] == [{"role": "user", "content": "Hello"}]
    assert "task_id" not in setting.body


async def test_chunks_add_up_to_the_same_message():
    """A stream comes in pieces whose sum carries the same facts, once."""
    async with serving(Reply("one two three")) as setting:
        chunks = [chunk async for chunk in setting.model.astream("Hello")]
    whole = sum(chunks[1:], chunks[0])
    assert [chunk.content for chunk in chunks if chunk.content] == ["one ", "two ", "three"]
    assert isinstance(whole, AIMessageChunk)
    assert whole.usage_metadata["output_tokens"] == 3
    check_metadata(whole)
    assert [outcome.valid_output for outcome in setting.recording.outcomes] == [True]


@pytest.mark.parametrize(
    ("config", "task"),
    [
        ({"metadata": {"task_id": "a", "thread_id": "b"}}, "a"),
        ({"metadata": {"thread_id": "b"}, "configurable": {"thread_id": "c"}}, "b"),
        ({"configurable": {"thread_id": 7}}, "7"),
    ],
)
async def test_a_task_is_the_one_of_the_calls_config(config: Any, task: str):
    """Through every entry point, also when the config comes from the runnable around the model."""

    async def around(text: str) -> AIMessage:
        return await setting.model.ainvoke(text)

    async with serving() as setting:
        await setting.model.ainvoke("x", config)
        _ = [chunk async for chunk in setting.model.astream("x", config)]
        await setting.model.bind(temperature=0).ainvoke("x", config)
        await setting.model.abatch(["x"], config)
        await RunnableLambda(around).ainvoke("x", config)
    assert setting.tasks == [task] * 5


async def test_without_a_task_every_call_is_its_own():
    """Two calls are two tasks, named by their request ids."""
    async with serving() as setting:
        for _ in range(2):
            await setting.model.ainvoke("x")
    assert setting.tasks == [outcome.request_id for outcome in setting.recording.outcomes]
    assert len(set(setting.tasks)) == 2


async def test_parameters_tools_and_stop_words_reach_the_upstream():
    """The model's parameters, those of the call, and the conversation with tool results."""
    async with serving() as setting:
        model = RoutedChatModel(
            agent=AGENT, router=setting.model.router, parameters={"temperature": 0, "top_p": 1}
        )
        conversation = [
            HumanMessage("Read a.py"),
            AIMessage("", tool_calls=[{"name": "read_file", "args": {"path": "a.py"}, "id": "1"}]),
            ToolMessage("print()", tool_call_id="1"),
        ]
        bound = model.bind_tools([read_file], tool_choice="read_file")
        await bound.ainvoke(conversation, stop=["END"], temperature=1)
    body = setting.body
    assert (body["temperature"], body["top_p"], body["stop"]) == (1, 1, ["END"])
    assert body["tools"][0]["function"]["name"] == "read_file"
    assert body["tool_choice"] == {"type": "function", "function": {"name": "read_file"}}
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool"]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("any", "required"),
        (True, "required"),
        ("auto", "auto"),
        ("none", "none"),
        ({"type": "function"}, {"type": "function"}),
        (None, None),
    ],
)
async def test_a_tool_choice_is_sent_in_openais_words(choice: Any, sent: Any):
    """LangChain's ``any`` is OpenAI's ``required``."""
    async with serving() as setting:
        await setting.model.bind_tools([read_file], tool_choice=choice).ainvoke("x")
    assert setting.body.get("tool_choice") == sent


async def test_tool_calls_come_back_whole_or_streamed():
    """Both ways the call can be carried out."""
    expected = {"name": "read_file", "args": {"path": "a.py"}, "id": "call_1", "type": "tool_call"}
    async with serving(Reply("", tool_calls=[CALL])) as setting:
        message = await setting.model.ainvoke("x")
        chunks = [chunk async for chunk in setting.model.astream("x")]
    assert message.tool_calls == [expected]
    assert sum(chunks[1:], chunks[0]).tool_calls == [expected]


@pytest.mark.parametrize(
    ("arguments", "said"), [('{"path": ', "not JSON"), ("[1]", "not a JSON object")]
)
async def test_a_malformed_tool_call_is_kept_as_invalid(arguments: str, said: str):
    """The agent sees what the model wrote, and does not crash."""
    call = {**CALL, "function": {"name": "read_file", "arguments": arguments}}
    async with serving(Reply("", tool_calls=[call])) as setting:
        message = await setting.model.ainvoke("x")
    assert message.tool_calls == []
    [invalid] = message.invalid_tool_calls
    assert invalid["args"] == arguments
    assert said in invalid["error"]


async def test_structured_output_works():
    """LangChain's own structured output goes through the tools."""

    class Verdict(BaseModel):
        """A verdict."""

        ok: bool

    call = {**CALL, "function": {"name": "Verdict", "arguments": '{"ok": true}'}}
    async with serving(Reply("", tool_calls=[call])) as setting:
        assert await setting.model.with_structured_output(Verdict).ainvoke("x") == Verdict(ok=True)


async def test_callbacks_hear_tokens_and_usage():
    """Tracers and token counters work as with any chat model."""

    class Listener(AsyncCallbackHandler):
        """Hears tokens."""

        tokens: list[str] = []  # noqa: RUF012

        async def on_llm_new_token(self, token: Any, **_: Any) -> None:  # type: ignore[override]
            """Hear one."""
            self.tokens.append(token)

    listener, usage = Listener(), UsageMetadataCallbackHandler()
    async with serving(Reply("a b")) as setting:
        config: Any = {"callbacks": [listener, usage]}
        _ = [chunk async for chunk in setting.model.astream("x", config)]
    assert [token for token in listener.tokens if token] == ["a ", "b"]
    assert usage.usage_metadata[CANDIDATE]["total_tokens"] == 9


@pytest.mark.parametrize("streams", [False, True])
async def test_failures_are_raised_as_they_are(*, streams: bool):
    """An agent can tell 'nobody answers' from a bug."""
    async with serving(Reply(status=500)) as setting:
        chunks = setting.model.astream("x")
        with pytest.raises(NoAnswerError):
            await (anext(chunks) if streams else setting.model.ainvoke("x"))


async def test_a_stream_that_is_left_ends_the_upstream_call():
    """The agent stops reading; the model stops writing."""
    async with serving(Reply("a b c d", between=5)) as setting:
        stream: Any = setting.model.astream("x")
        await anext(stream)
        await stream.aclose()
        await asyncio.wait_for(setting.server.client_left.wait(), 60)
    assert [outcome.error for outcome in setting.recording.outcomes] == ["abandoned"]


def test_synchronous_calls_run_on_the_routers_loop():
    """invoke, stream and batch of a program without a loop: same answers, same outcomes."""
    with serving_in_a_thread() as setting:
        config: Any = {"metadata": {"task_id": "a"}}
        check_metadata(setting.model.invoke("x", config))
        chunks = list(setting.model.stream("x", config))
        setting.model.batch(["x", "y"], config)
    assert "".join(str(chunk.content) for chunk in chunks) == "Hello there"
    assert setting.tasks == ["a"] * 4


def test_a_synchronous_stream_ends_and_fails_like_the_other():
    """Leaving early ends the call; a cut stream raises."""
    with serving_in_a_thread(Reply("a b c", cut_after=2)) as setting:
        with pytest.raises(UpstreamFailure, match="broke off"):
            list(setting.model.stream("x"))
        setting.server.answer_with(Reply("a b c d", between=5))
        stream: Any = setting.model.stream("x")
        next(stream)
        stream.close()
    assert [outcome.error for outcome in setting.recording.outcomes] == ["cut_off", "abandoned"]


async def test_a_synchronous_call_on_the_loop_itself_is_refused():
    """It would wait for itself for ever."""
    async with serving() as setting:
        with pytest.raises(RuntimeError, match="ainvoke"):
            setting.model.invoke("x")


async def test_the_model_says_what_it_is():
    """Traces name the agent; the router is no part of them."""
    async with serving() as setting:
        assert setting.model._identifying_params == {"model_name": f"agent/{AGENT}"}
        assert setting.model._llm_type == "code-chef-routed"
        assert "router" not in repr(setting.model)


@asynccontextmanager
async def rolling_out(strategy: Strategy, *arms: Arm) -> AsyncIterator[tuple[Router, Recording]]:
    """A router whose agent has a rollout over one upstream."""
    recording = Recording()
    async with OpenAIServer(Reply("same")) as server, upstream() as models:
        urls = {arm.model: server.url for arm in arms}
        tables = Tables(several_arms(urls, arms, strategy=strategy))
        async with Router(tables, models, recording, breaker=PATIENT) as router:
            yield router, recording


@pytest.mark.parametrize("streams", [False, True])
async def test_calls_in_process_are_mirrored_too(*, streams: bool):
    """The same core serves: a copy, and a judgement on the pair."""
    arms = (Arm("stable", STABLE), Arm("candidate", CANDIDATE, None, 0, mirror=100))
    async with rolling_out("shadow", *arms) as (router, recording):
        model = RoutedChatModel(agent=AGENT, router=router)
        if streams:
            assert "".join([str(chunk.content) async for chunk in model.astream("Hi")]) == "same"
        else:
            assert (await model.ainvoke("Hi")).content == "same"
        await settled(lambda: bool(recording.feedback))
        assert [o.role for o in recording.outcomes] == ["serve", "mirror"]


@pytest.mark.parametrize("streams", [False, True])
async def test_an_ensemble_answers_in_process_too(*, streams: bool):
    """Whole or streamed; the message says who answered."""
    arms = (Arm("stable", STABLE, None, 50), Arm("candidate", CANDIDATE, None, 50))
    async with rolling_out("ensemble", *arms) as (router, recording):
        model = RoutedChatModel(agent=AGENT, router=router)
        if streams:
            chunks = [chunk async for chunk in model.astream("Hi")]
            assert "".join(str(chunk.content) for chunk in chunks) == "same"
            assert chunks[0].response_metadata["arm"] == "ensemble"
            assert chunks[-1].usage_metadata is not None or chunks[-2].usage_metadata is not None
        else:
            message = await model.ainvoke("Hi")
            assert (message.content, message.response_metadata["arm"]) == ("same", "ensemble")
        assert {o.role for o in recording.outcomes} == {"serve", "member"}


async def test_a_kept_answer_is_said_to_be_one():
    """With a cache the second call asks nobody."""
    async with OpenAIServer(Reply("kept")) as server, upstream() as models:
        cache = ResponseCache(CachePolicy(most_bytes=1_000_000), lambda: 0.0)
        tables = Tables(routing_table({STABLE: server.url}))
        router = Router(tables, models, Recording(), cache=cache)
        model = RoutedChatModel(agent=AGENT, router=router, parameters={"temperature": 0})
        first, again = await model.ainvoke("Hi"), await model.ainvoke("Hi")
        assert "cached" not in first.response_metadata
        assert again.response_metadata["cached"] is True
        assert len(server.requests) == 1
