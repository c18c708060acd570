"""Rolling back: out of a running rollout, or to what served before."""

import pytest
from tests.modelops.world import ADA, AGENT, STABLE_MODEL, World

from agent_orchestrator.agents.infrastructure.modelops.rollouts.transitions import Decision
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import RollbackDeployment
from agent_orchestrator.domain import rollout_machine
from agent_orchestrator.errors import (
    ChefError,
    ConflictError,
    ModelIdError,
    UnknownAgentError,
    VersionNotFoundError,
)


async def finished(world: World, version: str) -> None:
    """Deploy a version and let its guard period pass."""
    await world.deploy(version, strategy="immediate")
    world.clock.pass_by(20)
    world.timer.tick()
    assert world.state().phase == "promoted"
    world.check_agreement()


def serving(world: World) -> str:
    """Return who serves."""
    return world.yaml.read().agent_models[AGENT]


def statuses(world: World) -> dict[str, str]:
    """Return each version's status."""
    return {v.version: v.deployment_status for v in world.registry.list_versions(AGENT)}


@pytest.mark.parametrize("promotions", [0, 1, 2])
async def test_out_of_a_rollout_everything_goes_back(world: World, promotions: int) -> None:
    """From any step and from the guard period; the candidate is archived, the way recorded."""
    await world.deploy()
    for _ in range(promotions):
        await world.promote()
    result = await world.roll_back()
    assert (result.model, result.version) == (STABLE_MODEL, None)
    assert result.seconds >= 0
    assert serving(world) == STABLE_MODEL
    assert world.state().phase == "rolled_back"
    assert statuses(world)["v1.0.0"] == "archived"
    assert world.registry.agent(AGENT).current is None
    last = world.rollouts.decisions(world.state().id)[-1]
    assert (last.actor, last.kind) == ("ada", "rollback")
    world.check_agreement()


async def test_after_a_rollout_the_version_before_serves_again(world: World) -> None:
    """And once more back, to a model that was never registered; then there is nothing left."""
    await finished(world, "v1.0.0")
    await finished(world, "v1.1.0")
    assert statuses(world) == {"v1.0.0": "archived", "v1.1.0": "deployed"}
    result = await world.roll_back()
    assert result.version == "v1.0.0"
    assert statuses(world) == {"v1.0.0": "deployed", "v1.1.0": "archived"}
    world.check_agreement()
    result = await world.roll_back()
    assert (result.version, result.model) == (None, STABLE_MODEL)
    assert statuses(world) == {"v1.0.0": "archived", "v1.1.0": "archived"}
    world.check_agreement()
    with pytest.raises(ConflictError, match="No version served feature_dev before acme/stable"):
        await world.roll_back()


async def test_a_rolled_back_candidate_is_not_what_served_before(world: World) -> None:
    """After v1.1.0 failed, going back means before v1.0.0, not to the failure."""
    await finished(world, "v1.0.0")
    await world.deploy("v1.1.0", strategy="immediate")
    await world.roll_back()
    assert serving(world) == "acme/one"
    await world.roll_back()
    assert serving(world) == STABLE_MODEL
    world.check_agreement()


async def test_back_to_a_version_of_ones_choice(world: World) -> None:
    """Any that served before, by version or model id, the unregistered one too."""
    await finished(world, "v1.0.0")
    await finished(world, "v1.1.0")
    await world.roll_back(STABLE_MODEL)
    assert serving(world) == STABLE_MODEL
    world.check_agreement()
    await world.roll_back("v1.1.0")
    assert serving(world) == "acme/two"
    await world.roll_back("acme/one")
    assert serving(world) == "acme/one"
    world.check_agreement()


async def test_after_a_hand_edit_back_means_back_to_what_was_on_record(world: World) -> None:
    """A model written into models.yaml is undone by a rollback."""
    await finished(world, "v1.0.0")
    world.edit("feature_dev: acme/one", "feature_dev: acme/hotfix")
    result = await world.roll_back()
    assert result.version == "v1.0.0"
    assert serving(world) == "acme/one"
    world.check_agreement()


@pytest.mark.parametrize(
    ("version", "error", "says"),
    [
        ("v9.9.9", VersionNotFoundError, "no version"),
        ("../../etc/passwd", ModelIdError, "Not a model id"),
        ("v1.1.0", ConflictError, r"v1\.1\.0 \(acme/two\) has never served feature_dev"),
        ("acme/elsewhere", ConflictError, "acme/elsewhere has never served"),
        ("v1.0.0", ConflictError, r"v1\.0\.0 \(acme/one\) serves feature_dev already"),
    ],
)
async def test_where_there_is_no_way_back(
    world: World, version: str, error: type[ChefError], says: str
) -> None:
    """A rollback has no checklist, so it never leads to what has not served."""
    await finished(world, "v1.0.0")
    request = RollbackDeployment(agent=AGENT, version=version)
    with pytest.raises(error, match=says) as caught:
        await world.run("rollback_deployment", request)
    assert caught.value.remedy
    assert serving(world) == "acme/one"


async def test_a_running_rollout_goes_back_to_its_own_stable_arm(world: World) -> None:
    """By no version, its version or its model; another one has to be deployed."""
    await finished(world, "v1.0.0")
    await world.deploy("v1.1.0")
    request = RollbackDeployment(agent=AGENT, version=STABLE_MODEL)
    with pytest.raises(ConflictError, match=r"it goes back to v1\.0\.0, not 'acme/stable'"):
        await world.run("rollback_deployment", request)
    await world.roll_back("v1.0.0")
    assert serving(world) == "acme/one"
    world.check_agreement()


async def test_bad_requests_for_a_rollback(world: World) -> None:
    """Unknown agents, and nothing to go back to."""
    with pytest.raises(UnknownAgentError):
        await world.run("rollback_deployment", RollbackDeployment(agent="nobody"))
    with pytest.raises(ConflictError, match="No version served"):
        await world.run("rollback_deployment", RollbackDeployment(agent=AGENT))


async def test_a_rollback_planned_on_another_state_is_refused(world: World) -> None:
    """Nothing is undone twice: neither a rollout that ended meanwhile nor another one."""
    await finished(world, "v1.0.0")
    await world.deploy("v1.1.0")
    plan = world.rollbacks.plan(RollbackDeployment(agent=AGENT), ADA)
    await world.roll_back()
    with pytest.raises(ConflictError, match="has moved on"):
        await plan.act("ap_x")
    await world.deploy("v1.1.0")
    with pytest.raises(ConflictError, match="has moved on"):
        await plan.act("ap_x")
    assert world.state().phase == "running"
    await world.roll_back()
    switch = world.rollbacks.plan(RollbackDeployment(agent=AGENT), ADA)
    world.edit("feature_dev: acme/one", "feature_dev: acme/hotfix")
    with pytest.raises(ConflictError, match="acme/hotfix serves feature_dev by now"):
        await switch.act("ap_x")
    assert serving(world) == "acme/hotfix"


async def test_a_broken_registry_stops_no_rollback(world: World) -> None:
    """Traffic first: it moves, the error says what is behind, and mending finishes the rest."""
    await world.deploy()
    registry = world.folder / "config" / "models" / "registry.json"
    whole = registry.read_bytes()
    registry.write_bytes(whole[:200])
    with pytest.raises(ChefError, match=r"the traffic is as decided.*registry restore") as caught:
        await world.roll_back()
    assert "finished by themselves" in str(caught.value)
    assert world.yaml.read().arms(AGENT)[0].weight == 100
    assert world.state().phase == "rolled_back"
    registry.write_bytes(whole)
    assert len(world.transitions.recover().settled) == 1
    assert statuses(world)["v1.0.0"] == "archived"
    world.check_agreement()


async def test_a_rollback_does_not_wait_for_a_stuck_registry(world: World) -> None:
    """A step whose records are behind is rolled back all the same; mending settles both."""
    await world.deploy()
    registry = world.folder / "config" / "models" / "registry.json"
    error = _break(registry)
    world.tripwire.arm(1, error, where="before", since="ModelRegistry.set_serving")
    whole = registry.read_bytes()
    with pytest.raises(ChefError, match="the traffic is as decided"):
        await world.promote()
    assert world.yaml.read().arms(AGENT)[1].weight == 50
    assert world.state().weight == 50
    with pytest.raises(ChefError, match="An earlier change of feature_dev is not finished"):
        await world.promote()
    with pytest.raises(ChefError, match="the traffic is as decided"):
        await world.roll_back()
    assert world.yaml.read().arms(AGENT)[0].weight == 100
    assert world.state().phase == "rolled_back"
    assert len(world.journal.pending()) == 2
    registry.write_bytes(whole)
    assert len(world.transitions.recover().settled) == 2
    world.check_agreement()
    assert statuses(world)["v1.0.0"] == "archived"
    kinds = [decision.kind for decision in world.rollouts.decisions(world.state().id)]
    assert kinds == ["start", "promote", "rollback"]


async def test_an_overtaken_step_never_comes_back(world: World) -> None:
    """The registry is mended while the rollback is under way: the stuck step is done with."""
    await world.deploy()
    registry = world.folder / "config" / "models" / "registry.json"
    whole = registry.read_bytes()
    world.tripwire.arm(1, _break(registry), where="before", since="ModelRegistry.set_serving")
    with pytest.raises(ChefError, match="the traffic is as decided"):
        await world.promote()
    state = world.state()
    with world.transitions.exclusive(AGENT, rolling_back=True):
        registry.write_bytes(whole)
        after, _ = rollout_machine.roll_back(state, "bad", world.clock())
        world.transitions.apply(after, Decision(actor="ada", kind="rollback", message="bad"))
    assert world.transitions.recover().settled == ()
    assert world.state().phase == "rolled_back"
    world.check_agreement()


def _break(registry):  # noqa: ANN001
    """Return an error that tears the registry when it is raised."""

    class TornError(ChefError):
        def __init__(self, message: str) -> None:
            registry.write_bytes(b'{"schema_version"')
            super().__init__(message)

    return TornError
