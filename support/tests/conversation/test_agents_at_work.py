"""From a sentence to a reviewed change: chat, supervisor, feature_dev, code_review, judgement."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.agents.samples import BROKEN, MENDED, sample_repository
from tests.agents.scripts import call, developing, reviewing
from tests.conversation.conftest import BOB, say, texts
from tests.doubles.canaries import ROLLOUT, start_canary
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.conversation.events import AgentWorks, Message, Problem
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.outcomes import OutcomeStore
from agent_orchestrator.wiring.orchestrator import Orchestrator, open_orchestrator

ASKED = "test_mean_of_nothing fails, please mend it"
RULES = 'environment: {PYTEST_DISABLE_PLUGIN_AUTOLOAD: "1"}\n'


def answer(body: Mapping[str, Any]) -> Reply:
    """The supervisor hands the task to feature_dev; each agent does its part."""
    who, messages = body["model"].removeprefix("acme/"), body["messages"]
    if who == "supervisor":
        return call("Route", pieces=[{"agent": "feature_dev", "task": ASKED}], answer="")
    return reviewing(messages) if who == "code_review" else developing(messages, MENDED)


@pytest.fixture
async def team(workspace: Workspace, tmp_path: Path) -> AsyncIterator[Orchestrator]:
    """Return the orchestrator with a workspace, and a canary of feature_dev."""
    root = sample_repository(tmp_path / "sample")
    workspace.variables["CHEF_WORKSPACE"] = str(root)
    workspace.variables["CHEF_STATE"] = str(tmp_path / "state")
    (workspace.config / "agents" / "workspace.yaml").write_text(RULES)
    async with OpenAIServer(answer) as server:
        start_canary(workspace, "feature_dev", server.url, "supervisor", "code_review")
        async with open_orchestrator(workspace.settings()) as opened:
            yield opened


async def test_a_sentence_becomes_a_reviewed_change(
    team: Orchestrator, workspace: Workspace, tmp_path: Path
):
    """The file is mended, who works with which tool is told, and the arm gets its judgement."""
    events = await say(team, ASKED)
    assert (tmp_path / "sample" / "stats.py").read_text() == MENDED
    told = [(e.agent, e.tool) for e in events if isinstance(e, AgentWorks)]
    assert told == [
        ("feature_dev", None),
        ("feature_dev", "write_file"),
        ("feature_dev", "run_tests"),
        ("code_review", None),
        ("code_review", "run_tests"),
    ]
    assert "The change was accepted." in texts(events)
    state = await team.graph.aget_state({"configurable": {"thread_id": "t1"}})
    [work] = state.values["work"]
    assert work["outcome"] == "pass"
    [message] = [e for e in events if isinstance(e, Message)]
    database = Database(workspace.settings().database)
    store = OutcomeStore(database)
    judged = await eventually(lambda: store.feedback_after(ROLLOUT, 0, 10))
    arms = {r.outcome.request_id: r.outcome.arm for r in store.outcomes_after(ROLLOUT, 0, 100)}
    database.close()
    assert [(j.arm, j.score) for j in judged] == [(arms[message.request_id], 1.0)]


@pytest.mark.slow
async def test_odd_answers_of_models_do_not_end_a_piece_of_work(
    workspace: Workspace, tmp_path: Path
):
    """Empty, cut off, unreadable, for tools that are none, in pieces: the change is made anyway.

    Whoever streams a conversation gets calls in pieces; the halves of a file are not written.
    """
    root = sample_repository(tmp_path / "sample")
    workspace.variables["CHEF_WORKSPACE"] = str(root)
    workspace.variables["CHEF_STATE"] = str(tmp_path / "state")
    (workspace.config / "agents" / "workspace.yaml").write_text(RULES)
    writing = call("write_file", path="stats.py", text=MENDED)
    (function,) = (one["function"] for one in writing.tool_calls)
    half = {
        **writing.tool_calls[0],
        "function": {**function, "arguments": function["arguments"][:60]},
    }
    odd = {
        "feature_dev": [
            Reply(""),
            Reply("", tool_calls=[half], finish_reason="length", pieces=2),
            call("rewrite_everything"),
            call("write_file", path="stats.py"),
            Reply("Let me", finish_reason="length"),
            replace(writing, pieces=5),
        ],
        "code_review": [call("Review", accepted="perhaps"), Reply("")],
    }

    def script(body: Mapping[str, Any]) -> Reply:
        left = odd.get(body["model"].removeprefix("acme/"))
        return left.pop(0) if left else answer(body)

    async with OpenAIServer(script) as server:
        workspace.serve_elsewhere(
            **dict.fromkeys(("supervisor", "feature_dev", "code_review"), server.url)
        )
        async with open_orchestrator(workspace.settings()) as chef:
            events = await say(chef, ASKED)
    assert (root / "stats.py").read_text() == MENDED
    assert "The change was accepted." in texts(events)
    assert not [e for e in events if isinstance(e, Problem)]


async def test_who_may_only_look_sets_no_agent_to_work(team: Orchestrator, tmp_path: Path):
    """Agents change files and cost money: neither a viewer nor an approver gets them to."""
    for caller in (Caller("eve", "chat"), BOB):
        events = await say(team, ASKED, by=caller, thread=caller.name)
        [problem] = [e for e in events if isinstance(e, Problem)]
        assert problem.error == "Forbidden"
    assert (tmp_path / "sample" / "stats.py").read_text() == BROKEN
