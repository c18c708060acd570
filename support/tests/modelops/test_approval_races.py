"""Ways past an approval, by being quick: of all that happens at once, one wins."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.modelops.approving import TRAIN
from tests.modelops.deployers import run_deployers
from tests.modelops.world import ADA, BOB, World

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import TrainingStarted
from agent_orchestrator.errors import ApprovalDenied


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


async def test_edits_answers_and_cancellations_at_once_one_wins(world: World) -> None:
    """Of six that change a waiting approval in threads, one does; nothing runs twice."""
    approval_id = await world.ask("train_subagent_model", TRAIN)
    coordinator = world.coordinator
    results = await asyncio.gather(
        *(coordinator.answer(approval_id, BOB, approve=bool(n)) for n in range(2)),
        *(coordinator.edit(approval_id, {"max_examples": n}, BOB) for n in (8, 9)),
        *(coordinator.cancel(approval_id, ADA) for _ in range(2)),
        return_exceptions=True,
    )
    refused = [found for found in results if isinstance(found, BaseException)]
    assert [repr(error) for error in refused if not isinstance(error, ApprovalDenied)] == []
    end = await coordinator.get_approval(approval_id)
    # An approval that was given may be cancelled: those two are the one pair that can both win.
    assert len(refused) == (4 if end.status == "cancelled" and end.answered_at else 5)
