"""Turns without a language model: reading, asking back, approvals that survive a restart."""

import asyncio

import pytest
from tests.conversation.conftest import ADA, BOB, asked_for, ending, resume, say, texts, types
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.conversation.events import EVENT, Problem, UseCaseResult
from agent_orchestrator.errors import ConflictError
from agent_orchestrator.wiring.orchestrator import Orchestrator, open_orchestrator

DEPLOY = "Deploy v1.1.0 to code_review immediately"


async def test_a_question_is_answered_with_the_use_cases_own_result(orchestrator: Orchestrator):
    """The result event carries the typed result; the events are in order."""
    events = await say(orchestrator, "Which models does code_review have?")
    assert types(events) == ["said", "result", "message", "end"]
    found = next(event for event in events if isinstance(event, UseCaseResult))
    assert (found.use_case, found.result["agent"]) == ("list_agent_models", "code_review")
    assert [event.seq for event in events] == sorted({event.seq for event in events})


async def test_what_is_no_modelops_says_plainly_that_it_needs_a_model(orchestrator: Orchestrator):
    """Nothing is made up."""
    events = await say(orchestrator, "Write a function that adds two numbers")
    assert "needs a language model" in texts(events)
    assert ending(events).waiting is None


async def test_a_question_asked_back_is_answered_in_the_next_turn(orchestrator: Orchestrator):
    """What is known already is kept."""
    events = await say(orchestrator, "Show me the models")
    assert (ending(events).waiting, ending(events).replies) == ("answer", ["no"])
    events = await say(orchestrator, "cicd")
    assert [e.result["agent"] for e in events if isinstance(e, UseCaseResult)] == ["cicd"]


async def test_a_wrong_wish_is_an_error_with_its_remedy_and_the_thread_goes_on(
    orchestrator: Orchestrator,
):
    """An error of the request does not end the conversation."""
    events = await say(orchestrator, "Roll back cicd to v9.9.9")
    (problem,) = (event for event in events if isinstance(event, Problem))
    assert problem.message
    assert "result" in types(await say(orchestrator, "list the models of cicd"))


@pytest.mark.usefixtures("versions")
async def test_an_approval_is_answered_after_a_restart(workspace: Workspace):
    """Asked in one process, approved by another person, carried out in a third, once."""
    settings = workspace.settings()
    before = workspace.models_yaml.read_bytes()
    async with open_orchestrator(settings) as first:
        events = await say(first, DEPLOY)
        approval = asked_for(events)
        assert ending(events).waiting == "approval"
        assert (approval.use_case, approval.requester) == ("deploy_model_to_agent", "ada")
    assert workspace.models_yaml.read_bytes() == before
    async with open_orchestrator(settings) as second:
        await second.embedded.coordinator.answer(approval.approval_id, BOB, approve=True)
    async with open_orchestrator(settings) as third:
        events = await resume(third, approval.approval_id)
        assert types(events) == ["result", "message", "end"]
        assert next(e for e in events if isinstance(e, UseCaseResult)).result["version"] == "v1.1.0"
        with pytest.raises(ConflictError):
            await resume(third, approval.approval_id)
    assert b"acme/two" in workspace.models_yaml.read_bytes()


@pytest.mark.usefixtures("versions")
async def test_words_approve_nothing(orchestrator: Orchestrator, workspace: Workspace):
    """Neither a yes in the conversation nor resuming without an answer."""
    before = workspace.models_yaml.read_bytes()
    approval = asked_for(await say(orchestrator, DEPLOY))
    events = await say(orchestrator, "yes, approved, go ahead")
    assert "not this conversation" in texts(events)
    assert asked_for(events).approval_id == approval.approval_id
    events = await resume(orchestrator, approval.approval_id)
    assert asked_for(events).approval_id == approval.approval_id
    assert workspace.models_yaml.read_bytes() == before


@pytest.mark.usefixtures("versions")
async def test_a_rejected_approval_ends_the_wish(orchestrator: Orchestrator, workspace: Workspace):
    """Who rejected it and why is said."""
    before = workspace.models_yaml.read_bytes()
    approval = asked_for(await say(orchestrator, DEPLOY))
    await orchestrator.embedded.coordinator.answer(
        approval.approval_id, BOB, approve=False, reason="not on a Friday"
    )
    events = await resume(orchestrator, approval.approval_id)
    assert "bob rejected" in texts(events)
    assert "not on a Friday" in texts(events)
    assert ending(events).waiting is None
    assert workspace.models_yaml.read_bytes() == before


@pytest.mark.usefixtures("versions")
async def test_other_wishes_are_served_while_an_approval_waits(orchestrator: Orchestrator):
    """Afterwards the thread waits for it again."""
    approval = asked_for(await say(orchestrator, DEPLOY))
    events = await say(orchestrator, "list the models of code_review")
    assert types(events) == ["said", "result", "message", "approval_required", "end"]
    assert asked_for(events).approval_id == approval.approval_id


async def test_a_caller_who_may_only_look_changes_nothing(orchestrator: Orchestrator):
    """The role of the door's caller holds inside the graph."""
    eve = Caller("eve", "chat")
    events = await say(orchestrator, "Build a data set for cicd from stdlib-defects", by=eve)
    assert [e.error for e in events if isinstance(e, Problem)] == ["Forbidden"]
    assert "result" in types(await say(orchestrator, "list the models of cicd", by=eve))


async def test_events_are_read_again_from_a_sequence_number(workspace: Workspace):
    """Also after a restart, and only those of the thread."""
    async with open_orchestrator(workspace.settings()) as first:
        told = await say(first, "list the models of cicd")
        await say(first, "list the models of docs", thread="t2")
    async with open_orchestrator(workspace.settings()) as second:
        again = [event async for event in second.conversation.listen("t1", after=told[0].seq)]
        assert again == told[1:]
        kept = second.thread_events.after("t1")
        assert [EVENT.validate_python(values) for values in kept] == told


async def test_turns_of_one_thread_follow_each_other(orchestrator: Orchestrator):
    """Two messages at once are two turns, one after the other."""
    both = await asyncio.gather(
        say(orchestrator, "list the models of cicd"), say(orchestrator, "list the models of docs")
    )
    spans = sorted((events[0].seq, events[-1].seq) for events in both)
    assert spans[0][1] < spans[1][0]


@pytest.mark.usefixtures("versions")
async def test_of_two_who_resume_at_once_one_acts(orchestrator: Orchestrator):
    """The other learns that the thread does not wait any more."""
    approval = asked_for(await say(orchestrator, DEPLOY)).approval_id
    await orchestrator.embedded.coordinator.answer(approval, BOB, approve=True)
    both = await asyncio.gather(
        resume(orchestrator, approval), resume(orchestrator, approval), return_exceptions=True
    )
    assert sorted(type(one) is list for one in both) == [False, True]
    assert [type(one) for one in both if not isinstance(one, list)] == [ConflictError]
    assert not await orchestrator.conversation.is_busy("t1")


async def test_who_stops_listening_ends_no_turn(orchestrator: Orchestrator):
    """What was begun is finished, and its events are read again."""
    turn = orchestrator.conversation.send("t1", "list the models of cicd", ADA)
    first = await anext(turn)
    await turn.aclose()
    again = [event async for event in orchestrator.conversation.listen("t1", after=first.seq)]
    assert types(again) == ["result", "message", "end"]
