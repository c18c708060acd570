"""The whole way by conversation, without a language model, on the local trainer."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.conversation.conftest import ADA, BOB, asked_for, ending, resume, say, texts, types
from tests.doubles.complaints import COMPLAINT, mostly_wrong
from tests.doubles.workspace import Workspace

from agent_orchestrator.conversation.events import Progress, UseCaseResult
from agent_orchestrator.stores.models_yaml import ModelsYaml
from agent_orchestrator.wiring.orchestrator import Orchestrator, open_orchestrator


@pytest.fixture
async def examples(workspace: Workspace) -> AsyncIterator[Path]:
    """Let something serve feature_dev that is mostly wrong; write what its successor learns."""
    async with mostly_wrong(workspace) as examples:
        yield examples


async def test_from_a_complaint_to_a_canary(workspace: Workspace, examples: Path):
    """Data set → demo with its price → production → evaluation → "Deploy?" → 20 %, approved."""
    settings = workspace.settings()
    async with open_orchestrator(settings) as here:
        events = await say(here, COMPLAINT)
        assert "There is no data set for feature_dev yet" in texts(events)

        events = await say(here, f"From {examples}, please.")
        assert types(events) == ["said", "result", "message", "message", "end"]
        assert "48 train, 12 eval" in texts(events)
        assert "demo run, this machine" in texts(events)
        assert "$0.00" in texts(events)

        events = await say(here, "yes")
        assert types(events)[:4] == ["said", "result", "message", "progress"]
        assert [e.status for e in events if isinstance(e, Progress)][-1] == "completed"
        assert "Go on with production?" in texts(events)

    # The conversation goes on in another process.
    async with open_orchestrator(settings) as here:
        events = await say(here, "yes, please")
        assert "registered as v1.1.0" in texts(events)
        assert "Shall I compare v1.1.0 with what serves feature_dev now?" in texts(events)

        events = await say(here, "go ahead")
        assert "Recommendation: deploy" in texts(events)
        assert texts(events).endswith("20 % of the traffic first. Deploy?")

        events = await say(here, "yes")
        approval = asked_for(events)
        assert ending(events).waiting == "approval"
        assert "20 %" in approval.summary

    async with open_orchestrator(settings) as here:
        await here.embedded.coordinator.answer(approval.approval_id, BOB, approve=True)
        events = await resume(here, approval.approval_id)
        (deployed,) = (e.result for e in events if isinstance(e, UseCaseResult))
        assert (deployed["version"], deployed["rollout_pct"]) == ("v1.1.0", 20)
    rollout = ModelsYaml(settings.models_yaml).read().rollouts["feature_dev"]
    assert [arm.weight for arm in rollout.arms] == [80, 20]


async def test_a_training_that_lacks_its_data_set_is_gone_on_with_as_it_was_wished(
    orchestrator: Orchestrator, workspace: Workspace
):
    """The size of the training is no limit of the data set; a no ends the wish."""
    source = workspace.write_examples()
    events = await say(orchestrator, "train code_review with at least 40 examples")
    assert "There is no data set for code_review yet" in texts(events)
    assert "at most" not in texts(events)
    events = await say(orchestrator, f"From {source}, please.")
    assert "48 train, 12 eval" in texts(events)
    assert "Shall I try a demo training of code_review" in texts(events)
    state = await orchestrator.graph.aget_state({"configurable": {"thread_id": "t1"}})
    assert state.values["proposal"]["values"]["max_examples"] == 40

    await say(orchestrator, "train cicd with at least 40 examples")
    await say(orchestrator, "no")
    state = await orchestrator.graph.aget_state({"configurable": {"thread_id": "t1"}})
    assert (state.values["proposal"], state.values["postponed"]) == (None, None)


async def test_an_existing_data_set_is_found(workspace: Workspace):
    """Then the demo run is offered at once; another choice is looked into before it is offered."""
    dataset = workspace.build_dataset().id
    async with open_orchestrator(workspace.settings()) as here:
        events = await say(here, "code_review misses defects, train it better")
        assert types(events) == ["said", "message", "end"]
        assert dataset in texts(events)
        assert "A production run, on " in texts(events)
        assert "Shall I?" in texts(events)
        events = await say(here, "production")
        assert "production run, this machine" in texts(events)
        assert "a production run should not be the first" in texts(events)
        assert "Shall I make the demo run first, then?" in texts(events)
        assert "leave it" in texts(await say(here, "no"))
        assert "Nothing is proposed" in texts(await say(here, "yes"))


async def test_a_job_goes_on_while_nobody_follows(workspace: Workspace):
    """A new message ends the following, not the job; it is followed again when asked about."""
    workspace.build_dataset()
    workspace.scenario(steps=40, seconds=0.05)
    async with open_orchestrator(workspace.settings()) as here:
        await say(here, "train code_review")
        turn = here.conversation.send("t1", "yes", ADA)
        async for event in turn:
            if isinstance(event, Progress):
                break
        events = await say(here, "list the models of code_review")
        assert "result" in types(events)
        events = await say(here, "how is it going?")
        assert "registered as v1.0.0" in texts(events)
        assert "Go on with production?" in texts(events)
