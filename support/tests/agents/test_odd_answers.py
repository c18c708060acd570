"""What real models do now and then: each oddity has a clear outcome, over the real wire format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from tests.agents.test_base_agent import ASKED, Setting, call, profile, serving, thread
from tests.doubles.openai_server import Reply

from agent_orchestrator.agents._shared.base_agent import AgentResult, BaseAgent
from agent_orchestrator.errors import FailedError

WHOLE = {"path": "a.py", "text": "def f():\n    return 1\n"}
written: list[dict[str, str]] = []


@tool
def write_file(path: str, text: str) -> str:
    """Write a file."""
    written.append({"path": path, "text": text})
    return f"Wrote {path}."


@pytest.fixture(autouse=True)
def nothing_written() -> None:
    """Begin with no file."""
    written.clear()


def calling(arguments: str, **more: Any) -> Reply:
    """Return an answer that calls write_file with these arguments, as they are."""
    function = {"name": "write_file", "arguments": arguments}
    calls = [{"id": "call_1", "type": "function", "function": function}]
    return Reply("", **{"tool_calls": calls, **more})


async def worked(setting: Setting, *, streamed: bool = True) -> AgentResult:
    """Let the agent work; streamed as in a conversation, whose door wants the tokens."""
    agent = BaseAgent(profile(core=["write_file"]), setting.model, [write_file])
    if not streamed:
        return await agent.run(ASKED, thread("t1"))
    state: Any = None
    given = {"messages": [HumanMessage("Mend a.py", id="1")]}
    async for mode, state in agent.graph.astream(  # noqa: B007 - the last state
        given, thread("t1"), stream_mode=["messages", "values"]
    ):
        assert mode in {"messages", "values"}
    return AgentResult(
        agent=agent.name, messages=tuple(state["messages"][1:]), calls=(), outcome="finished"
    )


def told(setting: Setting, request: int) -> str:
    """Return what a request said last to the model."""
    return str(setting.server.requests[request].body["messages"][-1]["content"])


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (Reply(""), "It was empty"),
        (Reply("  "), "It was empty"),
        (Reply("I will now", finish_reason="length"), "cut off at the greatest length"),
        (Reply("", finish_reason="content_filter"), "It was empty"),
        (calling(json.dumps(WHOLE)[:-9], finish_reason="length", pieces=3), "cannot be read"),
        (calling('{"path": "a.py", "text": '), "cannot be read"),
        (calling("a.py"), "cannot be read"),
        (calling('["a.py"]'), "not a JSON object"),
        (calling("{}", tool_calls=[{"function": {"arguments": "{}"}}]), "cannot be read"),
    ],
)
async def test_an_answer_that_cannot_be_used_is_asked_for_again(
    odd: Reply, why: str, streamed: bool
):
    """Nothing of it is carried out, above all no half of a file; the model is told why."""
    async with serving(odd, calling(json.dumps(WHOLE)), Reply("Done.")) as setting:
        result = await worked(setting, streamed=streamed)
    assert why in told(setting, 1)
    assert written == [WHOLE]
    assert result.text == "Done."


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (call("fly_away", to="Mars"), "fly_away is not a valid tool"),
        (calling('{"path": "a.py"}'), "text"),
        (calling('{"path": "a.py", "text": 7}'), "text"),
    ],
)
async def test_a_call_that_no_tool_takes_is_answered(odd: Reply, why: str, streamed: bool):
    """The model reads what is wrong with it, as the tool's answer."""
    async with serving(odd, calling(json.dumps(WHOLE)), Reply("Done.")) as setting:
        result = await worked(setting, streamed=streamed)
    assert why in told(setting, 1)
    assert written == [WHOLE]
    assert result.text == "Done."


async def test_calls_in_pieces_and_at_once_are_put_together():
    """Their arguments come mixed, without ids, or as an object instead of a text."""
    other = {"path": "b.py", "text": "{}"}
    calls = [
        {"type": "function", "function": {"name": "write_file", "arguments": json.dumps(one)}}
        for one in (WHOLE, other)
    ]
    third = {"path": "c.py", "text": ""}
    plain = [{"id": "call_1", "function": {"name": "write_file", "arguments": third}}]
    replies = (Reply("", tool_calls=calls, pieces=7), Reply("", tool_calls=plain), Reply("Done."))
    async with serving(*replies) as setting:
        result = await worked(setting)
    assert sorted(written, key=str) == sorted([WHOLE, other, third], key=str)
    assert result.text == "Done."


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_refusal_is_an_answer(streamed: bool):
    """The person reads it in the model's words."""
    async with serving(Reply("", refusal="I will not do that.")) as setting:
        result = await worked(setting, streamed=streamed)
    assert result.text == "I will not do that."


async def test_a_model_that_gives_nothing_else_ends_the_work_with_an_error():
    """After three in a row; one good answer in between begins the count anew."""
    good = calling(json.dumps(WHOLE))
    replies = (Reply(""), Reply(""), good, Reply(""), Reply(""), Reply(""), Reply("late"))
    async with serving(*replies) as setting:
        with pytest.raises(
            FailedError, match="3 answers of feature_dev's model in a row cannot be used"
        ):
            await worked(setting, streamed=False)
    assert len(setting.server.requests) == 6
