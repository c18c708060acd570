"""A change and its review, from the task to the judgement on the arm that did the work."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from tests.agents.samples import BROKEN, MENDED, sample_repository
from tests.agents.scripts import call, developing, last, reviewing
from tests.doubles.canaries import ROLLOUT, start_canary
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents._shared.review_loop import ReviewedWork, ReviewState
from agent_orchestrator.domain.outcomes import Judged
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.serving.router import NoAnswerError
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.outcomes import OutcomeStore
from agent_orchestrator.wiring.agents import Team, open_team

TASK = "test_mean_of_nothing fails. Mend stats.py, please."
RULES = """\
tests: [python, -m, pytest, -q]
linter: [ruff, check, .]
send_backs: 1
environment: {PYTEST_DISABLE_PLUGIN_AUTOLOAD: "1"}
"""
UNUSED = f"import os\n{MENDED}"
SILENT = BROKEN.replace("len(values)", "max(1, len(values))")


def answer(body: Mapping[str, Any]) -> Reply:
    """The stable model forgets an import and mends it; the candidate never mends the defect."""
    messages = body["messages"]
    if body["model"] == "acme/code_review":
        return reviewing(messages)
    if body["model"] == "acme/feature_dev":
        return developing(messages, UNUSED, MENDED)
    return developing(messages, SILENT, SILENT)


async def work(team: Team, root: Path, thread: str) -> ReviewedWork:
    """Have the task done in a repository of its own."""
    loop = team.review_loop(sample_repository(root / thread))
    done = await loop.run([HumanMessage(TASK)], {"configurable": {"thread_id": thread}})
    assert isinstance(done, ReviewedWork)
    return done


def judgements(workspace: Workspace) -> list[Judged]:
    """Return what was judged in the rollout."""
    database = Database(workspace.settings().database)
    found = OutcomeStore(database).feedback_after(ROLLOUT, 0, 100)
    database.close()
    return found


def arms_of(workspace: Workspace, thread: str) -> set[str]:
    """Return the arms that a conversation's calls of feature_dev went to."""
    database = Database(workspace.settings().database)
    records = OutcomeStore(database).outcomes_after(ROLLOUT, 0, 1000)
    database.close()
    return {r.outcome.arm for r in records if r.outcome.task_id == thread}


@pytest.fixture
def rules(workspace: Workspace) -> None:
    """Send a change back once at most."""
    (workspace.config / "agents" / "workspace.yaml").write_text(RULES)


async def test_a_canary_is_felt_by_real_work_and_judged_by_its_outcome(
    workspace: Workspace, tmp_path: Path, rules: None
):
    """Conversations stick to their arm; the arm that did the work gets its judgement, once."""
    async with OpenAIServer(answer) as server:
        start_canary(workspace, "feature_dev", server.url, "code_review")
        database = Database(workspace.settings().database)
        async with open_team(workspace.settings(), database) as team:
            done = {t: await work(team, tmp_path, t) for t in ("t2", "t3")}
        database.close()
    arms = {thread: arms_of(workspace, thread) for thread in done}
    assert all(len(of_thread) == 1 for of_thread in arms.values())
    assert set().union(*arms.values()) == {"stable", "candidate"}
    for thread, result in done.items():
        if arms[thread] == {"stable"}:
            assert (result.verdict, result.sent_back) == (Verdict.PASS, 1)
            assert (tmp_path / thread / "stats.py").read_text() == MENDED
            assert '+        raise ValueError("mean of nothing")' in result.diff
            assert "accepted after it was sent back once" in result.report()
        else:
            assert (result.verdict, result.sent_back) == (Verdict.FAIL, 1)
            assert result.tests.ending == "failed"
            assert "stats.py:2: mean([]) must raise." in result.report()
    expected = [(*arms[t], float(arms[t] == {"stable"})) for t in done]
    assert [(j.arm, j.score) for j in judgements(workspace)] == expected


async def test_what_was_found_is_handed_back(workspace: Workspace, tmp_path: Path, rules: None):
    """The reviewer sees task, diff and results; the developer sees each finding and the linter."""
    async with OpenAIServer(answer) as server:
        start_canary(workspace, "feature_dev", server.url, "code_review", weight=0)
        database = Database(workspace.settings().database)
        async with open_team(workspace.settings(), database) as team:
            result = await work(team, tmp_path, "t1")
        database.close()
    bodies = [seen.body for seen in server.requests]
    handed_in = next(last(b["messages"]) for b in bodies if b["model"] == "acme/code_review")
    assert TASK in handed_in
    assert "+import os" in handed_in
    assert "linter: failed" in handed_in
    developer = [b["messages"] for b in bodies if b["model"] == "acme/feature_dev"]
    sent_back = next(m for m in developer[-1] if "not accepted yet" in str(m["content"]))
    assert "F401" in sent_back["content"]
    assert result.review.accepted


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Reply("There is nothing to mend."), Verdict.INCONCLUSIVE),
        (call("write_file", path="stats.py", text=MENDED), Verdict.INCONCLUSIVE),
    ],
    ids=["nothing changed", "no verdict"],
)
async def test_what_nobody_can_tell_is_no_judgement(
    workspace: Workspace, tmp_path: Path, rules: None, reply: Reply, verdict: Verdict
):
    """Without a change, or without a reviewer's verdict, no arm is praised or blamed."""

    def script(body: Mapping[str, Any]) -> Reply:
        if body["model"] == "acme/code_review":
            return call("read_file", path="stats.py")  # until it is out of calls
        return reply if body["messages"][-1]["role"] == "user" else Reply("Done.")

    async with OpenAIServer(script) as server:
        start_canary(workspace, "feature_dev", server.url, "code_review")
        database = Database(workspace.settings().database)
        async with open_team(workspace.settings(), database) as team:
            result = await work(team, tmp_path, "t1")
        database.close()
    assert result.verdict is verdict
    assert result.sent_back == 0
    assert judgements(workspace) == []


@pytest.mark.parametrize("honest", [True, False])
async def test_no_model_is_believed_on_the_tests(
    workspace: Workspace, tmp_path: Path, rules: None, honest: bool
):
    """A reviewer that accepts a change whose tests fail does not get it in."""

    def script(body: Mapping[str, Any]) -> Reply:
        if body["model"] == "acme/code_review":
            return call("Review", accepted=True, summary="All tests pass!", findings=[])
        return developing(body["messages"], MENDED if honest else SILENT)

    async with OpenAIServer(script) as server:
        start_canary(workspace, "feature_dev", server.url, "code_review")
        database = Database(workspace.settings().database)
        async with open_team(workspace.settings(), database) as team:
            result = await work(team, tmp_path, "t1")
        database.close()
    assert result.verdict is (Verdict.PASS if honest else Verdict.FAIL)
    assert [j.score for j in judgements(workspace)] == [float(honest)]


async def test_what_was_done_is_not_done_again_after_a_break(
    workspace: Workspace, tmp_path: Path, rules: None
):
    """Within a graph that has checkpoints, a review that failed is taken up where it broke off."""
    broken = True

    def script(body: Mapping[str, Any]) -> Reply:
        if body["model"] != "acme/code_review":
            return developing(body["messages"], MENDED)
        return Reply("down", status=503) if broken else reviewing(body["messages"])

    async with OpenAIServer(script) as server:
        start_canary(workspace, "feature_dev", server.url, "code_review")
        text = workspace.models_yaml.read_text()
        workspace.models_yaml.write_text(text.replace("[deepseek/deepseek-chat]", "[]"))
        database = Database(workspace.settings().database)
        async with open_team(workspace.settings(), database) as team:
            loop = team.review_loop(sample_repository(tmp_path / "t1"))
            whole = StateGraph(ReviewState)
            whole.add_node("work", loop.graph)
            whole.add_edge(START, "work")
            saved = whole.compile(checkpointer=InMemorySaver())
            config: Any = {"configurable": {"thread_id": "t1"}}
            begun: ReviewState = {"messages": [HumanMessage(TASK)], "task": TASK, "sent_back": 0}
            with pytest.raises(NoAnswerError):
                await saved.ainvoke(begun, config)
            developed = sum("feature_dev" in seen.body["model"] for seen in server.requests)
            broken = False
            ended = await saved.ainvoke(None, config)
        database.close()
    assert ended["verdict"] == "pass"
    assert sum("feature_dev" in seen.body["model"] for seen in server.requests) == developed
    assert [j.score for j in judgements(workspace)] == [1.0]


async def test_agents_of_one_workspace_take_turns(
    workspace: Workspace, tmp_path: Path, rules: None
):
    """Two pieces of work at once: neither finds the other's half-done change in its diff."""
    workspace.variables["CHEF_WORKSPACE"] = str(sample_repository(tmp_path / "shared"))
    working: set[str] = set()
    together: list[set[str]] = []

    def script(body: Mapping[str, Any]) -> Reply:
        who = body["model"]
        if who == "acme/code_review":
            return reviewing(body["messages"])
        working.add(who)
        together.append(set(working))
        if body["messages"][-1]["role"] == "user":
            return call("write_file", path=f"{who[5:]}.py", text="x = 1\n")
        working.discard(who)
        return Reply("Done.")

    async with OpenAIServer(script) as server:
        workspace.serve_elsewhere(
            **dict.fromkeys(("feature_dev", "cicd", "code_review"), server.url)
        )
        database = Database(workspace.settings().database)
        async with open_team(workspace.settings(), database) as team:
            loop = team.review_loop(team.root)
            done, _ = await asyncio.gather(
                loop.run([HumanMessage("Write feature_dev.py")]),
                team.agent("cicd").run([HumanMessage("Write cicd.py")]),
            )
        database.close()
    assert all(len(at_once) == 1 for at_once in together)
    assert isinstance(done, ReviewedWork)
    assert done.call is not None
