"""One entrance for all use cases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.modelops.world import ADA, AGENT, World

from agent_orchestrator.agents.infrastructure.modelops.coordinator import Coordinator
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import ChangingRequest
from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import BuildDataset
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import (
    DeployModelToAgent,
    RollbackDeployment,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.agents.infrastructure.modelops.usecases.models import ListAgentModels
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import RolloutStatusRequest
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import TrainSubagentModel
from agent_orchestrator.domain.approvals import canonical_hash
from agent_orchestrator.errors import UnknownAgentError


def test_what_changes_something_changes_only_through_a_plan(world: World) -> None:
    """A changing use case cannot be composed as a reader, which would need no approval."""
    readers = {name: print for name, spec in USE_CASES.items() if not spec.changes}
    planners = {name: print for name, spec in USE_CASES.items() if spec.changes}
    parts = {"authorisation": world.coordinator._authorisation}
    Coordinator(readers=readers, planners=planners, **parts)
    smuggled = readers | {"deploy_model_to_agent": print}
    with pytest.raises(ValueError, match="a planner"):
        Coordinator(readers=smuggled, planners=planners, **parts)
    for missing in planners:
        fewer = {name: part for name, part in planners.items() if name != missing}
        with pytest.raises(ValueError, match="a planner"):
            Coordinator(readers=readers, planners=fewer, **parts)


def test_the_list_says_which_use_cases_change_something() -> None:
    """A use case changes something exactly if its request can be a dry run."""
    for spec in USE_CASES.values():
        assert spec.changes == issubclass(spec.request, ChangingRequest)


@pytest.mark.parametrize(
    ("use_case", "request_"),
    [
        ("deploy_model_to_agent", RollbackDeployment(agent=AGENT)),
        ("deploy_model_to_agent", RolloutStatusRequest(agent=AGENT)),
        ("rollout_status", DeployModelToAgent(agent=AGENT)),
        ("rollout_status", ListAgentModels(agent=AGENT)),
    ],
)
async def test_a_use_case_takes_its_own_request(
    world: World, use_case: str, request_: object
) -> None:
    """A door that mixes them up is a bug, and told so."""
    with pytest.raises(TypeError, match=f"{use_case} does not take"):
        await world.run(use_case, request_)


async def test_readers_answer_at_once(world: World) -> None:
    """What changes nothing needs nobody."""
    report = await world.run("rollout_status", RolloutStatusRequest(agent=AGENT))
    assert report.rollout_id is None
    models = await world.run("list_agent_models", ListAgentModels(agent=AGENT))
    assert [version.version for version in models.versions] == ["v1.1.0", "v1.0.0"]
    with pytest.raises(UnknownAgentError, match=r"Unknown agent '\.\./\.\./etc/passwd'"):
        await world.run("rollout_status", RolloutStatusRequest(agent="../../etc/passwd"), ADA)


VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
REQUESTS = st.one_of(
    st.builds(TrainSubagentModel, agent=st.text(), overrides=st.dictionaries(st.text(), VALUES)),
    st.builds(BuildDataset, agent=st.text(), filters=st.dictionaries(st.text(), VALUES)),
    st.builds(DeployModelToAgent, agent=st.text(), policy=st.dictionaries(st.text(), VALUES)),
)


@given(REQUESTS)
def test_a_stored_request_is_the_request(request: ChangingRequest) -> None:
    """Written down and read again it is the same request, with the same hash."""
    body = request.model_dump(mode="json")
    again = type(request).model_validate(body)
    assert again.model_dump(mode="json") == body
    if float("inf") not in map(abs, _floats(body)):
        assert canonical_hash("u", again.model_dump(mode="json")) == canonical_hash("u", body)


def _floats(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in _floats(item)]
    return [value] if isinstance(value, float) else []
