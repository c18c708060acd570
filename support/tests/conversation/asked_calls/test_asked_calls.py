"""Agents' calls that change something outside: a person approves each, at any door."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.conversation.asked_calls.conftest import (
    ASKED,
    CARL,
    Model,
    answer,
    asked,
    asked_of,
    created,
    titled,
    written,
)
from tests.conversation.conftest import BOB, ending, resume, say, texts
from tests.doubles.openai_server import OpenAIServer
from tests.doubles.workspace import Workspace

from agent_orchestrator.conversation.retention import Policy
from agent_orchestrator.errors import ApprovalDenied, ConflictError, InputError
from agent_orchestrator.wiring.conversations import open_retention
from agent_orchestrator.wiring.embedded import compose
from agent_orchestrator.wiring.orchestrator import Orchestrator, open_orchestrator


async def test_a_call_is_made_once_when_another_person_has_approved_it(
    chef: Orchestrator, issues: Path
):
    """The approval shows agent, server, tool and arguments; the work goes on to its end."""
    events = await say(chef, ASKED)
    (approval,) = asked(events)
    assert (approval.use_case, approval.requester) == ("agent_tool_call", "ada")
    assert (await asked_of(chef, approval))["arguments"] == {"title": "Build fails"}
    assert "cicd calls create_issue of the MCP server 'tracker'" in approval.summary
    assert ending(events).waiting == "approval"
    await answer(chef, approval)
    assert written(issues) == []
    events = await resume(chef, approval.approval_id)
    assert written(issues) == ["Build fails"]
    assert "Heard: Created: Build fails" in texts(events)
    assert ending(events).waiting is None
    spent = await chef.embedded.coordinator.get_approval(approval.approval_id)
    assert (spent.status, spent.approver) == ("consumed", "bob")
    with pytest.raises(ConflictError):
        await resume(chef, approval.approval_id)


async def test_an_answer_given_at_another_door_is_found_after_a_restart(
    workspace: Workspace, server: OpenAIServer, issues: Path
):
    """Between the question and the answer nothing has to run."""
    async with open_orchestrator(workspace.settings()) as chef:
        (approval,) = asked(await say(chef, ASKED))
    await compose(workspace.settings()).coordinator.answer(approval.approval_id, BOB, approve=True)
    async with open_orchestrator(workspace.settings()) as chef:
        events = await resume(chef, approval.approval_id, by=BOB)
    assert written(issues) == ["Build fails"]
    assert "Heard: Created: Build fails" in texts(events)


async def test_a_thread_that_an_agents_call_paused_is_kept_until_it_is_answered(
    chef: Orchestrator, workspace: Workspace
):
    """However long nobody says anything in it; then it is as idle as any other."""
    (approval,) = asked(await say(chef, ASKED))
    at_once = Policy(days=1e-9, states=1)
    with open_retention(workspace.settings()) as retention:
        assert retention.plan(at_once).conversations == ()
        assert retention.prune(at_once, "timer").conversations == ()
        await answer(chef, approval, approve=False, reason="too late")
        assert retention.prune(at_once, "timer").conversations == ("t1",)


async def test_a_refusal_is_read_by_the_model_with_its_reason(chef: Orchestrator, issues: Path):
    """The work goes on, without the call."""
    (approval,) = asked(await say(chef, ASKED))
    await answer(chef, approval, approve=False, reason="we have one already")
    events = await resume(chef, approval.approval_id)
    assert "bob rejected this call: we have one already" in texts(events)
    assert ending(events).waiting is None
    assert written(issues) == []


async def test_an_edited_call_is_made_as_edited_once_it_is_approved(
    chef: Orchestrator, issues: Path
):
    """The old approval is worth nothing; the model learns what was made of its call."""
    (old,) = asked(await say(chef, ASKED))
    coordinator = chef.embedded.coordinator
    with pytest.raises(InputError, match="'tool' of a tool call cannot be edited"):
        await coordinator.edit(old.approval_id, {"tool": "crash"}, BOB)
    await coordinator.edit(old.approval_id, {"arguments.title": "CI is red"}, BOB)
    events = await resume(chef, old.approval_id)
    (new,) = asked(events)
    assert (await asked_of(chef, new))["arguments"] == {"title": "CI is red"}
    assert written(issues) == []
    with pytest.raises(ApprovalDenied, match="was edited"):
        await answer(chef, old)
    await answer(chef, new, by=CARL)
    events = await resume(chef, new.approval_id)
    assert written(issues) == ["CI is red"]
    assert "An approver changed the arguments of this call" in texts(events)


async def test_of_several_calls_each_waits_for_its_own_answer(
    chef: Orchestrator, model: Model, issues: Path
):
    """All are asked about at once and answered in any order; the agent goes on when all are."""
    model.first = created(*titled("one", "two"))
    first, second = asked(await say(chef, ASKED))
    await answer(chef, second)
    events = await resume(chef, second.approval_id)
    assert [a.approval_id for a in asked(events)] == [first.approval_id]
    assert written(issues) == []
    await answer(chef, first, approve=False, reason="no")
    events = await resume(chef, first.approval_id)
    assert written(issues) == ["two"]
    assert "rejected this call: no" in texts(events)


async def test_a_conversation_is_used_for_other_things_while_it_waits(
    chef: Orchestrator, issues: Path
):
    """What waits is not lost, and no yes in words is an approval."""
    (approval,) = asked(await say(chef, ASKED))
    for words in ("thanks", "yes", "list the models of code_review"):
        events = await say(chef, words)
        assert [a.approval_id for a in asked(events)] == [approval.approval_id]
        assert (f"Approval {approval.approval_id} still waits" in texts(events)) == (words == "yes")
    assert written(issues) == []
    await answer(chef, approval)
    events = await say(chef, "thanks")  # a turn of its own finds the answer, too
    assert written(issues) == ["Build fails"]
    assert ending(events).waiting is None


async def test_what_nobody_can_be_asked_about_is_told_to_the_model(
    chef: Orchestrator, model: Model, issues: Path
):
    """Arguments that JSON cannot hold, or that nobody would read to their end."""
    for arguments in ('{"title": NaN}', json.dumps({"title": "x" * 30_000})):
        model.first = created(arguments)
        events = await say(chef, ASKED, thread=str(len(arguments)))
        assert asked(events) == []
        assert "Heard: Not carried out: " in texts(events)
    assert written(issues) == []
