"""Approvals at the use cases' door: whatever is not exactly what was approved does not run."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.modelops.deployers import run_deployers
from tests.modelops.world import ADA, AGENT, BOB, Said, World

from agent_orchestrator.agents.infrastructure.modelops.authorisation import (
    APPROVAL_LIFETIME_SECONDS,
    Caller,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    DeployModelToAgent,
    PromoteCanary,
    RollbackDeployment,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import (
    RolloutStatusRequest,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import (
    TrainingStarted,
    TrainSubagentModel,
)
from agent_orchestrator.domain.roles import Role
from agent_orchestrator.errors import (
    ApprovalDenied,
    ApprovalRequired,
    FailedError,
    Forbidden,
    GateFailed,
    InputError,
    NotFoundError,
    StorageError,
)

TRAIN = TrainSubagentModel(agent=AGENT, dataset="d1", overrides={"num_epochs": 2})
DEPLOY = DeployModelToAgent(agent=AGENT, version="v1.0.0")


async def denied(world: World, approval_id: str, says: str) -> None:
    """The approval does not open the door, whoever tries."""
    for caller in (ADA, BOB):
        with pytest.raises(ApprovalDenied, match=says):
            await world.coordinator.resume(approval_id, caller)
    assert world.trained == []
    assert world.rollouts.open() == []


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


async def test_a_pending_approval_opens_nothing(world: World) -> None:
    """Asking is not consent."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    await denied(world, approval_id, "is pending, not approved")


async def test_a_rejected_approval_opens_nothing(world: World) -> None:
    """Also when the price has fallen so far that nobody would be asked any more."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    rejected = await world.coordinator.answer(approval_id, BOB, approve=False, reason="too dear")
    assert rejected.reason == "too dear"
    await denied(world, approval_id, "is rejected")
    world.price = 1.0
    await denied(world, approval_id, "is rejected")
    assert [e.action for e in world.audit.tail(9)] == ["approval_asked", "rejected"]


async def test_an_expired_approval_opens_nothing(world: World) -> None:
    """A day after asking, an answer comes too late, and a given approval is void."""
    answered = await world.ask("train_subagent_model", TRAIN)
    unanswered = await world.ask("train_subagent_model", TRAIN)
    await world.coordinator.answer(answered, BOB, approve=True)
    world.clock.pass_by(APPROVAL_LIFETIME_SECONDS)
    await denied(world, answered, "has expired")
    with pytest.raises(ApprovalDenied, match="has expired"):
        await world.coordinator.answer(unanswered, BOB, approve=True)
    assert await world.coordinator.pending_approvals() == []


async def test_an_approval_is_used_once(world: World) -> None:
    """The second use is refused, by whichever door."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    await world.approve(approval_id)
    for caller in (ADA, Caller("eve", "mcp", "operator")):
        with pytest.raises(ApprovalDenied, match="is consumed"):
            await world.coordinator.resume(approval_id, caller)
        with pytest.raises(ApprovalDenied, match="is consumed"):
            await world.run("train_subagent_model", TRAIN, caller, approval_id=approval_id)
    assert world.trained == [TRAIN]


@pytest.mark.parametrize(
    "change",
    [
        {"agent": "cicd"},
        {"dataset": None},
        {"dataset": "d2"},
        {"base_model": "a/b"},
        {"mode": "production"},
        {"max_examples": 2},
        {"overrides": {}},
        {"overrides": {"num_epochs": 3}},
        {"overrides": {"num_epochs": 2.5}},
        {"backend": "local"},
    ],
)
async def test_an_approval_covers_no_other_request(world: World, change: dict) -> None:
    """One field changed is another request."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    await world.coordinator.answer(approval_id, BOB, approve=True)
    other = TrainSubagentModel.model_validate(TRAIN.model_dump() | change)
    with pytest.raises(ApprovalDenied, match="another request"):
        await world.run("train_subagent_model", other, ADA, approval_id=approval_id)
    assert world.trained == []
    await world.coordinator.resume(approval_id, ADA)
    assert world.trained == [TRAIN]


async def test_an_approval_covers_no_other_use_case(world: World) -> None:
    """An approved training deploys nothing, and the other way round."""
    training = await world.ask("train_subagent_model", TRAIN)
    deployment = await world.ask("deploy_model_to_agent", DEPLOY)
    for approval_id in (training, deployment):
        await world.coordinator.answer(approval_id, BOB, approve=True)
    with pytest.raises(ApprovalDenied, match="another request"):
        await world.run("deploy_model_to_agent", DEPLOY, ADA, approval_id=training)
    with pytest.raises(ApprovalDenied, match="another request"):
        await world.run("train_subagent_model", TRAIN, ADA, approval_id=deployment)
    assert world.trained == []
    assert world.rollouts.open() == []


async def test_a_higher_price_needs_another_approval(world: World) -> None:
    """The approved price is a ceiling: more is refused, less is fine."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    await world.coordinator.answer(approval_id, BOB, approve=True)
    world.price = 15.01
    await denied(world, approval_id, r"covers \$15\.00, the request costs \$15\.01")
    world.price = 9.0
    await world.coordinator.resume(approval_id, ADA)
    assert world.trained == [TRAIN]
    with pytest.raises(ApprovalDenied, match="is consumed"):
        await world.coordinator.resume(approval_id, ADA)


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


async def test_an_unknown_approval_opens_nothing(world: World) -> None:
    """An id that was never given is bad input at every entrance."""
    coordinator = world.coordinator
    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: coordinator.resume("ap_none", ADA),
        lambda: coordinator.answer("ap_none", BOB, approve=True),
        lambda: coordinator.get_approval("ap_none"),
        lambda: world.run("train_subagent_model", TRAIN, ADA, approval_id="ap_none"),
        lambda: world.run("deploy_model_to_agent", DEPLOY, ADA, approval_id="' OR 1=1 --"),
    ]
    for attempt in attempts:
        with pytest.raises(NotFoundError, match="No approval"):
            await attempt()
    assert world.trained == []


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


async def test_a_request_of_another_version_of_the_program_is_not_guessed_at(world: World) -> None:
    """A stored request that this program cannot read is denied, with the way out."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    await world.coordinator.answer(approval_id, BOB, approve=True)
    with world.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE approvals SET request = ?", (json.dumps({"agent": AGENT, "gpu": "h100"}),)
        )
    with pytest.raises(ApprovalDenied, match=r"this version does not know\. Ask again"):
        await world.coordinator.resume(approval_id, ADA)
    assert world.trained == []


async def test_two_answers_at_once_one_wins(world: World) -> None:
    """Eight approvers in threads: one answer stands, the others are told."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    answers = await asyncio.gather(
        *(
            world.coordinator.answer(
                approval_id, Caller(f"b{n}", "http", "approver"), approve=bool(n % 2)
            )
            for n in range(8)
        ),
        return_exceptions=True,
    )
    errors = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(errors) == 7
    assert all(isinstance(error, ApprovalDenied) for error in errors)


async def test_two_uses_at_once_one_wins(world: World) -> None:
    """Eight callers resume in threads: it runs once."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    await world.coordinator.answer(approval_id, BOB, approve=True)
    tries = await asyncio.gather(
        *(world.coordinator.resume(approval_id, ADA) for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(result, TrainingStarted) for result in tries) == 1
    assert sum(isinstance(result, ApprovalDenied) for result in tries) == 7
    assert len(world.trained) == 1


@pytest.mark.parametrize("act", ["answer", "resume"])
async def test_of_processes_that_race_one_wins(world: World, tmp_path: Path, act: str) -> None:
    """Four processes answer, or spend, at once: one succeeds, the others are denied."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    if act == "resume":
        await world.coordinator.answer(approval_id, BOB, approve=True)
    done = run_deployers(act, tmp_path, world.clock(), approval_id, 4)
    assert sorted(json.loads(done.stdout)) == ["ApprovalDenied"] * 3 + ["done"]
    status = (await world.coordinator.get_approval(approval_id)).status
    assert status == {"answer": "approved", "resume": "consumed"}[act]


# -- roles ----------------------------------------------------------------------------------------


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


# -- what the request meant -----------------------------------------------------------------------


async def test_the_newest_version_is_the_one_that_was_newest_when_asked(world: World) -> None:
    """A version registered in between is not what was approved."""
    newest = DeployModelToAgent(agent=AGENT)
    approval_id = await world.ask("deploy_model_to_agent", newest)
    await world.coordinator.answer(approval_id, BOB, approve=True)
    world.add_version("acme/three")
    with pytest.raises(ApprovalDenied, match=r"given for: v1\.1\.0 .* means by now: v1\.2\.0"):
        await world.coordinator.resume(approval_id, ADA)
    assert world.rollouts.open() == []


@pytest.mark.parametrize(
    "edit",
    [
        ("rollout_defaults.yaml", "steps: [20, 50, 100]", "steps: [20, 100]"),
        ("rollout_defaults.yaml", "margin: 0.1", "margin: 0.4"),
        ("models.yaml", "acme/stable ", "acme/other "),
        ("models.yaml", "\nmodels:", "\nmodels:\n  acme/one: {provider: local}"),
    ],
)
async def test_a_deployment_is_approved_with_its_policy_and_its_baseline(
    world: World, edit: tuple[str, str, str]
) -> None:
    """Another policy, another stable model, another place: another deployment."""
    approval_id = await world.ask("deploy_model_to_agent", DEPLOY)
    await world.coordinator.answer(approval_id, BOB, approve=True)
    name, old, new = edit
    path = next(world.folder.rglob(name))
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    await denied(world, approval_id, "means by now")


async def test_an_override_is_approved_for_the_fault_it_was_asked_for(world: World) -> None:
    """Approved as "never evaluated", it does not let a later reject through."""
    world.registry.add_model_version(AGENT, model_id="acme/new")
    request = DeployModelToAgent(agent=AGENT, version="v1.2.0", override_reason="first of its kind")
    approval_id = await world.ask("deploy_model_to_agent", request)
    await world.coordinator.answer(approval_id, BOB, approve=True)
    scores = {"accuracy": 0.1, "recommendation": "reject"}
    world.registry.update_evaluation_scores(AGENT, "v1.2.0", scores)
    await denied(world, approval_id, "evaluation says reject")


async def test_a_promotion_is_approved_from_step_to_step(world: World) -> None:
    """Approved as 20 → 50, it does not promote 50 → 100 after the timer was quicker."""
    await world.deploy()
    approval_id = await world.ask("promote_canary", PromoteCanary(agent=AGENT))
    await world.coordinator.answer(approval_id, BOB, approve=True)
    await world.promote()
    with pytest.raises(ApprovalDenied, match=r"from 20 % to 50 %.* from 50 % to 100 %"):
        await world.coordinator.resume(approval_id, ADA)
    assert world.state().weight == 50


async def test_a_rollback_is_approved_for_one_rollout(world: World) -> None:
    """Approved for a rollout that ended meanwhile, it does not undo the deployment before it."""
    await world.deploy("v1.0.0", strategy="immediate")
    world.clock.pass_by(20)
    world.timer.tick()
    await world.deploy("v1.1.0")
    request = RollbackDeployment(agent=AGENT)
    approval_id = await world.ask("rollback_deployment", request)
    await world.coordinator.answer(approval_id, BOB, approve=True)
    await world.roll_back()
    with pytest.raises(ApprovalDenied, match="means by now"):
        await world.coordinator.resume(approval_id, ADA)
    assert world.yaml.read().agent_models[AGENT] == "acme/one"
    world.check_agreement()


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
