"""Approvals at the use cases' door: whatever is not exactly what was approved does not run."""

from datetime import date
from pathlib import Path

import pytest
from tests.modelops.world import ADA, AGENT, BOB, Said, World

from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    DeployModelToAgent,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import (
    TrainingStarted,
    TrainSubagentModel,
)
from agent_orchestrator.errors import (
    ApprovalDenied,
    ApprovalRequired,
    FailedError,
    GateFailed,
    InputError,
    StorageError,
)

TRAIN = TrainSubagentModel(agent=AGENT, dataset="d1", overrides={"num_epochs": 2})
DEPLOY = DeployModelToAgent(agent=AGENT, version="v1.0.0")


async def test_spending_waits_for_an_approval(world: World) -> None:
    """Above ten dollars nothing runs until somebody else has approved; then it runs once."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    approval = await world.coordinator.get_approval(approval_id)
    assert approval.request == TRAIN.model_dump(mode="json")
    assert approval.price_ceiling_usd == 15.0
    assert approval.requester == "ada"
    assert await world.coordinator.pending_approvals() == [approval]
    assert world.trained == []
    result = await world.approve(approval_id)
    assert isinstance(result, TrainingStarted)
    assert result.approval == approval_id
    assert world.trained == [TRAIN]
    assert await world.coordinator.pending_approvals() == []
    trail = [(e.actor, e.action, e.detail["door"]) for e in world.audit.tail(10)]
    assert trail == [
        ("ada", "approval_asked", "cli"),
        ("bob", "approved", "http"),
        ("ada", "approval_spent", "cli"),
    ]


@pytest.mark.parametrize(
    ("price", "asked"), [(0.0, False), (10.0, False), (10.01, True), (1e9, True)]
)
async def test_ten_dollars_are_free(world: World, price: float, asked: bool) -> None:
    """The limit itself needs nobody."""
    world.price = price
    if asked:
        await world.ask("train_subagent_model", TRAIN)
    else:
        await world.run("train_subagent_model", TRAIN)
    assert bool(world.trained) is not asked


@pytest.mark.parametrize("price", [float("nan"), float("inf"), -1.0])
async def test_a_price_that_is_no_amount_is_refused(world: World, price: float) -> None:
    """What cannot be priced can be neither free nor approved; a dry run says it needs approval."""
    world.price = price
    with pytest.raises(FailedError, match="The price of this comes out as"):
        await world.run("train_subagent_model", TRAIN)
    assert world.trained == []
    assert await world.coordinator.pending_approvals() == []
    if price > 0 or price != price:  # noqa: PLR0124 - nan
        dry = TRAIN.model_copy(update={"dry_run": True})
        assert (await world.run("train_subagent_model", dry)).approval_needed


async def test_a_request_with_no_json_form_cannot_be_approved(world: World) -> None:
    """What would come back from the store as something else is refused before anybody is asked."""
    for value in (float("nan"), float("inf"), date(2026, 1, 1)):
        odd = TRAIN.model_copy(update={"overrides": {"learning_rate": value}})
        with pytest.raises(InputError, match="cannot be kept until it is approved"):
            await world.run("train_subagent_model", odd)
    assert world.trained == []
    assert await world.coordinator.pending_approvals() == []


async def test_a_dry_run_neither_asks_nor_changes(world: World) -> None:
    """It says what would happen, what it would cost and who would have to agree."""
    before = (world.yaml.path.read_bytes(), world.registry.read())
    requests = (
        ("train_subagent_model", TRAIN),
        ("deploy_model_to_agent", DEPLOY),
    )
    for use_case, request in requests:
        dry = request.model_copy(update={"dry_run": True})
        planned = await world.run(use_case, dry)
        assert planned.dry_run
        assert planned.approval_needed
        assert planned.summary
    assert planned.details["candidate"] == "v1.0.0 (acme/one)"
    assert world.trained == []
    assert world.candidate.opened == []
    assert await world.coordinator.pending_approvals() == []
    assert world.audit.tail(10) == []
    assert before == (world.yaml.path.read_bytes(), world.registry.read())


async def test_an_approval_survives_a_restart(world: World, tmp_path: Path) -> None:
    """Asked in one process, answered in a second, carried out in a third: exactly as stored."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    world.close()
    second = World(tmp_path, clock=world.clock)
    await second.coordinator.answer(approval_id, BOB, approve=True)
    second.close()
    third = World(tmp_path, clock=world.clock)
    await third.coordinator.resume(approval_id, ADA)
    assert third.trained == [TRAIN]
    third.close()
    fourth = World(tmp_path, clock=world.clock)
    with pytest.raises(ApprovalDenied, match="is consumed"):
        await fourth.coordinator.resume(approval_id, ADA)
    fourth.close()


# -- spent in vain --------------------------------------------------------------------------------


async def test_an_approval_stays_spent_when_its_action_fails(world: World) -> None:
    """The error says so, the audit log too, and trying again needs another approval."""
    world.candidate.says = lambda _prompt: Said("")
    approval_id = await world.ask("deploy_model_to_agent", DEPLOY)
    with pytest.raises(GateFailed, match=f"Approval {approval_id} is spent: ask again"):
        await world.approve(approval_id)
    assert (await world.coordinator.get_approval(approval_id)).status == "consumed"
    last = world.audit.tail(1)[0]
    assert (last.action, last.subject) == ("approved_action_failed", approval_id)
    assert "answer was empty" in last.detail["error"]
    world.candidate.says = lambda _prompt: Said()
    with pytest.raises(ApprovalDenied, match="is consumed"):
        await world.coordinator.resume(approval_id, ADA)
    assert world.rollouts.open() == []


async def test_nothing_is_claimed_about_approvals_that_were_not_needed(world: World) -> None:
    """A failure without an approval says nothing about one."""
    world.price = 1.0
    world.training_fails = FailedError("No.", remedy="Try.")
    with pytest.raises(FailedError) as caught:
        await world.run("train_subagent_model", TRAIN)
    assert str(caught.value) == "No. Try."


async def test_a_full_disk_does_not_hide_what_failed(world: World) -> None:
    """When even the failure cannot be written down, the first error is the one that is told."""
    world.training_fails = FailedError("The trainer is gone.")
    approval_id = await world.ask("train_subagent_model", TRAIN)
    await world.coordinator.answer(approval_id, BOB, approve=True)
    world.tripwire.arm(3, StorageError, where="before after", since="AuditLog.append")
    with pytest.raises(FailedError, match=r"The trainer is gone\. Approval ap_\w+ is spent"):
        await world.coordinator.resume(approval_id, ADA)
    assert len(world.tripwire.passed) == 3  # the log took that it was spent, and then no more


async def test_the_terminal_says_what_to_do(world: World) -> None:
    """The error of a request that waits names the approval and the command."""
    with pytest.raises(ApprovalRequired, match=r"Needs approval ap_\w+: v1\.0\.0") as caught:
        await world.run("deploy_model_to_agent", DEPLOY)
    assert caught.value.exit_code == 3
    assert f"chef approve {caught.value.approval_id}" in caught.value.remedy
