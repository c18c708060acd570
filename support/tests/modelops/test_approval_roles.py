"""Ways past an approval, by who asks, who answers and who uses it: each fails closed."""

from pathlib import Path
from typing import Any, get_args

import pytest
from tests.modelops.approving import CARL, EVE, TRAIN, denied
from tests.modelops.world import ADA, AGENT, BOB, World

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import RolloutStatusRequest
from agent_orchestrator.domain.roles import Role
from agent_orchestrator.errors import (
    ApprovalDenied,
    Forbidden,
)


async def test_the_requester_may_not_approve_unless_configured(
    world: World, tmp_path: Path
) -> None:
    """By configuration the one user of a machine may."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    with pytest.raises(ApprovalDenied, match="'ada' asked for"):
        await world.coordinator.answer(approval_id, Caller("ada", "http", "admin"), approve=True)
    await denied(world, approval_id, "is pending")
    alone = World(tmp_path, clock=world.clock, requester_may_approve=True)
    await alone.coordinator.answer(approval_id, Caller("ada", "cli", "admin"), approve=True)
    await alone.coordinator.resume(approval_id, ADA)
    assert alone.trained == [TRAIN]
    alone.close()


@pytest.mark.parametrize("role", ["viewer", "approver", "root", ""])
async def test_who_may_not_change_cannot_even_ask(world: World, role: Any) -> None:
    """No approval comes into being, and nothing runs; looking and dry runs are for every role."""
    caller = Caller("vera", "http", role)
    with pytest.raises(Forbidden, match=f"'vera' is '{role}' here and may not change"):
        await world.run("train_subagent_model", TRAIN, caller)
    world.price = 1.0  # needs no approval
    with pytest.raises(Forbidden):
        await world.run("train_subagent_model", TRAIN, caller)
    assert world.trained == []
    assert await world.coordinator.pending_approvals() == []
    dry = TRAIN.model_copy(update={"dry_run": True})
    reading = (("train_subagent_model", dry), ("rollout_status", RolloutStatusRequest(agent=AGENT)))
    for use_case, request in reading:
        if role in get_args(Role):
            assert await world.run(use_case, request, caller)
        else:
            with pytest.raises(Forbidden, match="may not read"):
                await world.run(use_case, request, caller)


@pytest.mark.parametrize("role", ["viewer", "operator", "root", ""])
async def test_who_may_not_approve_answers_nothing(world: World, role: Any) -> None:
    """Whoever it is: neither yes nor no is taken from them."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    for approve in (True, False):
        with pytest.raises(Forbidden, match=r"may not approve\. Ask somebody who is approver or"):
            await world.coordinator.answer(
                approval_id, Caller("vera", "http", role), approve=approve
            )
    assert (await world.coordinator.get_approval(approval_id)).status == "pending"


async def test_a_caller_whose_door_names_no_role_may_look_only(world: World) -> None:
    """The role that is left out is the least."""
    nobody = Caller("nemo", "mcp")
    approval_id = await world.ask("train_subagent_model", TRAIN)
    await world.coordinator.answer(approval_id, BOB, approve=True)
    for attempt in (
        lambda: world.coordinator.resume(approval_id, nobody),
        lambda: world.coordinator.answer(approval_id, nobody, approve=True),
        lambda: world.run("train_subagent_model", TRAIN, nobody, approval_id=approval_id),
    ):
        with pytest.raises(Forbidden):
            await attempt()
    assert world.trained == []


@pytest.mark.parametrize("name", ["ada", "ADA", " Ada ", "ａｄａ"])
@pytest.mark.parametrize("door", ["cli", "http", "mcp", "chat"])
async def test_the_requester_is_the_same_person_at_another_door(
    world: World, name: str, door: str
) -> None:
    """However the door writes the name, and whatever else they may do."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    with pytest.raises(ApprovalDenied, match="asked for"):
        await world.coordinator.answer(approval_id, Caller(name, door, "admin"), approve=True)
    await denied(world, approval_id, "is pending")


@pytest.mark.parametrize("name", ["", " ", "\t"])
async def test_nobody_does_nothing(world: World, name: str) -> None:
    """A door that knows no name lets nobody ask, answer, use, edit or cancel."""
    nobody = Caller(name, "http", "admin")
    approval_id = await world.ask("train_subagent_model", TRAIN)
    for attempt in (
        lambda: world.run("train_subagent_model", TRAIN, nobody),
        lambda: world.coordinator.answer(approval_id, nobody, approve=True),
        lambda: world.coordinator.resume(approval_id, nobody),
        lambda: world.coordinator.edit(approval_id, {"dataset": "d2"}, nobody),
        lambda: world.coordinator.cancel(approval_id, nobody),
    ):
        with pytest.raises(Forbidden, match="Nobody is signed in"):
            await attempt()
    await denied(world, approval_id, "is pending")


async def test_anothers_approval_is_of_no_use(world: World) -> None:
    """Who knows the id, and asks for exactly the same, is still not who it was given to."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    await world.coordinator.answer(approval_id, BOB, approve=True)
    for attempt in (
        lambda: world.coordinator.resume(approval_id, EVE),
        lambda: world.run("train_subagent_model", TRAIN, EVE, approval_id=approval_id),
    ):
        with pytest.raises(ApprovalDenied, match="was given to 'ada', not to 'eve'"):
            await attempt()
    with pytest.raises(ApprovalDenied, match="'eve' did not ask for"):
        await world.coordinator.cancel(approval_id, EVE)
    assert world.trained == []


async def test_under_four_eyes_no_author_approves_an_edited_request(world: World) -> None:
    """Not who asked, nor any of those who edited it; and cancelling is not approving."""
    first = await world.ask("train_subagent_model", TRAIN)
    second = await world.coordinator.edit(first, {"max_examples": 9}, BOB)
    third = await world.coordinator.edit(second.id, {"max_examples": 8}, CARL)
    assert (third.requester, third.editors) == ("ada", ("bob", "carl"))
    for caller in (Caller("ada", "http", "admin"), BOB, CARL, Caller("BOB", "cli", "admin")):
        for approve in (True, False):
            with pytest.raises(ApprovalDenied, match=r"(asked for|edited) ap_\w+ and may not"):
                await world.coordinator.answer(third.id, caller, approve=approve)
    await world.coordinator.answer(third.id, Caller("dora", "http", "approver"), approve=True)
    await world.coordinator.resume(third.id, ADA)
    assert len(world.trained) == 1


@pytest.mark.parametrize("role", ["viewer", "operator", "root"])
async def test_who_may_not_approve_edits_nothing(world: World, role: Any) -> None:
    """Also not their own request: they cancel it and ask again."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    with pytest.raises(Forbidden, match="may not approve"):
        await world.coordinator.edit(approval_id, {"dataset": "d2"}, Caller("ada", "http", role))
    assert (await world.coordinator.get_approval(approval_id)).status == "pending"
