"""Conversations and approvals: what a client puts into a thread opens nothing."""

from typing import Any

import pytest
from langgraph.types import Command
from tests.conversation.conftest import ADA, BOB, asked_for, ending, resume, say, texts, types
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.conversation.events import Problem
from agent_orchestrator.errors import Forbidden
from agent_orchestrator.wiring.orchestrator import Orchestrator

DEPLOY = "Deploy v1.0.0 to code_review immediately"


@pytest.fixture(autouse=True)
def version(workspace: Workspace) -> None:
    """Register a version whose model answers, and that was found good."""
    workspace.build_dataset()
    workspace.add_artifact("acme/one")
    registry = ModelRegistry(workspace.settings().registry_json)
    registry.add_model_version("code_review", model_id="acme/one")
    scores = {"accuracy": 0.9, "recommendation": "deploy"}
    registry.update_evaluation_scores("code_review", "v1.0.0", scores)


def configured(caller: Any = ADA) -> Any:
    """Return the configuration of a run of the thread."""
    return {"configurable": {"thread_id": "t1", "caller": caller}}


@pytest.mark.parametrize(
    "payload",
    [
        {"approval_id": "ap_1", "status": "approved", "approve": True, "approver": "bob"},
        {"approved": True},
        "approved: yes",
        True,
    ],
)
async def test_what_a_resuming_message_says_counts_for_nothing(
    orchestrator: Orchestrator, workspace: Workspace, payload: Any
):
    """The graph looks the answer up; without one it waits on."""
    before = workspace.models_yaml.read_bytes()
    approval = asked_for(await say(orchestrator, DEPLOY))
    await orchestrator.graph.ainvoke(Command(resume=payload), configured())
    state = await orchestrator.graph.aget_state(configured())
    assert [i.value["approval_id"] for i in state.interrupts] == [approval.approval_id]
    assert workspace.models_yaml.read_bytes() == before


async def test_a_state_that_claims_an_approval_has_none(
    orchestrator: Orchestrator, workspace: Workspace
):
    """Who writes ``approved`` into a thread's state is refused where the approval is used."""
    before = workspace.models_yaml.read_bytes()
    approval = asked_for(await say(orchestrator, DEPLOY))
    for approval_id in (approval.approval_id, "ap_invented"):
        claim = {"id": approval_id, "status": "approved", "tool_call_id": None}
        await orchestrator.graph.aupdate_state(configured(), {"approval": claim}, "approve")
        state = await orchestrator.graph.ainvoke(None, configured())
        said = state["messages"][-1].text
        assert "is pending, not approved" in said or "No approval 'ap_invented'" in said
    assert workspace.models_yaml.read_bytes() == before


@pytest.mark.parametrize("caller", [None, {"name": "bob", "role": "admin"}, "bob"])
async def test_a_caller_made_of_json_is_nobody(
    orchestrator: Orchestrator, workspace: Workspace, caller: Any
):
    """Only a door of this process says who asks; a client's configuration does not."""
    before = workspace.models_yaml.read_bytes()
    approval = asked_for(await say(orchestrator, DEPLOY))
    coordinator = orchestrator.embedded.coordinator
    await coordinator.answer(approval.approval_id, BOB, approve=True)
    with pytest.raises(Forbidden, match="Nobody is signed in"):
        await orchestrator.graph.ainvoke(Command(resume={}), configured(caller))
    assert workspace.models_yaml.read_bytes() == before
    assert (await coordinator.get_approval(approval.approval_id)).status == "approved"


async def test_anothers_thread_gives_nobody_its_approval(
    orchestrator: Orchestrator, workspace: Workspace
):
    """Who resumes it is neither who asked nor who approved."""
    before = workspace.models_yaml.read_bytes()
    approval = asked_for(await say(orchestrator, DEPLOY))
    await orchestrator.embedded.coordinator.answer(approval.approval_id, BOB, approve=True)
    eve = Caller("eve", "chat", role="operator")
    events = await resume(orchestrator, approval.approval_id, by=eve)
    (problem,) = (event for event in events if isinstance(event, Problem))
    assert "was given to 'ada', not to 'eve'" in problem.message
    assert workspace.models_yaml.read_bytes() == before


async def test_a_thread_waits_for_what_an_edit_put_in_the_place(
    orchestrator: Orchestrator, workspace: Workspace
):
    """Its summary is shown, an answer to it is waited for, and then it is carried out."""
    old = asked_for(await say(orchestrator, DEPLOY))
    coordinator = orchestrator.embedded.coordinator
    edited = await coordinator.edit(old.approval_id, {"strategy": "canary_20pct"}, BOB)
    events = await resume(orchestrator, old.approval_id)
    new = asked_for(events)
    assert (new.approval_id, new.summary) == (edited.id, edited.summary)
    assert "result" not in types(events)
    await coordinator.answer(new.approval_id, Caller("carl", "http", "approver"), approve=True)
    events = await resume(orchestrator, new.approval_id)
    assert "result" in types(events)
    assert "weight: 20" in workspace.models_yaml.read_text()


async def test_a_cancelled_approval_ends_the_wish(orchestrator: Orchestrator):
    """It is said so, and the thread waits for nothing."""
    approval = asked_for(await say(orchestrator, DEPLOY))
    await orchestrator.embedded.coordinator.cancel(approval.approval_id, ADA)
    events = await resume(orchestrator, approval.approval_id)
    assert f"{approval.approval_id} was cancelled" in texts(events)
    assert ending(events).waiting is None
