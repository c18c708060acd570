"""What is asked for in the tests of approvals, and that a refused approval opens nothing."""

from __future__ import annotations

import pytest
from tests.modelops.world import ADA, AGENT, BOB, World

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import DeployModelToAgent
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import TrainSubagentModel
from agent_orchestrator.errors import ApprovalDenied

TRAIN = TrainSubagentModel(agent=AGENT, dataset="d1", overrides={"num_epochs": 2})
DEPLOY = DeployModelToAgent(agent=AGENT, version="v1.0.0")
CARL = Caller("carl", "http", "approver")
EVE = Caller("eve", "http", "operator")


async def denied(world: World, approval_id: str, says: str) -> None:
    """The approval does not open the door, whoever tries."""
    for caller in (ADA, BOB):
        with pytest.raises(ApprovalDenied, match=says):
            await world.coordinator.resume(approval_id, caller)
    assert world.trained == []
    assert world.rollouts.open() == []
