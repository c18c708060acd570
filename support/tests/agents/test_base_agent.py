"""An agent, on a scripted upstream behind the real router."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
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
    upstream,
)

from agent_orchestrator.agents._shared.base_agent import BaseAgent
from agent_orchestrator.agents._shared.profile import (
    AgentProfile,
    ToolProfile,
    load_profile,
    workers,
)
from agent_orchestrator.errors import InputError, SettingsError
from agent_orchestrator.serving.chat_model import RoutedChatModel
from agent_orchestrator.serving.router import Router


@tool
def read_file(path: str) -> str:
    """Read a file."""
    if path == "gone.py":
        raise InputError("No file 'gone.py'.")
    return f"The text of {path}."


@tool
def draw_chart(title: str) -> str:
    """Draw a chart."""
    return title


class Verdict(BaseModel):
    """The verdict."""

    accepted: bool


def call(name: str, /, **arguments: Any) -> Reply:
    """Return a reply that calls a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return Reply("", tool_calls=[{"id": f"call_{name}", "type": "function", "function": function}])


def profile(**changes: Any) -> AgentProfile:
    """Return feature_dev with a short prompt."""
    tools = {"description": "Writes code.", "core": ["read_file"], **changes}
    return AgentProfile(AGENT, "You write code.", ToolProfile.model_validate(tools))


@dataclass
class Setting:
    """A model behind the router."""

    model: RoutedChatModel
    recording: Recording
    server: OpenAIServer

    def offered(self, request: int) -> list[str]:
        """Return the tools that a request offered."""
        tools = self.server.requests[request].body.get("tools", [])
        return [offered["function"]["name"] for offered in tools]


@asynccontextmanager
async def serving(*replies: Reply, weight: int = 50) -> AsyncIterator[Setting]:
    """Serve AGENT's canary."""
    async with OpenAIServer(replies) as server, upstream() as models:
        recording = Recording()
        tables = Tables(routing_table({CANDIDATE: server.url, STABLE: server.url}, weight=weight))
        router = Router(tables, models, recording, breaker=PATIENT)
        yield Setting(RoutedChatModel(agent=AGENT, router=router), recording, server)


def thread(name: str) -> Any:
    """Return the config of a conversation."""
    return {"configurable": {"thread_id": name}}


ASKED = [HumanMessage("Mend a.py")]


async def test_an_agent_works_with_its_tools_and_says_who_answered():
    """The prompt leads, tools are called, and the result names the arm of every call."""
    async with serving(call("read_file", path="a.py"), Reply("Done.")) as setting:
        agent = BaseAgent(profile(), setting.model, [read_file])
        result = await agent.run(ASKED, thread("t1"))
    assert setting.server.requests[0].body["messages"][0] == {
        "role": "system",
        "content": "You write code.",
    }
    assert [message.type for message in result.messages] == ["ai", "tool", "ai"]
    assert (result.text, result.outcome) == ("Done.", "finished")
    assert [(c.request_id, c.arm) for c in result.calls] == [
        (o.request_id, o.arm) for o in setting.recording.outcomes
    ]


async def test_a_conversation_sticks_to_its_arm():
    """All calls of a thread go to one arm, and different threads feel both."""
    arms = set()
    async with serving(call("read_file", path="a.py"), Reply("Done.")) as setting:
        agent = BaseAgent(profile(), setting.model, [read_file])
        for number in range(12):
            setting.server.answer_with([call("read_file", path="a.py"), Reply("Done.")])
            first = await agent.run(ASKED, thread(f"t{number}"))
            again = await agent.run([*ASKED, *first.messages, *ASKED], thread(f"t{number}"))
            of_thread = {c.arm for c in (*first.calls, *again.calls)}
            assert len(of_thread) == 1
            arms |= of_thread
    assert arms == {"stable", "candidate"}
    assert {o.task_id for o in setting.recording.outcomes} == {f"t{n}" for n in range(12)}


async def test_a_tools_error_is_told_to_the_model():
    """An error raised on purpose is a tool's answer; the agent goes on."""
    async with serving(call("read_file", path="gone.py"), Reply("It is gone.")) as setting:
        result = await BaseAgent(profile(), setting.model, [read_file]).run(ASKED)
    assert result.messages[1].content == "read_file failed: No file 'gone.py'."
    assert result.text == "It is gone."


async def test_an_agent_that_goes_round_in_circles_is_stopped():
    """After the calls that its profile allows, it ends and says so."""
    async with serving(call("read_file", path="a.py")) as setting:
        result = await BaseAgent(profile(model_calls=3), setting.model, [read_file]).run(ASKED)
    assert result.outcome == "out_of_calls"
    assert len(result.calls) == len(setting.server.requests) == 3


async def test_tools_are_offered_by_need_and_on_demand():
    """A tool that the task does not speak of is offered once the model has asked for it."""
    script = (call("find_tools", need="draw something"), call("draw_chart", title="x"), Reply("Ok"))
    async with serving(*script) as setting:
        agent = BaseAgent(profile(), setting.model, [read_file, draw_chart])
        result = await agent.run(ASKED)
    assert setting.offered(0) == ["find_tools", "read_file"]
    assert setting.offered(1) == ["read_file", "draw_chart"]
    assert result.messages[3].content == "x"


async def test_a_long_conversation_is_summed_up_and_no_call_is_forgotten():
    """The older part becomes a summary; the calls that it held are still in the result."""
    asked = [AIMessage("word " * 300) for _ in range(30)] + ASKED
    steps = [call("read_file", path=f"{n}.py") for n in range(2)]
    async with serving(Reply("Summary."), *steps, Reply("Done.")) as setting:
        agent = BaseAgent(profile(summarise_above_tokens=4000), setting.model, [read_file])
        result = await agent.run(asked, thread("t1"))
    assert result.text == "Done."
    assert len(result.calls) == 3
    assert {o.task_id for o in setting.recording.outcomes} == {"t1"}
    assert len(setting.server.requests) == 4
    assert "Summary." in json.dumps(setting.server.requests[1].body["messages"])


@pytest.mark.parametrize("accepted", [True, False])
async def test_an_answer_comes_in_the_form_that_was_asked_for(accepted: bool):
    """The last answer is validated; it counts as finished."""
    async with serving(call("Verdict", accepted=accepted)) as setting:
        agent = BaseAgent(profile(), setting.model, [read_file], answer=Verdict)
        result = await agent.run(ASKED)
    assert result.structured == Verdict(accepted=accepted)
    assert result.outcome == "finished"


async def test_what_an_agent_cannot_use_is_said_to_it_and_to_the_person():
    """A note stands in the prompt and in the result."""
    async with serving(Reply("Hello")) as setting:
        result = await BaseAgent(profile(), setting.model, notes=["No tracker today."]).run(ASKED)
    assert result.notes == ("No tracker today.",)
    assert "No tracker today." in setting.server.requests[0].body["messages"][0]["content"]


@pytest.mark.parametrize("name", workers())
def test_the_agents_of_the_team_can_be_read(name: str):
    """Every folder holds a prompt and a valid list of tools."""
    found = load_profile(name)
    assert found.prompt.startswith(f"You are {name}")
    assert not set(found.tools.core) & set(found.tools.profile)


def test_a_folder_is_all_that_makes_an_agent(tmp_path: Path):
    """The supervisor hands work to every agent that is written; two have ways of their own."""
    assert workers() == ["cicd", "code_review", "documentation", "feature_dev"]
    for name in ("scribe", "supervisor"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tools.yaml").write_text("description: Writes.\n")
    assert workers(tmp_path) == ["scribe"]


def test_a_broken_profile_names_its_key(tmp_path: Path):
    """An unknown key of tools.yaml, and a missing prompt, are errors that say where."""
    (tmp_path / "scribe").mkdir()
    (tmp_path / "scribe" / "tools.yaml").write_text("description: Writes.\ncores: [read_file]\n")
    with pytest.raises(SettingsError, match=r"tools\.yaml.*cores"):
        load_profile("scribe", tmp_path)
    (tmp_path / "scribe" / "tools.yaml").write_text("description: Writes.\n")
    with pytest.raises(SettingsError, match=r"system\.prompt\.md"):
        load_profile("scribe", tmp_path)
